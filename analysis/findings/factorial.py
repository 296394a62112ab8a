"""A factorial grid: which axes matter in a metric, and which depend on each other (`effects`, `marginals`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors import InputError
from analysis.findings.cells import CellRuns
from analysis.findings.spaces import share_autoencoders
from analysis.read.meta import Axis, ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.effects import Effect, Effects, effects
from analysis.statistics.marginals import Marginal, marginals
from analysis.statistics.paired import LEVEL, mean_interval


@dataclass(frozen=True, eq=False)
class LevelAverage:
    """A level, by its label, averaged over the other axes: mean and half-width over seeds."""

    axis: Axis
    level: str
    mean: float
    half_width: float
    note: str


@dataclass(frozen=True, eq=False)
class Factorial:
    """What the axes of a grid do to one metric; its tests know neither the cells that are `apart`, which finished and
    cannot be compared, nor, in latents, that cells share the luck of an autoencoder."""

    metric: ShownMetric
    axes: Sequence[Axis]
    found: Effects
    averages: Sequence[LevelAverage]
    apart: Sequence[CellRuns] = ()
    shared_autoencoders: bool = False

    @property
    def ranked(self) -> list[Effect]:
        """The effects, those that matter first."""
        return sorted(self.found.effects, key=lambda effect: (not matters(effect), -effect.share))


def matters(effect: Effect) -> bool:
    """Whether an effect is told from none at all."""
    return effect.adjusted <= 1 - LEVEL


def factorial(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> Factorial | None:
    """Effects and averages of a grid of two axes or more; None where it has fewer, or too few runs to say."""
    axes = [axis for axis in grid.meta.axes if grid.runs[f"axis.{axis.name}"].nunique() > 1]
    if len(axes) < 2 or metric.name not in grid.runs:
        return None
    frame = _frame(grid, metric, axes)
    try:
        found = effects(frame)
    except InputError:
        # One seed, or an axis of which a single level finished: there is nothing to test.
        return None
    together = _together(found)
    known = [one for one in marginals(frame) if not (one.additive and one.factor in together)]
    averages = [average for marginal in known for average in _averages(marginal, axes)]
    apart = [cell for cell in cells if not cell.comparable(metric.name)]
    return Factorial(metric, axes, found, averages, apart, share_autoencoders(grid)) if found.effects else None


def _together(found: Effects) -> set[str]:
    """The axes that depend on another: what a model without interactions expects of their levels means nothing."""
    pairs = [effect.factors for effect in found.effects if len(effect.factors) > 1 and matters(effect)]
    return {label for pair in pairs for label in pair}


def _frame(grid: GridResults, metric: ShownMetric, axes: Sequence[Axis]) -> pd.DataFrame:
    """The factors and their levels as a reader calls them, seed, training_id, and y of every run that finished."""
    finished = grid.runs[(grid.runs["status"] == "finished") & np.isfinite(grid.runs[metric.name])]
    factors = {axis.label: finished[f"axis.{axis.name}"].map(axis.label_of) for axis in axes}
    return pd.DataFrame(
        {**factors, "seed": finished["seed"], "training_id": finished["training_id"], "y": finished[metric.name]}
    )


def _averages(marginal: Marginal, axes: Sequence[Axis]) -> list[LevelAverage]:
    axis = next(axis for axis in axes if axis.label == marginal.factor)
    return [
        LevelAverage(axis, level, *mean_interval(values), marginal.note)
        for level, values in zip(marginal.levels, marginal.values, strict=True)
    ]
