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

from ablations.metrics.metric import Metric
from ablations.metrics.sets import Examined, Judged, checked, chunks

NEIGHBOURS = 5


@dataclass(frozen=True)
class DensityMetric(Metric):
    """Density of real samples where generated ones lie."""

    label = "Density"
    direction = "max"
    digits = 2
    least = 0.0
    extracts = True

    def compute(self, judged: Judged) -> float:
        return float(judged.once(_met).mean()) * len(judged.real.stored) / (NEIGHBOURS * len(judged.generated.stored))


@dataclass(frozen=True)
class CoverageMetric(Metric):
    """Share of real samples that generated ones come near to."""

    label = "Coverage"
    direction = "max"
    digits = 2
    counted = True
    extracts = True

    def compute(self, judged: Judged) -> float:
        return float((judged.once(_met) > 0).double().mean())


def _met(judged: Judged) -> Tensor:
    return met(judged.generated.features, judged.real.features, judged.real.once(_radii))


def _radii(real: Examined) -> Tensor:
    return radii(real.features)


def radii(real: Tensor) -> Tensor:
    """The distance from each real sample [M, d] to its k-th neighbour, [M]."""
    real = checked(real, "density and coverage", at_least=NEIGHBOURS + 1)
    # The nearest to a sample is itself.
    return torch.cat([_distances(part, real).kthvalue(NEIGHBOURS + 1, 1).values for part in chunks(real)])


def met(generated: Tensor, real: Tensor, reach: Tensor) -> Tensor:
    """The number of generated samples [N, d] in the ball of each real one [M, d], float64 [M]."""
    generated = checked(generated, "density and coverage", at_least=1)
    real = checked(real, "density and coverage", at_least=NEIGHBOURS + 1)
    counts = [(_distances(part, real) <= reach).sum(0) for part in chunks(generated)]
    return torch.stack(counts).sum(0).double()


def _distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
