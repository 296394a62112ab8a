"""A factorial grid: which axes matter in a metric, and which depend on each other (`effects`, `marginals`).

An effect that is the contrast of a comparison or of a paper's claim takes over its decision. An axis also matters where
a comparison or a claim tells apart two cells, or averages of cells, that differ in this axis alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.errors import InputError
from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import TOLD_APART
from analysis.findings.family import Family
from analysis.findings.values import Array, off_scale, seeds_of, values_of
from analysis.grid_json import Axis, ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.effects import Effect, Effects, effects
from analysis.statistics.families import ALPHA, Decision, Verdict
from analysis.statistics.marginals import Marginal, marginals
from analysis.statistics.paired import mean_interval

SMALL = 1e-9
"""The tolerance for rounding: a smaller coefficient counts as 0, and so does a smaller difference of ratios."""


@dataclass(frozen=True, eq=False)
class LevelAverage:
    """A level, by its label, averaged over the other axes on the metric's scale."""

    axis: Axis
    level: str
    estimate: Estimate
    note: str


@dataclass(frozen=True, eq=False)
class Factorial:
    """The effects of a grid's axes on one metric, on the metric's scale. Its tests leave out the cells `apart`, which
    finished but are not comparable.

    `told_apart` maps axes (by label) to the names of two cells or levels that differ in them alone and that a
    comparison or claim tells apart; of a claim about a change, the axes include that of the change. `elsewhere` maps
    the axes of an effect that is the contrast of a comparison or claim to the verdict on it.
    """

    metric: ShownMetric
    axes: Sequence[Axis]
    tests: Effects
    averages: Sequence[LevelAverage]
    told_apart: Mapping[frozenset[str], tuple[str, str]]
    apart: Sequence[CellRuns] = ()
    elsewhere: Mapping[tuple[str, ...], Verdict] = field(default_factory=dict)

    @property
    def ranked(self) -> list[Effect]:
        """The effects, first those that matter, then by their share."""
        return sorted(self.tests.effects, key=lambda effect: (not self.matters(effect), -effect.share))

    def matters(self, effect: Effect) -> bool:
        """True where the effect is shown by its own test, or by cells or levels that are told apart. Its own test does
        not count if the effect is the contrast of two cells that are equal for practical purposes."""
        return (shown(effect) and not self.is_small(effect)) or frozenset(effect.factors) in self.told_apart

    def is_small(self, effect: Effect) -> bool:
        """True where the effect is the contrast of two cells, or averages, that are equal for practical purposes."""
        return self.elsewhere.get(effect.factors) == "equal"


def shown(effect: Effect) -> bool:
    """True where an effect's own test shows it, that is, its adjusted p is at most `ALPHA`."""
    return effect.adjusted <= ALPHA


def factorial(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns], judged: Family) -> Factorial | None:
    """Effects and averages of a grid with two axes or more; None if it has fewer, or too few runs for a test."""
    axes = [axis for axis in grid.meta.axes if grid.runs[f"axis.{axis.name}"].nunique() > 1]
    if len(axes) < 2 or metric.name not in grid.runs:
        return None
    frame, images = _frame(grid, metric, axes, cells)
    if frame.empty:
        return None
    try:
        alone = effects(frame, images)
    except InputError:
        # There is nothing to test with one seed, or if no axis has two levels that finished.
        return None
    if not alone.effects:
        return None
    tested, elsewhere = _as_judged(metric, grid.meta.axes, cells, alone, judged)
    together = {
        label for effect in tested.effects if len(effect.factors) > 1 and shown(effect) for label in effect.factors
    }
    shown_alone = [
        of_factor for of_factor in marginals(frame) if not (of_factor.additive and of_factor.factor in together)
    ]
    averages = [average for marginal in shown_alone for average in _averages(metric, marginal, axes)]
    apart = [cell for cell in cells if not cell.comparable(metric.name)]
    return Factorial(metric, axes, tested, averages, _told_apart(grid, judged), apart, elsewhere)


