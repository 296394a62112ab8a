"""FID, held-out FID and FID_∞ against distances of Gaussians that are known, a copier, and known limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ablations.metrics import fid as metric
from ablations.metrics.fid import Fid, FidHeldOut, FidInfinity, fid_infinity, fid_statistics, shuffled
from ablations.metrics.metric import Comparison, FeatureSet
from tests.ablations.metrics.conftest import normal, with_moments


def fid(x: Tensor, y: Tensor) -> float:
    return metric.fid(fid_statistics(x), fid_statistics(y))


def test_fid_of_gaussians_whose_covariances_do_not_commute():
    a = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, -0.5], [-0.5, 3.0]], dtype=torch.float64)
    # For 2×2: tr √M = √(tr M + 2 √det M).
    root = math.sqrt(float((a @ b).trace()) + 2 * math.sqrt(float(torch.linalg.det(a @ b))))
    shift = torch.tensor([1.0, -2.0], dtype=torch.float64)
    closed = float((shift**2).sum() + a.trace() + b.trace()) - 2 * root
    x, y = with_moments(shift, a, seed=1), with_moments(0 * shift, b, n=700, seed=2)
    assert fid(x, y) == pytest.approx(closed, abs=1e-6)
    assert fid(y, x) == pytest.approx(closed, abs=1e-6)
    # Points stand for features, which a set without an extractor gives as they are.
    beside = Comparison(FeatureSet(x), FeatureSet(normal(300, 2)), FeatureSet(y))
    assert FidHeldOut().compute(beside) == pytest.approx(closed, abs=1e-6)


def test_fid_of_equal_and_of_constant_sets():
    x = normal(300, 64)
    assert 0 <= fid(x, x) < 1e-8
    y = with_moments(torch.full((4,), 2.0, dtype=torch.float64), torch.eye(4, dtype=torch.float64))
    assert fid(torch.zeros(50, 4), y) == pytest.approx(4 * 4 + 4, abs=1e-6)


def test_a_copier_is_told_by_the_held_out_distance_alone():
    real, held_out = normal(60, 5, 0), normal(60, 5, 1)
    copies = Comparison(FeatureSet(real), FeatureSet(real), FeatureSet(held_out))
    assert Fid().compute(copies) == pytest.approx(0, abs=1e-6)
    assert FidHeldOut().compute(copies) == pytest.approx(fid(real, held_out))
    assert fid(real, held_out) > 0.1


WIDTH = 24
SPREAD = torch.linspace(0.3, 2, WIDTH, dtype=torch.float64)
SHIFT = 0.2
KNOWN = float(WIDTH * SHIFT**2 + ((SPREAD - 1) ** 2).sum())
"""The distance of N(0, I) and N(0.2, diag s²)."""


@pytest.fixture(scope="module")
def real() -> Tensor:
    """Features with mean 0 and covariance I, exactly."""
    return with_moments(torch.zeros(WIDTH, dtype=torch.float64), torch.eye(WIDTH, dtype=torch.float64))


def generated(n: int, seed: int) -> Tensor:
    return SHIFT + SPREAD * normal(n, WIDTH, seed)


def test_the_mean_of_fid_infinity_is_the_known_distance_where_fid_is_too_large(real):
    statistics = fid_statistics(real)
    sets = [generated(150, seed) for seed in range(60)]
    plain = torch.tensor([metric.fid(fid_statistics(x), statistics) for x in sets], dtype=torch.float64)
    extrapolated = torch.tensor([fid_infinity(x, statistics) for x in sets], dtype=torch.float64)
    error = extrapolated.std() / len(sets) ** 0.5
    bias = plain.mean() - KNOWN
    assert bias > 8 * error
    # What is left is of order 1/n².
    assert abs(extrapolated.mean() - KNOWN) < 3 * error + 0.05 * bias
    assert extrapolated.std() < 1.2 * plain.std()


def test_samples_are_halved_by_chance_in_whatever_order_they_come(real):
    """Features in an order of their own, as real images sorted by class have, would make halves of two kinds."""
    in_order = generated(400, 3).sort(0).values
    order = torch.randperm(400, generator=torch.Generator().manual_seed(5))
    one, other = (
        FidInfinity().compute(Comparison(FeatureSet(x), FeatureSet(real))) for x in (in_order, in_order[order])
    )
    assert one == other
    assert shuffled(in_order).sort().values.tolist() == list(range(400)) != shuffled(in_order).tolist()
    with pytest.raises(ValueError, match=r"at least 50 images.*the 24 features, got 49: take evaluation\.n=50"):
        fid_infinity(in_order[:49], fid_statistics(real))
