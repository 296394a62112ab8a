"""A factorial grid: which axes matter in a metric, and which depend on each other (`effects`, `marginals`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import CellComparison
from analysis.findings.values import Array, seeds_of, values_of
from analysis.format.errors import InputError
from analysis.format.grid_json import Axis, ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.effects import Effect, Effects, effects
from analysis.statistics.families import ALPHA
from analysis.statistics.marginals import Marginal, marginals
from analysis.statistics.paired import mean_interval


@dataclass(frozen=True, eq=False)
class LevelAverage:
    """A level, by its label, averaged over the other axes on the metric's scale."""

    axis: Axis
    level: str
    estimate: Estimate
    note: str


@dataclass(frozen=True, eq=False)
class Factorial:
    """The effects of a grid's axes on one metric, on the metric's scale; its tests do not know the cells that are
    `apart`, which finished and cannot be compared.

    `told_apart` are comparisons that tell apart two cells which differ in one axis alone, by the axis's label.
    """

    metric: ShownMetric
    axes: Sequence[Axis]
    tests: Effects
    averages: Sequence[LevelAverage]
    told_apart: Mapping[str, CellComparison]
    apart: Sequence[CellRuns] = ()

    @property
    def ranked(self) -> list[Effect]:
        """The effects, those that matter first."""
        return sorted(self.tests.effects, key=lambda effect: (not self.matters(effect), -effect.share))

    def matters(self, effect: Effect) -> bool:
        """True where an effect is told from none: on average, or an axis between two cells that differ in it alone."""
        return shown(effect) or (effect.factors[0] in self.told_apart and len(effect.factors) == 1)


def shown(effect: Effect) -> bool:
    """True where an effect's own test tells it from none."""
    return effect.adjusted <= ALPHA


def factorial(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns], pairs: Sequence[CellComparison] = ()
) -> Factorial | None:
    """Effects and averages of a grid of two axes or more; None where it has fewer, or too few runs to say."""
    axes = [axis for axis in grid.meta.axes if grid.runs[f"axis.{axis.name}"].nunique() > 1]
    if len(axes) < 2 or metric.name not in grid.runs:
        return None
    frame, images = _frame(grid, metric, axes, cells)
    if frame.empty:
        return None
    try:
        tested = effects(frame, images)
    except InputError:
        # One seed, or an axis of which a single level finished: there is nothing to test.
        return None
    together = {
        label for effect in tested.effects if len(effect.factors) > 1 and shown(effect) for label in effect.factors
    }
    shown_alone = [
        of_factor for of_factor in marginals(frame) if not (of_factor.additive and of_factor.factor in together)
    ]
    averages = [average for marginal in shown_alone for average in _averages(metric, marginal, axes)]
    apart = [cell for cell in cells if not cell.comparable(metric.name)]
    return Factorial(metric, axes, tested, averages, _told_apart(grid, pairs), apart) if tested.effects else None


def _told_apart(grid: GridResults, pairs: Sequence[CellComparison]) -> dict[str, CellComparison]:
    """The surest comparison that tells apart two cells which differ in one axis alone, by the axis's label."""
    surest: dict[str, CellComparison] = {}
    for pair in sorted(pairs, key=lambda pair: pair.adjusted):
        differing = [
            axis.label for axis, a, b in zip(grid.meta.axes, pair.a.levels, pair.b.levels, strict=True) if a != b
        ]
        if pair.verdict in ("better", "worse") and len(differing) == 1:
            surest.setdefault(differing[0], pair)
    return surest


def _frame(
    grid: GridResults, metric: ShownMetric, axes: Sequence[Axis], cells: Sequence[CellRuns]
) -> tuple[pd.DataFrame, Array | None]:
    """The factors and their levels as a reader calls them, seed, and y on the metric's scale of every run that
    finished; and its values per held-out image, [rows, m], where they are known.

    Where seeds were added while one looked, only those of the first look, which all cells have; and none that several
    kinds of machine have made.
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
        LevelAverage(axis, level, _estimate(metric, values), marginal.note)
        for level, values in zip(marginal.levels, marginal.values, strict=True)
    ]


def _estimate(metric: ShownMetric, values: Array) -> Estimate:
    """The mean of values [seeds] on the metric's scale, with its interval, as values of the metric."""
    mean, half = mean_interval(values)
    if metric.scale == "linear":
        return Estimate(mean, half, dict(enumerate(values.tolist())))
    return Estimate(math.exp(mean), half, dict(enumerate(np.exp(values).tolist())), factor=True)
