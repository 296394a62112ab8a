"""A tidy frame → its design: the factors, cells and seeds.

one column per factor (levels as text), seed, y;  a row per finished run

Least squares use orthonormal bases: a term's contribution beside others is a subspace, and its sum of squares is a
squared length.

    SS(term | others) = |Qᵀ y|²,   Q an orthonormal basis of the term's columns after those of the others are taken out

Terms are sets of factors, written as tuples of their numbers. A term's columns are indicators of its levels, so they
also span the terms inside it. Ranks follow from singular values, so empty cells and aliasing are no special cases.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.labels import cell_name

RESERVED = ("seed", "y")
# Longer lists of cells are counted and not named.
MOST_NAMED = 6

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Factor:
    """A factor and its levels, in the order in which the frame names them."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Design:
    """The runs, n rows. `codes` [n, factors] are levels, `seed` and `cell` [n] count from 0.

    Rows of one cell have equal `codes`; `seeds` names the seeds.
    """

    factors: tuple[Factor, ...]
    seeds: tuple[str, ...]
    codes: IntArray
    seed: IntArray
    cell: IntArray

    def present(self) -> BoolArray:
        """The cells that finished at each seed, [seeds, cells]."""
        return table_of_rows(self.seed, self.cell) >= 0

    def cell_name(self, cell: int) -> str:
        """The levels of a cell, in words."""
        row = int(np.flatnonzero(self.cell == cell)[0])
        return cell_name(zip((factor.name for factor in self.factors), self.levels(row), strict=True))

    def levels(self, row: int) -> tuple[str, ...]:
        """The levels of a run."""
        return tuple(factor.levels[code] for factor, code in zip(self.factors, self.codes[row], strict=True))


def read_design(frame: pd.DataFrame) -> tuple[Design, NDArray[np.float64], tuple[str, ...]]:
    """The design, y [n], and what is missing, in sentences. A run whose y is not finite is missing.

    InputError where a column is lacking, a cell has two rows at a seed, or there are fewer than two seeds or two cells.
    """
    _check(frame)
    y = frame["y"].to_numpy(dtype=np.float64)
    design = design_of(frame[np.isfinite(y)])
    if len(design.seeds) < 2:
        raise InputError(f"effects need at least 2 seeds, got {len(design.seeds)}: run the grid with seeds=2 or more")
    if not design.factors:
        raise InputError("no factor has two levels that finished: there is no effect to estimate")
    return design, y[np.isfinite(y)], (*_constant(frame, design), *_missing(frame, design))


def design_of(frame: pd.DataFrame) -> Design:
    """The design of rows that are all used. Factors with one level are left out."""
    names = _factors(frame)
    factorized = {name: pd.factorize(frame[name].astype(str)) for name in names}
    factors = tuple(
        Factor(name, tuple(map(str, levels))) for name, (_, levels) in factorized.items() if len(levels) > 1
    )
    codes = np.array([factorized[factor.name][0] for factor in factors], dtype=np.int64).reshape(-1, len(frame)).T
    seeds, numbers = np.unique(frame["seed"].to_numpy(), return_inverse=True)
    return Design(factors, tuple(map(str, seeds)), codes, numbers, groups(*codes.T, like=numbers))


def groups(*columns: NDArray[Any], like: IntArray | None = None) -> IntArray:
    """A number per row, [n] from 0: rows with equal values in all columns share one; without columns, all of `like`
    do."""
    if not columns:
        return np.zeros_like(like)
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].reshape(-1)


def table_of_rows(first: IntArray, second: IntArray) -> IntArray:
    """The row of each pair, [first, second]; −1 where there is none."""
    table = np.full((first.max() + 1, second.max() + 1), -1)
    table[first, second] = np.arange(len(first))
    return table


def complete_block(present: BoolArray, least: int = 1) -> tuple[IntArray, IntArray]:
    """The rows and columns of the largest block without gaps in an incidence table, with at least `least` rows.

    The blocks considered are the k fullest rows with the columns that all of them have. The one with the most entries
    is the largest, then the one with the most rows. Both are empty where there is no block.
    """
    order = np.argsort(-present.sum(axis=1), kind="stable")
    common = np.logical_and.accumulate(present[order])
    sizes = [k for k in range(least, len(common) + 1) if common[k - 1].any()]
    if not sizes:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    best = max(sizes, key=lambda k: (k * int(common[k - 1].sum()), k))
    return np.sort(order[:best]), np.flatnonzero(common[best - 1])


