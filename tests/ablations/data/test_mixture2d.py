"""The mixture's density and points against torch.distributions and its moments."""

from __future__ import annotations

import math

import pytest
import torch

from ablations.data.mixture2d import Mixture2d


def test_the_mixtures_density_is_torchs():
    mixture = Mixture2d(modes=5, std=0.3)
    components = torch.distributions.Independent(torch.distributions.Normal(mixture.means, mixture.std), 1)
    truth = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(5).double()), components)
    x = torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixture.log_density(x), truth.log_prob(x), rtol=1e-10, atol=1e-10)


def test_the_mixtures_points_have_its_moments():
    mixture = Mixture2d(modes=8, std=0.2)
    points = mixture.load().images["train"].double()
    assert points.mean(0).abs().max() < 4 * math.sqrt(0.54 / len(points))
    assert points.var(0).mean() == pytest.approx(0.5 + 0.2**2, rel=0.03)


@pytest.mark.parametrize("wrong", [{"modes": 0}, {"std": 0.0}, {"std": -1.0}])
def test_an_impossible_mixture_is_refused(wrong):
    with pytest.raises(ValueError, match="modes >= 1 and std > 0"):
        Mixture2d(**wrong)


def test_a_points_label_is_its_mode():
    mixture = Mixture2d(modes=5, std=0.1)
    data = mixture.load()
    assert data.classes == 5
    for split, points in data.images.items():
        from_mode = (points.double() - mixture.means[data.labels[split]]) / mixture.std
        assert from_mode.norm(dim=1).max() < 6
        assert from_mode.pow(2).mean().item() == pytest.approx(1, abs=0.1)
