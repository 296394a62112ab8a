"""Energy distance 2 E|X − Y| − E|X − X'| − E|Y − Y'|, of points (Székely & Rizzo 2013)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ablations.metrics.metric import Metric, MetricInfo
from ablations.metrics.sets import Examined, Judged, checked, chunks, distances


@dataclass(frozen=True)
class EnergyDistance(Metric):
    """Energy distance of generated and held-out points."""

    info = MetricInfo("Energy distance", "min", digits=4, decides="samples", least=0.0, of=("points",))

    def compute(self, judged: Judged) -> float:
        return energy_distance(judged.generated.stored, judged.real.stored, judged.real.once(_within))


def energy_distance(x: Tensor, y: Tensor, within_y: float | None = None) -> float:
    """2 E|X − Y| − E|X − X'| − E|Y − Y'| ≥ 0 of points [N, D], [M, D], means over all pairs, float64.

    Zero only for equal sets; X' = X counts among the pairs, so samples of one law score about E|X − X'|(1/N + 1/M).
    The square of `scipy.stats.energy_distance`; `within_y` is E|Y − Y'| where that is known already.
    """
    x, y = checked(x, "energy distance", at_least=1), checked(y, "energy distance", at_least=1)
    within_y = _mean_distance(y, y) if within_y is None else within_y
    return max(0.0, 2 * _mean_distance(x, y) - _mean_distance(x, x) - within_y)


def _within(real: Examined) -> float:
    points = checked(real.stored, "energy distance", at_least=1)
    return _mean_distance(points, points)


def _mean_distance(x: Tensor, y: Tensor) -> float:
    return math.fsum(float(distances(part, y).sum()) for part in chunks(x)) / (len(x) * len(y))
