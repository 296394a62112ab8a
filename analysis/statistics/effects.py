"""Main effects and two-way interactions of a grid, with seeds as blocks; type II sums of squares.

    y = seed + Σ_f a_f + Σ_{f<g} b_fg + error,        F = (SS_term/df) / (SS_error/df_error)

SS_term is what a term adds to all terms that do not contain it; interactions of three and more factors belong to the
error. How the errors of cells hang together decides what a term is compared with (its *stratum*), and that follows from
which cells share a training (`designs`):

- "training": every cell has its own training, or y is first averaged over what was evaluated of it (the whole plots of
  a split-plot design). The error is what is left between trainings.
- "evaluation": terms with a factor that was read at evaluation only, tested within trainings (the sub-plots).
- "seeds": sharing is partial, so the errors have no known form. A term is estimated at each seed by itself, and its
  estimates z_s are compared over the n seeds: F = n |z̄|² / (Σ_s |z_s − z̄|²/(n − 1)), taken as F(1, n − 1). This is the
  paired t-test where df is 1, and exact whatever the covariance; where df is larger it is Geisser and Greenhouse's
  (1958) lower bound, which finds too little rather than too much.

Every test is a pair of orthonormal bases in the space of runs, one of the effect and one of its error
(`projections`). They depend on the design alone, and on no result. Textbook: Montgomery, Design and
Analysis of Experiments, on randomised blocks, factorials and split plots.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, stats

from analysis.statistics.designs import Design, complete_block, groups, listed, read_design, table_of_rows
from analysis.statistics.paired import holm
from analysis.statistics.projections import Array, IntArray, Term, complement, one_hot, span, type_two, within

Stratum = Literal["training", "evaluation", "seeds"]


@dataclass(frozen=True)
class Effect:
    """A main effect or an interaction.

    F has `df` and `df_error` degrees of freedom; in the stratum "seeds" p takes 1 instead of `df`. `adjusted` is Holm's
    p over all effects of the call. `share` is the term's part of the sum of squares that seeds do not explain, among
    the runs that its test uses (η²); in unbalanced designs shares do not add up.
    """

    factors: tuple[str, ...]
    df: int
    df_error: float
    F: float
    p: float
    adjusted: float
    stratum: Stratum
    share: float


@dataclass(frozen=True)
class Effects:
    """All effects that can be estimated, mains first; `notes` say what was left out and how they were tested."""

    effects: tuple[Effect, ...]
    notes: tuple[str, ...]
    seeds: int
    cells: int


@dataclass(frozen=True, eq=False)
class FTest:
    """An F test as orthonormal bases in the space of runs: of an effect [runs, df] and of its error [runs, k].

    `used` are the numbers of the runs that take part, `seed` [used] their seeds from 0. `df_p` are those of F for p.
    """

    factors: tuple[str, ...]
    stratum: Stratum
    effect: Array
    error: Array
    used: IntArray
    seed: IntArray
    df_p: tuple[int, int]


@dataclass(frozen=True, eq=False)
class FTests:
    """The tests that a design allows; in sentences, how they are made and what it does not allow."""

    tests: tuple[FTest, ...]
    notes: tuple[str, ...]


def effects(frame: pd.DataFrame) -> Effects:
    """Every main effect and two-way interaction of a frame (`designs`: factors, seed, training_id, y).

    InputError where the frame is malformed, or has fewer than two seeds, or no factor with two levels.
    """
    design, y, missing = read_design(frame)
    found = plan(design)
    measured = [measure(test, y) for test in found.tests]
    p = [float(stats.f.sf(f, *test.df_p)) for test, (f, _) in zip(found.tests, measured, strict=True)]
    return Effects(
        tuple(
            Effect(
                test.factors, test.effect.shape[1], test.df_p[1], float(f), one, float(h), test.stratum, float(share)
            )
            for test, (f, share), one, h in zip(found.tests, measured, p, holm(p), strict=True)
        ),
        (*missing, *found.notes),
        len(design.seeds),
        int(design.cell.max()) + 1,
    )


def measure(test: FTest, y: Array) -> tuple[Array, Array]:
    """F and the share of the sum of squares: scalars for y [runs], [k] for y [runs, k]."""
    columns = y.reshape(len(y), -1)
    deviations = columns - columns.mean(axis=0)
    total = np.square(within(deviations[test.used], test.seed)).sum(axis=0)
    rounding = len(y) * np.square(1e-13 * np.abs(columns).max(axis=0))
    effect, error = (np.square(basis.T @ deviations).sum(axis=0) for basis in (test.effect, test.error))
    effect[effect <= rounding] = 0
    error[error <= rounding] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        f = (effect / test.effect.shape[1]) / (error / test.error.shape[1])
        found = [np.where(effect == 0, 0.0, value).reshape(y.shape[1:]) for value in (f, effect / total)]
    return found[0], found[1]


def plan(design: Design) -> FTests:
    """What can be tested in a design of at least two seeds, and how."""
    if not design.nested:
        return _over_seeds(design, "Some cells share a training and others do not, so their errors have no known form")
    plots = _whole_plots(design)
    if plots is None:
        return _over_seeds(design, f"The trainings have no common levels of {_evaluated(design)}")
    return _split_plot(design, plots)


def _split_plot(design: Design, plots: IntArray) -> FTests:
    """The tests of a split-plot design: of trainings by their averages over the runs `plots` [units, m], of all else
    within trainings.

    Without sharing each run is a plot, and this is the analysis of randomised blocks.
    """
    within_plots = [term for term in _terms(design) if set(term) & set(design.evaluation)]
    between = [term for term in _terms(design) if term not in within_plots]
    upper = _stratum(design, between, "training", plots, design.seed[plots[:, 0]])
    lower = _stratum(design, within_plots, "evaluation", np.arange(len(design.cell))[:, None], design.unit)
    tests = sorted((*upper.tests, *lower.tests), key=lambda test: len(test.factors))
    return FTests(tuple(tests), (*_split_notes(design, plots), *upper.notes, *lower.notes))


def _stratum(design: Design, terms: Sequence[Term], stratum: Stratum, plots: IntArray, block: IntArray) -> FTests:
    """Tests of terms on the averages over `plots` [units, m] in blocks [units], by what is left over by all terms."""
    if not terms:
        return FTests((), ())
    columns = {term: within(_indicators(design, term, plots[:, 0]), block) for term in terms}
    error = complement(np.hstack([span(one_hot(block)), span(np.hstack(list(columns.values())))]))
    if not error.shape[1]:
        return FTests((), (f"No runs are left over to judge {_listed(design, terms)} by: more seeds are needed.",))
    bases = type_two(columns)
    left = _over_runs(design, plots, error)
    used = plots.ravel()
    tests = tuple(
        FTest(
            _names(design, term),
            stratum,
            _over_runs(design, plots, basis),
            left,
            used,
            groups(design.seed[used]),
            (basis.shape[1], error.shape[1]),
        )
        for term, basis in bases.items()
        if basis.shape[1]
    )
    return FTests(tests, _aliased(design, bases, plots[:, 0]))


def _over_seeds(design: Design, why: str) -> FTests:
    """The tests over seeds: every term is estimated at each, and tested by how its estimates vary over them."""
    table = table_of_rows(design.seed, design.cell)
    seeds, cells = complete_block(table >= 0, np.zeros(len(table), np.int64), least=2)
    if len(cells) < 2:
        return FTests((), (f"{why}: at least two cells must have finished at the same two seeds for a test.",))
    runs = table[np.ix_(seeds, cells)]
    one = np.zeros(len(cells), np.int64)
    bases = type_two({term: within(_indicators(design, term, runs[0]), one) for term in _terms(design)})
    across = linalg.helmert(len(seeds), full=True).T
    each = runs.reshape(-1, 1)
    tests = tuple(
        FTest(
            _names(design, term),
            "seeds",
            _over_runs(design, each, np.kron(across[:, :1], basis)),
            _over_runs(design, each, np.kron(across[:, 1:], basis)),
            runs.ravel(),
            groups(design.seed[runs.ravel()]),
            (1, len(seeds) - 1),
        )
        for term, basis in bases.items()
        if basis.shape[1]
    )
    method = f"{why}: each effect is estimated at each of {len(seeds)} seeds and tested by how it varies over them."
    return FTests(tests, (method, *_left_out(design, seeds, cells), *_aliased(design, bases, runs[0])))


def _whole_plots(design: Design) -> IntArray | None:
    """Runs [units, m]: trainings at the levels of evaluation that all of them have; None if a training would be lost.

    Averages over unequal levels would differ by the levels' own effects, so a unit that lacks one is left out, or the
    level is, whichever keeps more.
    """
    levels = groups(*design.codes[:, design.evaluation].T, like=design.seed)
    training = groups(*design.codes[:, design.training].T, like=design.seed)
    table = table_of_rows(design.unit, levels)
    of_unit = training[table.max(axis=1)]
    units, common = complete_block(table >= 0, of_unit)
    return table[np.ix_(units, common)] if set(of_unit[units]) == set(of_unit) else None


def _terms(design: Design) -> list[Term]:
    numbers = range(len(design.factors))
    return [*itertools.combinations(numbers, 1), *itertools.combinations(numbers, 2)]


def _indicators(design: Design, term: Term, runs: IntArray) -> Array:
    return one_hot(groups(*design.codes[np.ix_(runs, np.array(term))].T))


def _over_runs(design: Design, plots: IntArray, basis: NDArray[np.floating[Any]]) -> Array:
    """A basis over `plots` [units, m] as one over runs: a plot counts as √m times its average."""
    out = np.zeros((len(design.cell), basis.shape[1]))
    out[plots.ravel()] = np.repeat(basis, plots.shape[1], axis=0) / np.sqrt(plots.shape[1])
    return out


def _names(design: Design, term: Term) -> tuple[str, ...]:
    return tuple(design.factors[i].name for i in term)


def _listed(design: Design, terms: Iterable[Term]) -> str:
    return listed([" × ".join(_names(design, term)) for term in terms])


def _evaluated(design: Design) -> str:
    return _listed(design, [(i,) for i in design.evaluation])


def _aliased(design: Design, bases: dict[Term, Array], runs: IntArray) -> tuple[str, ...]:
    """What the cells in `runs` cannot tell apart."""
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


def _split_notes(design: Design, plots: IntArray) -> tuple[str, ...]:
    if not design.evaluation:
        return ()
    names = _evaluated(design)
    notes = [f"Cells that differ in {names} alone share a training: trainings are compared by their averages over it."]
    levels = {design.name_of(row, design.evaluation) for row in plots[0]}
    every = {design.name_of(row, design.evaluation) for row in range(len(design.cell))}
    if levels != every:
        notes.append(f"These averages take {listed(sorted(levels))} alone, which the trainings compared all have.")
    units = sorted(set(design.unit.tolist()) - set(design.unit[plots].ravel().tolist()))
    rows = [int(np.flatnonzero(design.unit == unit)[0]) for unit in units]
    gone = [f"{design.name_of(r, design.training)} (seed {design.seeds[design.seed[r]]})" for r in rows]
    if gone:
        notes.append(f"Left out of them, for lack of some level of {names}: {listed(gone)}.")
    return tuple(notes)


def _left_out(design: Design, seeds: IntArray, cells: IntArray) -> tuple[str, ...]:
    present = design.present()
    lost = [name for i, name in enumerate(design.seeds) if i not in seeds]
    gone = [design.cell_name(i) for i in range(present.shape[1]) if i not in cells]
    return (
        *((f"Seed {', '.join(lost)} is left out, for lack of some cells.",) if lost else ()),
        *((f"Left out, for not having finished at all of these seeds: {listed(gone)}.",) if gone else ()),
    )
