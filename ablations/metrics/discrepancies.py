"""Discrepancies of a set X of generated samples and a set Y of real ones, by means over pairs of samples.

KID    E k(x, x') + E k(y, y') − 2 E k(x, y), k(x, y) = (xᵀy/d + 1)³, of features      (Bińkowski et al. 2018)
MMD²   the same, k(x, y) = exp(−|x − y|²/(2σ²)), of features or points               (Gretton et al. 2012)
energy distance   2 E|X − Y| − E|X − X'| − E|Y − Y'|, of points                        (Székely & Rizzo 2013)

KID and MMD² are estimated without bias: pairs are of two different samples, and a value may be a little below zero. The
bandwidth of MMD² is the real set's own, σ² = width² tr Σ_Y, so that it is one for all cells and no scale of features
matters: two real samples have E |y − y'|²/(2σ²) = 1/width².
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ablations.metrics.metric import CHUNK, Comparison, FeatureSet, Metric, MetricInfo, checked

SUBSETS, SUBSET_SIZE = 20, 1000
SEED = 2020


@dataclass(frozen=True)
class Kid(Metric):
    """Kernel distance of the features of generated and of real images, by a cubic kernel."""

    info = MetricInfo("KID", "min", digits=3, of=("images",), extracts=True)

    def compute(self, sets: Comparison) -> float:
        extractor = sets.real.extractor
        assert extractor is not None, "images have an extractor"
        return kid(sets.generated.features, sets.real.features, standardised=extractor.module.standardised)


def kid(generated: Tensor, real: Tensor, *, standardised: bool = True) -> float:
    """KID of features [N, d], [M, d], standardised by the real ones because k is cubic.

    Not standardised it is as published for Inception, whose features' scale everybody shares.

    The mean over fixed draws of subsets of equal size: all of the smaller set, where it has no more than 1000.
    """
    from torch_fidelity.metric_kid import mmd2

    generated, real = checked(generated, "KID", at_least=2), checked(real, "KID", at_least=2)
    if standardised:
        mean, std = real.mean(0), real.std(0)
        std = torch.where(std > 0, std, torch.ones_like(std))
        generated, real = (generated - mean) / std, (real - mean) / std
    size = min(len(generated), len(real), SUBSET_SIZE)
    drawn, values = np.random.RandomState(SEED), []
    for _ in range(SUBSETS):
        x, y = (part[drawn.choice(len(part), size, replace=False)] for part in (generated, real))
        # The kernel is torch's: torch-fidelity's takes ten times as long to cube a number.
        kernels = (((a @ b.T) / a.shape[1] + 1).pow_(3).cpu().numpy() for a, b in ((x, x), (x, y), (y, y)))
        values.append(float(mmd2(*kernels)))
    return float(np.mean(values))


@dataclass(frozen=True)
class Mmd(Metric):
    """Maximum mean discrepancy of generated and of real samples, squared, by a Gaussian kernel."""

    width: float = 1.0

    info = MetricInfo("MMD²", "min", digits=4, decides="samples", extracts=True)

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"mmd.width must be above 0, got {self.width:g}")

    def compute(self, sets: Comparison) -> float:
        real = sets.real.features
        deviation = math.sqrt(float(checked(real, "MMD", at_least=2).var(0).sum()))
        return mmd(sets.generated.features, real, self.width * deviation)


def mmd(x: Tensor, y: Tensor, sigma: float) -> float:
    """The unbiased MMD² of samples [N, d], [M, d] by a Gaussian kernel of this bandwidth."""
    x, y = checked(x, "MMD", at_least=2), checked(y, "MMD", at_least=2)
    if not sigma > 0:
        raise ValueError("MMD takes its bandwidth from the real samples, which are all equal")
    return _mean_kernel(x, sigma) + _mean_kernel(y, sigma) - 2 * _sum_of_kernel(x, y, sigma) / (len(x) * len(y))


def _mean_kernel(x: Tensor, sigma: float) -> float:
    """The kernel's mean over pairs of two different samples; that of a sample with itself is 1."""
    return (_sum_of_kernel(x, x, sigma) - len(x)) / (len(x) * (len(x) - 1))


def _sum_of_kernel(x: Tensor, y: Tensor, sigma: float) -> float:
    return math.fsum(float((-(distances(part, y) ** 2) / (2 * sigma**2)).exp().sum()) for part in torch.split(x, CHUNK))


@dataclass(frozen=True)
class EnergyDistance(Metric):
    """Energy distance of generated and held-out points."""

    info = MetricInfo("Energy distance", "min", digits=4, decides="samples", least=0.0, of=("points",))

    def compute(self, sets: Comparison) -> float:
        return energy_distance(sets.generated.stored, sets.real.stored, sets.real.cached(_mean_within))


def energy_distance(x: Tensor, y: Tensor, within_y: float | None = None) -> float:
    """2 E|X − Y| − E|X − X'| − E|Y − Y'| ≥ 0 of points [N, D], [M, D], means over all pairs, float64.

    Zero only for equal sets; X' = X counts among the pairs, so samples of one law score about E|X − X'|(1/N + 1/M).
    The square of `scipy.stats.energy_distance`; `within_y` is E|Y − Y'| where that is known already.
    """
    x, y = checked(x, "energy distance", at_least=1), checked(y, "energy distance", at_least=1)
    within_y = _mean_distance(y, y) if within_y is None else within_y
    return max(0.0, 2 * _mean_distance(x, y) - _mean_distance(x, x) - within_y)


def _mean_within(real: FeatureSet) -> float:
    points = checked(real.stored, "energy distance", at_least=1)
    return _mean_distance(points, points)


def _mean_distance(x: Tensor, y: Tensor) -> float:
    return math.fsum(float(distances(part, y).sum()) for part in torch.split(x, CHUNK)) / (len(x) * len(y))


def distances(x: Tensor, y: Tensor) -> Tensor:
    """|x − y| of rows [N, d], [M, d], without the matrix product, which loses half the digits of small distances."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
