"""FID_∞ against the distance of Gaussians that is known, where FID is biased."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ablations.metrics.fid import FidInfinity, fid, fid_infinity, fid_statistics, shuffled
from ablations.metrics.sets import Examined, Judged
from tests.ablations.metrics.draws import normal, with_moments

WIDTH = 24
SPREAD = torch.linspace(0.3, 2, WIDTH, dtype=torch.float64)
SHIFT = 0.2


def real() -> Tensor:
    """Features with mean 0 and covariance I, exactly."""
    return with_moments(torch.zeros(WIDTH, dtype=torch.float64), torch.eye(WIDTH, dtype=torch.float64))


def generated(n: int, seed: int) -> Tensor:
    return SHIFT + SPREAD * normal(n, WIDTH, seed)


KNOWN = float(WIDTH * SHIFT**2 + ((SPREAD - 1) ** 2).sum())
"""The distance of N(0, I) and N(0.2, diag s²)."""


@pytest.mark.parametrize("n", [150, 400])
def test_its_mean_is_the_known_distance_where_fid_is_too_large(n):
    known, statistics = KNOWN, fid_statistics(real())
    sets = [generated(n, seed) for seed in range(60)]
    plain = torch.tensor([fid(fid_statistics(x), statistics) for x in sets], dtype=torch.float64)
    extrapolated = torch.tensor([fid_infinity(x, statistics) for x in sets], dtype=torch.float64)
    error = extrapolated.std() / len(sets) ** 0.5
    bias = plain.mean() - known
    assert bias > 8 * error
    # What is left is of order 1/n².
    assert abs(extrapolated.mean() - known) < 3 * error + 0.05 * bias
    assert extrapolated.std() < 1.2 * plain.std()


def test_real_images_score_about_nothing():
    statistics = fid_statistics(real())
    values = torch.tensor([fid_infinity(normal(400, WIDTH, seed), statistics) for seed in range(1, 41)])
    assert values.mean().abs() < 3 * values.std() / len(values) ** 0.5 + 0.02


def test_samples_are_halved_by_chance_in_whatever_order_they_come():
    """Features in an order of their own, as real images sorted by class have, would make halves of two kinds."""
    sorted_features = generated(400, 3).sort(0).values
    order = torch.randperm(400, generator=torch.Generator().manual_seed(5))
    one, other = (
        FidInfinity().compute(Judged(Examined(x), Examined(real()))) for x in (sorted_features, sorted_features[order])
    )
    assert one == other
    assert shuffled(sorted_features).sort().values.tolist() == list(range(400))
    assert shuffled(sorted_features).tolist() != list(range(400))


def test_too_few_images_for_the_halves_are_refused_by_saying_how_many_it_takes():
    with pytest.raises(ValueError, match=r"at least 50 images.*the 24 features, got 49: take evaluation\.n=50"):
        fid_infinity(generated(49, 0), fid_statistics(real()))


def test_its_column_says_what_it_is_held_against():
    assert FidInfinity.column("test", "digits-cnn").name == "fid_infinity/test/digits-cnn"
