"""A tidy frame → its design: the factors, cells and seeds, and which cells share a training.

    one column per factor (levels as text), seed, training_id, y;  a row per finished run

Cells of one seed that name the same training are one *unit*: the same weights, evaluated in several ways, so what that
training got wrong is in all of them. A factor that varies within a unit was read at evaluation only. Sharing is
*nested* where the other factors' levels and the seed say which training a run belongs to; it is *partial* where they
do not (β and β̃ share a training, a learned variance has its own).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.statistics.projections import IntArray

RESERVED = ("seed", "training_id", "y")
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
    """What was run, n rows. `codes` [n, factors] are levels, `seed`, `cell` and `unit` [n] count from 0.

    A unit is a training at a seed. Rows of one cell have equal `codes`; `seeds` names the seeds.
    """

    factors: tuple[Factor, ...]
    seeds: tuple[str, ...]
    codes: IntArray
    seed: IntArray
    cell: IntArray
    unit: IntArray

    @property
    def evaluation(self) -> tuple[int, ...]:
        """The factors that were read at evaluation only: they vary within some training."""
        units = groups(self.unit).max() + 1
        return tuple(i for i in range(len(self.factors)) if groups(self.unit, self.codes[:, i]).max() + 1 > units)

    @property
    def training(self) -> tuple[int, ...]:
        """The factors that are not read at evaluation only."""
        return tuple(i for i in range(len(self.factors)) if i not in self.evaluation)

    @property
    def nested(self) -> bool:
        """Whether all runs of a seed that differ in evaluation factors alone share their training."""
        return bool(groups(self.seed, *self.codes[:, self.training].T).max() == self.unit.max())

    def present(self) -> BoolArray:
        """Which cell finished at which seed, [seeds, cells]."""
        return table_of_rows(self.seed, self.cell) >= 0

    def cell_name(self, cell: int) -> str:
        """The levels of a cell, in words."""
        return self.name_of(int(np.flatnonzero(self.cell == cell)[0]), range(len(self.factors)))

    def name_of(self, row: int, factors: Sequence[int]) -> str:
        """The levels of some factors in a row."""
        return " · ".join(self.factors[i].levels[self.codes[row, i]] for i in factors)


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
    unit = groups(numbers, pd.factorize(frame["training_id"])[0])
    return Design(factors, tuple(map(str, seeds)), codes, numbers, groups(*codes.T, like=numbers), unit)


def groups(*columns: NDArray[Any], like: IntArray | None = None) -> IntArray:
    """A number per row, [n] from 0: rows with equal values in all columns share one. Without columns all rows of `like`
    do."""
    if not columns:
        return np.zeros_like(like)
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].reshape(-1)


def table_of_rows(first: IntArray, second: IntArray) -> IntArray:
    """The row of each pair, [first, second]; −1 where there is none."""
    table = np.full((first.max() + 1, second.max() + 1), -1)
    table[first, second] = np.arange(len(first))
    return table


def complete_block(present: BoolArray, group: IntArray, least: int = 1) -> tuple[IntArray, IntArray]:
    """Rows and columns of an incidence table that are all there: of at least `least` rows, and as many as possible.

    The blocks considered are the k fullest rows with the columns that all of them have. First the number of groups of
    rows that are kept counts, then the number of entries, then that of rows. Empty where there is none.
    """
    order = np.argsort(-present.sum(axis=1), kind="stable")
    common = np.logical_and.accumulate(present[order])
    best = max(
        ((len(set(group[order[:k]])), k * int(common[k - 1].sum()), k) for k in _sizes(common, least)), default=None
    )
    if best is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.sort(order[: best[2]]), np.flatnonzero(common[best[2] - 1])


def listed(names: Sequence[str]) -> str:
    """Names with commas, or how many there are if they are many."""
    return ", ".join(names) if len(names) <= MOST_NAMED else f"{', '.join(names[:2])} and {len(names) - 2} others"


def _sizes(common: BoolArray, least: int) -> list[int]:
    return [k for k in range(least, len(common) + 1) if common[k - 1].any()]


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
        cell = " · ".join(str(twice.iloc[0][name]) for name in names)
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
        notes.append(f"Without a value at any seed: {listed(never)}{zero}.")
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
        " · ".join(factor.levels[i] for factor, i in zip(design.factors, combination, strict=True))
        for combination in codes
        if combination not in ran
    ]