def _as_judged(
    metric: ShownMetric, axes: Sequence[Axis], cells: Sequence[CellRuns], alone: Effects, judged: Family
) -> tuple[Effects, Mapping[tuple[str, ...], Verdict]]:
    """The effects, and verdicts by the effects' axes. An effect that is the contrast of a comparison or a claim takes
    over its decision, so that one hypothesis has one verdict."""
    decided = [
        *(([(1.0, pair.a), (-1.0, pair.b)], pair.decision) for pair in judged.pairs),
        *((of.claim.terms, of.decision) for of in judged.claims if not of.claim.of_equality),
    ]
    decisions = [(_contrast(metric, terms), of) for terms, of in decided if isinstance(of, Decision)]
    labels = [axis.label for axis in axes]
    at = [labels.index(name) for name in alone.factors]
    tested = []
    elsewhere: dict[tuple[str, ...], Verdict] = {}
    for effect in alone.effects:
        terms = [(effect.coefficients.get(tuple(cell.labels[i] for i in at), 0.0), cell) for cell in cells]
        contrast = _contrast(metric, terms)
        decision = next((of for other, of in decisions if contrast and _is_multiple(contrast, other)), None)
        if decision is not None:
            effect = replace(effect, p=decision.found.p, adjusted=decision.different)
            elsewhere[effect.factors] = decision.verdict(metric.sign)
        tested.append(effect)
    return replace(alone, effects=tuple(tested)), elsewhere


_Contrast = Mapping[tuple[tuple[int, float], ...], float]
"""The coefficients of a contrast, by the cells' values at each seed: cells with equal values count as one."""


def _contrast(metric: ShownMetric, terms: Sequence[tuple[float, CellRuns]]) -> _Contrast:
    total: dict[tuple[tuple[int, float], ...], float] = defaultdict(float)
    for c, cell in terms:
        total[cell.estimate(metric.name).by_seed] += c
    return {values: c for values, c in total.items() if abs(c) > SMALL}


def _is_multiple(contrast: _Contrast, other: _Contrast) -> bool:
    """True where one contrast is a multiple of the other."""
    if contrast.keys() != other.keys():
        return False
    ratios = [c / other[values] for values, c in contrast.items()]
    return bool(np.ptp(ratios) < SMALL * abs(ratios[0]))


def _told_apart(grid: GridResults, judged: Family) -> dict[frozenset[str], tuple[str, str]]:
    """The axes of a difference → the names of two cells or levels that are told apart along them, the surest ones."""
    surest: dict[frozenset[str], tuple[str, str]] = {}
    for pair in sorted(judged.pairs, key=lambda pair: pair.adjusted):
        both = zip(grid.meta.axes, pair.a.levels, pair.b.levels, strict=True)
        differing = [axis.label for axis, a, b in both if a != b]
        if pair.verdict in TOLD_APART and len(differing) == 1:
            surest.setdefault(frozenset(differing), (pair.a.name, pair.b.name))
    for claimed in (of.claim.said for of in judged.claims if of.tells_apart):
        moved = [axis for axis in grid.meta.axes if _differs(claimed.better, claimed.than, axis)]
        since = [axis for axis in grid.meta.axes if _differs(claimed.better, claimed.since, axis)]
        if len(moved) == 1 and len(since) < 2 and moved[0].name in claimed.better:
            first, second = (moved[0].label_of(levels[moved[0].name]) for levels in (claimed.better, claimed.than))
            surest.setdefault(frozenset(axis.label for axis in (*moved, *since)), (first, second))
    return surest


def _differs(levels: Mapping[str, str], other: Mapping[str, str], axis: Axis) -> bool:
    return axis.name in other and other[axis.name] != levels.get(axis.name)


def _frame(
    grid: GridResults, metric: ShownMetric, axes: Sequence[Axis], cells: Sequence[CellRuns]
) -> tuple[pd.DataFrame, Array | None]:
    """A table with a row per finished run: the label of its level on each axis, its seed, and y on the metric's scale.
    With it, the values per held-out image, [rows, m], where they are known.

    With looks, only seeds of the first look count, which all cells have; no seeds that several kinds of machine ran.
    """
    every = seeds_of(grid, metric, cells)
    first = grid.meta.first_look or every
    kept = [i for i, seed in enumerate(every) if seed in first and every.count(seed) == 1]
    values, seeds = values_of(grid, metric, cells)[:, kept], [every[i] for i in kept]
    by_seed = values if values.ndim == 2 else values.mean(-1)
    rows = np.argwhere(np.isfinite(by_seed))
    numbers = [grid.meta.axes.index(axis) for axis in axes]
    columns = {
        axis.label: [cells[i].labels[number] for i, _ in rows] for axis, number in zip(axes, numbers, strict=True)
    }
    y = by_seed[tuple(rows.T)]
    frame = pd.DataFrame({**columns, "seed": [seeds[s] for _, s in rows], "y": y})
    return frame, values[tuple(rows.T)] if values.ndim == 3 else None


def _averages(metric: ShownMetric, marginal: Marginal, axes: Sequence[Axis]) -> list[LevelAverage]:
    axis = next(axis for axis in axes if axis.label == marginal.factor)
    return [
        LevelAverage(axis, level, off_scale(metric, *mean_interval(values), values), marginal.note)
        for level, values in zip(marginal.levels, marginal.values, strict=True)
    ]
