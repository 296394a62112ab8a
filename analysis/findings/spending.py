"""The best use of the next minute, for a metric of generated samples: another seed, or more samples per seed.

    Var d̄ = (a + b/k)/n        a: variance between seeds, b: what drawing one set adds, k sets per seed, n seeds
    seconds = n (T + k S)       T of a training and its likelihood, S of a set

At equal seconds, Var d̄ is least at k = √(bT/(aS)), whatever n. From k = 10 b/a on, drawing adds less than a tenth. b
assumes that two cells draw independently. In fact they use the same noise at each seed, so b is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.findings.cells import CellRuns
from analysis.findings.costs import SAMPLE_SECONDS, TRAIN_SECONDS
from analysis.findings.verdicts import Findings
from analysis.grid_json import ShownMetric
from analysis.schema import RUNG_SECONDS, SET_SPREAD

SCORING = ("cost/bound_seconds", "cost/unlabelled_seconds", "cost/fit_seconds", "cost/guidance_seconds", RUNG_SECONDS)
"""The seconds of a seed other than its training's and its samples'."""
LITTLE = 0.1
"""The share of the seeds' variance below which what drawing adds is negligible."""
MANY = 16
"""The most sets per seed that `evaluation.sets=auto` draws."""


@dataclass(frozen=True)
class Spending:
    """The noise and cost of a metric of samples, drawn in `sets` sets per seed. `share` is the part of a difference's
    variance between seeds that drawing causes. `best` is the number of sets that uses time best; from `enough` sets on,
    drawing adds less than a tenth (inf where seeds differ by nothing else)."""

    metric: ShownMetric
    sets: int
    share: float
    best: float
    enough: float
    seed_seconds: float
    set_seconds: float


def spending(answer: Findings) -> Spending | None:
    """A metric's noise and cost; None where they are not known, or no two cells are compared."""
    pairs = [pair for pair in answer.pairs if pair.comparison.n > 1 and not pair.same]
    drawn = [(_drawn(answer.metric, pair.a), _drawn(answer.metric, pair.b)) for pair in pairs]
    variances = [
        (pair.comparison.seed_sd**2, a + b) for pair, (a, b) in zip(pairs, drawn, strict=True) if not math.isnan(a + b)
    ]
    sets = {cell.sets for cell in answer.cells if cell.sets}
    if not variances or len(sets) != 1:
        return None
    (k,) = sets
    total, one_set = (float(np.mean(column)) for column in zip(*variances, strict=True))
    seeds = max(total - one_set / k, 0.0)
    seed_seconds = _seconds(answer.cells, (*TRAIN_SECONDS, *SCORING))
    set_seconds = _seconds(answer.cells, (SAMPLE_SECONDS,)) / k
    if not (total > 0 and seed_seconds > 0 and set_seconds > 0):
        return None
    ratio = one_set / seeds if seeds else math.inf
    best = math.sqrt(ratio * seed_seconds / set_seconds)
    return Spending(answer.metric, k, min(one_set / k / total, 1.0), best, ratio / LITTLE, seed_seconds, set_seconds)


def _drawn(metric: ShownMetric, cell: CellRuns) -> float:
    """The variance that drawing one set adds to a cell's value, on the metric's scale; nan if there is one set only."""
    name = f"{metric.name}{SET_SPREAD}"
    if name not in cell.runs or cell.runs[name].isna().all():
        return math.nan
    size = cell.runs[metric.name] if metric.scale == "log" else 1.0
    return float(np.square(cell.runs[name] / size).mean())


def _seconds(cells: Sequence[CellRuns], names: Sequence[str]) -> float:
    """The sum of these seconds in a run, on average over runs."""
    each = [sum(float(cell.runs[name].fillna(0).mean()) for name in names if name in cell.runs) for cell in cells]
    return float(np.mean(each))