def listed(names: Sequence[str]) -> str:
    """Names with commas, or how many there are if they are many."""
    return ", ".join(names) if len(names) <= MOST_NAMED else f"{', '.join(names[:2])} and {len(names) - 2} others"


def _factors(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame.columns if name not in RESERVED]


def _check(frame: pd.DataFrame) -> None:
    lacking = [name for name in RESERVED if name not in frame.columns]
    if lacking:
        raise InputError(
            f"the frame of an analysis lacks {', '.join(lacking)}: it needs {', '.join(RESERVED)}, factors"
        )
    names = _factors(frame)
    if not names:
        raise InputError("the frame of an analysis has no factor: add a column for each axis")
    twice = frame[frame.duplicated([*names, "seed"])]
    if len(twice):
        cell = cell_name((name, str(twice.iloc[0][name])) for name in names)
        raise InputError(f"{cell} has more than one row at seed {twice.iloc[0]['seed']}: keep one")


def _constant(frame: pd.DataFrame, design: Design) -> tuple[str, ...]:
    kept = {factor.name for factor in design.factors}
    names = [name for name in _factors(frame) if name not in kept]
    return tuple(f"{name} has one level that finished, so it has no effect to estimate." for name in names)


def _missing(frame: pd.DataFrame, design: Design) -> tuple[str, ...]:
    """Combinations that no seed has, and cells that some seeds lack."""
    notes = []
    if never := _never(design):
        zero = ", so interactions of three and more factors are taken to be zero" if len(design.factors) > 2 else ""
        notes.append(f"No seed has a value of {listed(never)}{zero}.")
    present = design.present()
    partly = [
        f"{design.cell_name(c)} (seed {', '.join(design.seeds[s] for s in np.flatnonzero(~present[:, c]))})"
        for c in np.flatnonzero(~present.all(axis=0)).tolist()
    ]
    if partly:
        notes.append(f"Missing at some seeds: {listed(partly)}.")
    lost = sorted({str(seed) for seed in frame["seed"]} - set(design.seeds))
    if lost:
        notes.append(f"Nothing finished at seed {', '.join(lost)}.")
    return tuple(notes)


def _never(design: Design) -> list[str]:
    """Combinations of levels that no seed has."""
    ran = set(map(tuple, design.codes.tolist()))
    codes = itertools.product(*(range(len(factor.levels)) for factor in design.factors))
    return [
        cell_name((factor.name, factor.levels[i]) for factor, i in zip(design.factors, combination, strict=True))
        for combination in codes
        if combination not in ran
    ]


Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Term = tuple[int, ...]
# Indicators have entries of size 1, so a singular value below this is rounding.
ROUNDING = 1e-8


def one_hot(group: IntArray) -> Array:
    """Indicators [n, groups] of groups that count from 0."""
    return np.eye(int(group.max()) + 1)[group]


def within(matrix: Array, block: IntArray) -> Array:
    """A matrix [n, k] without the means of its blocks [n], which count from 0."""
    indicator = one_hot(block)
    means = (indicator.T @ matrix) / indicator.sum(axis=0)[:, None]
    return np.asarray(matrix - indicator @ means, dtype=np.float64)


def span(matrix: Array) -> Array:
    """An orthonormal basis [n, rank] of the columns [n, k], whose entries are of size 1 or rounding."""
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    basis: Array = left[:, singular > ROUNDING]
    return basis


def type_two(columns: Mapping[Term, Array]) -> dict[Term, Array]:
    """A basis of what each term adds to all terms that do not contain it, [n, df]; df 0 where that is nothing."""
    return {term: _added(columns[term], [columns[u] for u in columns if not set(term) <= set(u)]) for term in columns}


def _added(own: Array, others: Sequence[Array]) -> Array:
    if not others:
        return span(own)
    spanned = span(np.hstack(others))
    return span(own - spanned @ (spanned.T @ own))
