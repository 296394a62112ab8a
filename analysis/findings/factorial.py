"""A factorial grid in words: which axes matter in a metric, and which depend on each other (`effects`, `marginals`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors import InputError
from analysis.findings.cells import cells_of
from analysis.findings.spaces import share_autoencoders
from analysis.notation import Rounding, probability
from analysis.read.meta import Axis, Metric
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
    """What the axes of a grid do to one metric."""

    metric: Metric
    axes: Sequence[Axis]
    found: Effects
    averages: Sequence[LevelAverage]
    cautions: Sequence[str] = ()

    @property
    def sentences(self) -> list[str]:
        """A sentence per effect, those that matter first; then what was left out."""
        ranked = sorted(self.found.effects, key=lambda effect: (not _matters(effect), -effect.share))
        return [*(self.sentence(effect) for effect in ranked), *self.found.notes, *self.cautions]

    def sentence(self, effect: Effect) -> str:
        """One effect with its test."""
        labels = effect.factors
        test = f"F({effect.df}, {effect.df_error:g}) = {Rounding().number(effect.F)}, p {probability(effect.adjusted)}"
        share = f"{100 * effect.share:.0f} % of what seeds do not explain"
        if len(labels) == 1:
            said = "matters" if _matters(effect) else "cannot be told to matter"
            return f"{self.metric.label}: {labels[0]} {said} ({test}; {share})."
        pair = " and ".join(labels)
        said = "depend on each other" if _matters(effect) else "cannot be told to depend on each other"
        return f"{self.metric.label}: {pair} {said} ({test}; {share})."


def _matters(effect: Effect) -> bool:
    """Whether an effect is told from none at all."""
    return effect.adjusted <= 1 - LEVEL


def factorial(grid: GridResults, metric: Metric) -> Factorial | None:
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
    return Factorial(metric, axes, found, averages, _cautions(grid, metric)) if found.effects else None


def _together(found: Effects) -> set[str]:
    """The axes that depend on another: what a model without interactions expects of their levels means nothing."""
    pairs = [effect.factors for effect in found.effects if len(effect.factors) > 1 and _matters(effect)]
    return {label for pair in pairs for label in pair}


def _cautions(grid: GridResults, metric: Metric) -> list[str]:
    """What the tests do not know of a grid in latents."""
    apart = [cell.name for cell in cells_of(grid) if not cell.comparable(metric.name)]
    said = [f"Not compared, though finished: {'; '.join(apart)}."] if apart else []
    if share_autoencoders(grid):
        said.append(
            "Cells that share an autoencoder share its luck at each seed, which these tests do not know: of the axes "
            "that change it they find too much."
        )
    return said


def _frame(grid: GridResults, metric: Metric, axes: Sequence[Axis]) -> pd.DataFrame:
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
