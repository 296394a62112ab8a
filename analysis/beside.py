"""Two grids A and B side by side: the cells that both have, and whether what a cell gains is another in B.

    effect      d_s = a_s − b_s at each seed of one grid, on the metric's scale, of a comparison that both grids declare
    change      D = mean d in B − mean d in A, by Welch's test: the grids count as independent (`Estimate.less`)

With `seeds=auto` effects are over the seeds of the first look, whose number no result has chosen. The changes in a
metric are one family: by Holm's procedure at ¾ of α they differ from 0, and at ¼ they are smaller than the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from analysis.answers import Analysis
from analysis.claims import contrast
from analysis.errors import InputError
from analysis.grid_json import MetricInfo
from analysis.statistics import ALPHA, EQUAL, Estimate, Paired, settle

LARGER, SMALLER, REVERSED, SAME, UNKNOWN = "larger", "smaller", "reversed", "the same", "cannot tell"
Metrics = tuple[MetricInfo, MetricInfo]
"""A metric in A and in B."""


@dataclass(frozen=True, eq=False)
class Effect:
    """What a cell gains over another in A and in B, on the scale of the `metric`, with its `change`; ids are those in
    A. `p` is that of the verdict, adjusted for the other changes in the metric."""

    metric: MetricInfo
    cell: str
    reference: str
    own: tuple[Paired, Paired]
    change: Estimate
    p: float = math.nan
    verdict: str = UNKNOWN


def shared(a: Analysis, b: Analysis) -> dict[str, str]:
    """The cells of A that B has too, each with B's: those at the same levels, by name, of the axes that vary in both.
    InputError where there are none."""
    axes = [axis for axis in _varying(a) if axis in _varying(b)]
    ours, theirs = (
        {tuple(of.levels(cell)[axis] for axis in axes): cell for cell in of.at(alone(of, other))}
        for of, other in ((a, b), (b, a))
    )
    if not axes or not ours.keys() & theirs.keys():
        varied = (f"{of.meta.name} varies {', '.join(_varying(of)) or 'nothing'}" for of in (a, b))
        raise InputError(f"the two grids share no cell: {', '.join(varied)}: take two that vary the same axis")
    return {cell: theirs[levels] for levels, cell in ours.items() if levels in theirs}


def alone(of: Analysis, other: Analysis) -> dict[str, str]:
    """The axes that vary in this grid only, each with the level at which its cells are taken: the baseline's or, if it
    has none, the first."""
    axes = [axis for axis in of.meta.axes if axis.name in set(_varying(of)) - set(_varying(other))]
    return {axis.name: of.meta.baseline.get(axis.name, axis.levels[0].name) for axis in axes}


def _varying(of: Analysis) -> list[str]:
    return [str(axis) for axis, n in of.level_names.nunique().items() if n > 1]


def metrics_of(a: Analysis, b: Analysis) -> list[Metrics]:
    """The deciding metrics that both grids have: nll on test, fid against train, by whatever network."""
    pairs = [(ours, theirs) for ours in a.deciding for theirs in b.deciding]
    return [(ours, theirs) for ours, theirs in pairs if ours.name.split("/")[:2] == theirs.name.split("/")[:2]]


def effects_of(a: Analysis, b: Analysis, metrics: Metrics) -> list[Effect]:
    """The effects in a metric of the comparisons that both grids declare. Where only one of them compares it by
    logarithms, it is compared as it is."""
    cells, common, effects = shared(a, b), min(metrics, key=lambda metric: metric.scale == "log"), []
    for pair in a.declared:
        twin = (cells.get(pair[0], ""), cells.get(pair[1], ""))
        if twin in b.declared:
            first, second = _own(a, metrics[0], common, pair), _own(b, metrics[1], common, twin)
            effects.append(Effect(common, *pair, (first, second), second.less(first)))
    return _judged(effects)


def _own(of: Analysis, metric: MetricInfo, common: MetricInfo, pair: tuple[str, str]) -> Paired:
    """The effect of the first cell instead of the second in one grid."""
    terms = ((1.0, pair[0]), (-1.0, pair[1]))
    return Paired.of(contrast(of, replace(metric, scale=common.scale), terms, of.meta.first_look), metric.resolution)


def _judged(effects: list[Effect]) -> list[Effect]:
    """The effects with their verdicts. What changes at no seed is not tested."""
    p, judged = np.full((2, len(effects)), math.nan), []
    moved = [bool(effect.change.mean or effect.change.variance) for effect in effects]
    for i in np.flatnonzero(moved):
        p[:, i] = effects[i].change.p(), effects[i].change.equal(effects[i].metric.margin)
    rates = (1.0 if np.isnan(p[1]).all() else 1 - EQUAL, EQUAL)
    adjusted = np.array([np.minimum(settle(of, np.ones(len(of))) / rate, 1) for of, rate in zip(p, rates, strict=True)])
    for effect, moves, (apart, near) in zip(effects, moved, adjusted.T.tolist(), strict=True):
        same = near <= ALPHA or not moves
        verdict = SAME if same else _size(*effect.own) if apart <= ALPHA else UNKNOWN
        judged.append(replace(effect, p=near if same else apart, verdict=verdict))
    return judged


def _size(a: Paired, b: Paired) -> str:
    """The verdict on effects that differ: reversed where each is shown to be on its own side of 0."""
    if a.mean * b.mean < 0 and max(a.p(), b.p()) <= ALPHA:
        return REVERSED
    return LARGER if abs(b.mean) > abs(a.mean) else SMALLER
