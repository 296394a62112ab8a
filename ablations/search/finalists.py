"""The trials of a search that are confirmed: the best, or with two objectives the ends of their Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ablations.metrics.metric import MetricColumn
from ablations.metrics.registry import fact_of
from ablations.search.optimizer import Optimizer
from ablations.search.optimizer.trials import StoredTrial
from analysis.labels import within


@dataclass(frozen=True)
class Finalist:
    """A trial that is confirmed, and its name among the confirmation's levels."""

    level: str
    label: str
    trial: StoredTrial


def finalists(optimizer: Optimizer) -> list[Finalist]:
    """The best trial; with two objectives the best of each, and the one between them that is nearest to both."""
    trials = {trial.number: trial for trial in optimizer.trials()}
    front = [trials[number] for number in optimizer.front()]
    if not front:
        return []
    if len(optimizer.objectives) == 1:
        return [Finalist("found", "found by search", front[0])]
    objectives = [fact_of(name) for name in optimizer.objectives]
    chosen = [
        Finalist(f"best_{short(objective)}", f"best {within(objective.label)}", _best(front, i, objective.sign))
        for i, objective in enumerate(objectives)
    ]
    ends = {winner.trial.values for winner in chosen}
    inner = [trial for trial in front if trial.values not in ends]
    chosen += [Finalist("between", "between", trial) for trial in between(inner, front, objectives)]
    return chosen if len(ends) == len(objectives) else [Finalist("found", "best in both", chosen[0].trial)]


def _best(front: list[StoredTrial], objective: int, sign: int) -> StoredTrial:
    return max(front, key=lambda trial: sign * trial.values[objective])


def short(metric: MetricColumn) -> str:
    """A metric's name in a level's name."""
    return metric.kind.removesuffix("_distance")


def between(
    inner: list[StoredTrial], front: list[StoredTrial], objectives: Sequence[MetricColumn]
) -> list[StoredTrial]:
    """The trial nearest to the best of both objectives, each scaled by the front; none where none lies between."""
    ranges = [(min(values), max(values)) for values in zip(*(trial.values for trial in front), strict=True)]
    bests = [high if objective.sign > 0 else low for objective, (low, high) in zip(objectives, ranges, strict=True)]

    def distance(trial: StoredTrial) -> float:
        places = zip(trial.values, bests, ranges, strict=True)
        return math.hypot(*((value - best) / (high - low) for value, best, (low, high) in places))

    return [min(inner, key=distance)] if inner else []
