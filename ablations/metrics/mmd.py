"""MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y), k(x, y) = exp(−|x − y|²/(2σ²)) (Gretton et al. 2012).

Of features of images, or of points as they are. The bandwidth is the real set's own, σ² = width² tr Σ_Y, so that it is
one for all cells and no scale of features matters: two real samples have E |y − y'|²/(2σ²) = 1/width². The estimate is
unbiased: pairs are of two different samples, and a value may be a little below zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ablations.metrics.metric import Metric, MetricInfo
from ablations.metrics.sets import Judged, checked, chunks, distances


@dataclass(frozen=True)
class Mmd(Metric):
    """Maximum mean discrepancy of generated and of real samples, squared, by a Gaussian kernel."""

    width: float = 1.0

    info = MetricInfo("MMD²", "min", digits=4, decides="samples", extracts=True)

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"mmd.width must be above 0, got {self.width:g}")

    def compute(self, judged: Judged) -> float:
        real = judged.real.features
        deviation = math.sqrt(float(checked(real, "MMD", at_least=2).var(0).sum()))
        return mmd(judged.generated.features, real, self.width * deviation)


def mmd(x: Tensor, y: Tensor, sigma: float) -> float:
    """The unbiased MMD² of samples [N, d], [M, d] by a Gaussian kernel of this bandwidth."""
    x, y = checked(x, "MMD", at_least=2), checked(y, "MMD", at_least=2)
    if not sigma > 0:
        raise ValueError("MMD takes its bandwidth from the real samples, which are all equal")
    return _within(x, sigma) + _within(y, sigma) - 2 * _sum(x, y, sigma) / (len(x) * len(y))


def _within(x: Tensor, sigma: float) -> float:
    """The kernel's mean over pairs of two different samples; that of a sample with itself is 1."""
    return (_sum(x, x, sigma) - len(x)) / (len(x) * (len(x) - 1))


def _sum(x: Tensor, y: Tensor, sigma: float) -> float:
    return math.fsum(float((-(distances(part, y) ** 2) / (2 * sigma**2)).exp().sum()) for part in chunks(x))
