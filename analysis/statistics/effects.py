"""Main effects and two-way interactions of a grid, each tested over the seeds.

    y = seed + Σ_f a_f + Σ_{f<g} b_fg + error

What a term adds to all terms that do not contain it (type II) has an orthonormal basis Q over the cells (`designs`). At
each seed z_s = Qᵀ y_s estimates it, and over the n seeds

    F = n |z̄|² / (Σ_s |z_s − z̄|²/(n − 1)),        p of F(1, n − 1)

This is the paired t-test where the term has one degree of freedom. Where it has more, F(1, n − 1) is Geisser and
Greenhouse's (1958) lower bound, which finds too little rather than too much. The errors within one seed may have any
distribution: some cells may be noisier than others, and cells may share a training or an autoencoder. With values per
held-out image, the variance includes the images' part (`variances`). All terms are one family (`families`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.statistics.designs import (
    Array,
    Design,
    IntArray,
    Term,
    complete_block,
    groups,
    listed,
    one_hot,
    read_design,
    table_of_rows,
    type_two,
    within,
)
from analysis.statistics.families import settle
from analysis.statistics.variances import Means, of_length


@dataclass(frozen=True)
class Effect:
    """A main effect or an interaction, of `df` degrees of freedom, with n − 1 = `df_error`.

    `adjusted` is its p among all effects of the call. `share` is the term's part of the sum of squares that seeds do
    not explain (η²); in unbalanced designs shares do not add up. An effect with one degree of freedom is a contrast of
    cells: `coefficients` are those of the cells, by their levels of the design's factors.
    """

    factors: tuple[str, ...]
    df: int
    df_error: int
    F: float
    p: float
    adjusted: float
    share: float
    coefficients: Mapping[tuple[str, ...], float] = field(default_factory=dict)


@dataclass(frozen=True)
class Effects:
    """All effects of these factors that can be estimated, mains first; `notes` say what was left out."""

    factors: tuple[str, ...]
    effects: tuple[Effect, ...]
    notes: tuple[str, ...]


def effects(frame: pd.DataFrame, images: Array | None = None) -> Effects:
    """Every main effect and two-way interaction of a frame (`designs`: factors, seed, y). `images` [rows, m] are the
    values per held-out image, where known, in the order of the frame's rows.

    InputError where the frame is malformed, or has fewer than two seeds, or no factor with two levels.
    """
    design, y, missing = read_design(frame)
    values = y if images is None else images[np.isfinite(frame["y"].to_numpy(dtype=np.float64))]
    tested, notes = _tested(design, values)
    names = tuple(factor.name for factor in design.factors)
    return Effects(names, tested, (*missing, *notes))


def _tested(design: Design, values: Array) -> tuple[tuple[Effect, ...], tuple[str, ...]]:
    """The effects on values [runs] or [runs, m], over the largest block of seeds and cells that has no gaps."""
    table = table_of_rows(design.seed, design.cell)
    seeds, cells = complete_block(table >= 0, least=2)
    if len(cells) < 2:
        return (), ("At least two cells must have finished at the same two seeds for a test.",)
    runs = table[np.ix_(seeds, cells)]
    columns = {term: _indicators(design, term, runs[0]) for term in _terms(design)}
    bases = type_two(columns)
    estimable = {term: basis for term, basis in bases.items() if basis.shape[1]}
    tests = [_moments(basis, values[runs]) for basis in estimable.values()]
    p = [float(test.two_sided()) for test in tests]
    spread = np.array(
        [float(test.spread) / basis.shape[1] for test, basis in zip(tests, estimable.values(), strict=True)]
    )
    adjusted = settle(np.array(p), spread)
    by_seed = values[runs].reshape(*runs.shape, -1).mean(-1)
    total = float(np.square(by_seed - by_seed.mean(1, keepdims=True)).sum())
    effects = tuple(
        Effect(
            tuple(design.factors[i].name for i in term),
            basis.shape[1],
            len(seeds) - 1,
            _ratio(test),
            each_p,
            float(holding),
            float(len(seeds) * test.mean**2 / total) if total else 0.0,
            _coefficients(design, basis, runs[0]),
        )
        for (term, basis), test, each_p, holding in zip(estimable.items(), tests, p, adjusted, strict=True)
    )
    return effects, (*_left_out(design, seeds, cells), *_aliased(design, bases, runs[0]))


def _coefficients(design: Design, basis: Array, rows: IntArray) -> dict[tuple[str, ...], float]:
    """The coefficients of the cells in these rows, in a term with one degree of freedom; empty for other terms."""
    if basis.shape[1] != 1:
        return {}
    return {design.levels(int(row)): float(c) for row, c in zip(rows, basis[:, 0], strict=True)}


def _moments(basis: Array, values: Array) -> Means:
    """The moments of |z̄|, from values [n, cells] or [n, cells, m]; z_s below rounding counts as 0."""
    z = np.einsum("kd,nk...->dn...", basis, values)
    z[np.abs(z) < 1e-13 * np.abs(values).max() * len(basis)] = 0
    return of_length(z)


def _ratio(test: Means) -> float:
    """The F statistic: infinite for an effect without any error, 0 for no effect."""
    error = float(test.by_seeds + test.by_images)
    if test.mean == 0:
        return 0.0
    return float(test.mean**2 / error) if error else float("inf")


def _terms(design: Design) -> list[Term]:
    numbers = range(len(design.factors))
    return [*itertools.combinations(numbers, 1), *itertools.combinations(numbers, 2)]


def _indicators(design: Design, term: Term, runs: IntArray) -> Array:
    """The term's indicators over cells, centred."""
    columns = one_hot(groups(*design.codes[np.ix_(runs, np.array(term))].T))
    return within(columns, np.zeros(len(runs), np.int64))


def _listed(design: Design, terms: Iterable[Term]) -> str:
    return listed([" × ".join(design.factors[i].name for i in term) for term in terms])


def _aliased(design: Design, bases: dict[Term, Array], runs: IntArray) -> tuple[str, ...]:
    """The effects that the cells in `runs` cannot tell apart."""
    possible = {term: int(np.prod([len(set(design.codes[runs, i])) - 1 for i in term])) for term in bases}
    lost = [term for term, basis in bases.items() if not basis.shape[1]]
    partly = [term for term, basis in bases.items() if 0 < basis.shape[1] < possible[term]]
    return (
        *((f"{_listed(design, lost)} cannot be estimated from the cells that finished.",) if lost else ()),
        *(
            f"Of {_listed(design, [term])} only {bases[term].shape[1]} of {possible[term]} degrees of freedom can be "
            "estimated."
            for term in partly
        ),
    )


def _left_out(design: Design, seeds: IntArray, cells: IntArray) -> tuple[str, ...]:
    present = design.present()
    lost = [name for i, name in enumerate(design.seeds) if i not in seeds]
    gone = [design.cell_name(i) for i in range(present.shape[1]) if i not in cells]
    return (
        *((f"Seed {', '.join(lost)} is left out, for lack of some cells.",) if lost else ()),
        *((f"Left out, for not having finished at all of these seeds: {listed(gone)}.",) if gone else ()),
    )
