"""Density and coverage, of features of images or of points as they are (Naeem et al. 2020).

density    1/(kN) Σ_x #{y : x in y's ball}      how deep X lies where Y is: about 1 for samples of Y's law
coverage   share of Y whose ball holds some x   how much of Y is met

A ball reaches from a real sample y to its k-th neighbour in Y, k = 5. So an outlier of X widens nothing, which it does
for recall.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ablations.metrics.metric import Metric, MetricInfo
from ablations.metrics.sets import Examined, Judged, checked, chunks, distances

NEIGHBOURS = 5


@dataclass(frozen=True)
class DensityMetric(Metric):
    """Density of real samples where generated ones lie."""

    info = MetricInfo("Density", "max", digits=2, least=0.0, extracts=True)

    def compute(self, judged: Judged) -> float:
        return float(judged.once(met).mean()) * len(judged.real.stored) / (NEIGHBOURS * len(judged.generated.stored))


@dataclass(frozen=True)
class CoverageMetric(Metric):
    """Share of real samples that generated ones come near to."""

    info = MetricInfo("Coverage", "max", digits=2, counted=True, extracts=True)

    def compute(self, judged: Judged) -> float:
        return float((judged.once(met) > 0).double().mean())


def radii(real: Examined) -> Tensor:
    """The distance from each real sample to its k-th neighbour, [M]."""
    y = checked(real.features, "density and coverage", at_least=NEIGHBOURS + 1)
    # The nearest to a sample is itself.
    return torch.cat([distances(part, y).kthvalue(NEIGHBOURS + 1, 1).values for part in chunks(y)])


def met(judged: Judged) -> Tensor:
    """The number of generated samples in the ball of each real one, float64 [M]."""
    reach, y = judged.real.once(radii), judged.real.features
    x = checked(judged.generated.features, "density and coverage", at_least=1)
    return torch.stack([(distances(part, y) <= reach).sum(0) for part in chunks(x)]).sum(0).double()
