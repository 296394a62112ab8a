"""The deck's 2-D claims against densities written with torch.distributions."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from ablations.data.shipped import Mixture2d
from diffusion_core.schedules import Cosine, Linear
from diffusion_core.variances import Beta
from examples.lecture import mixture


def marginal(data, alpha_bar):
    """q(x_t)."""
    angle = 2 * math.pi * torch.arange(data.modes, dtype=torch.float64) / data.modes
    centres = alpha_bar**0.5 * torch.stack([angle.cos(), angle.sin()], dim=1)
    width = (alpha_bar * data.std**2 + 1 - alpha_bar) ** 0.5
    normals = Independent(Normal(centres, torch.full_like(centres, width)), 1)
    return MixtureSameFamily(Categorical(torch.ones(data.modes, dtype=torch.float64)), normals)


@pytest.mark.thorough
@pytest.mark.parametrize(("alpha_bar", "beta"), [(0.9, 0.5), (1.0, 0.05)])
def test_the_reverse_step_and_its_divergence_by_integration(alpha_bar, beta):
    """q(x_s | x_t) = q(x_s) q(x_t | x_s) / q(x_t) on a lattice, its moments and its KL as sums over it."""
    data = Mixture2d(modes=3, std=0.3)
    x_t = torch.tensor([[0.4, -0.2], [1.1, 0.3]], dtype=torch.float64)
    edge = torch.linspace(-4, 4, 1001, dtype=torch.float64)
    x = torch.cartesian_prod(edge, edge)
    area = float(edge[1] - edge[0]) ** 2
    step = mixture.reverse_step(data, alpha_bar, beta, x_t)
    found = mixture.kl_from_moments(step)
    for i in range(len(x_t)):
        likelihood = Independent(Normal((1 - beta) ** 0.5 * x, beta**0.5), 1).log_prob(x_t[i])
        log_q = marginal(data, alpha_bar).log_prob(x) + likelihood
        log_q = log_q - torch.log(log_q.exp().sum() * area)
        torch.testing.assert_close(step.density.log_prob(x[:, None])[:, i], log_q, atol=1e-8, rtol=1e-6)
        q = log_q.exp() * area
        mean = (q[:, None] * x).sum(0)
        covariance = torch.einsum("n,ni,nj->ij", q, x - mean, x - mean)
        gaussian = MultivariateNormal(mean, covariance).log_prob(x)
        assert float(found[i]) == pytest.approx(float((q * (log_q - gaussian)).sum()), rel=2e-3, abs=1e-9)


def test_one_gaussian_has_gaussian_reverse_steps():
    assert mixture.reverse_kl(Mixture2d(modes=1), 0.9, 0.5) == pytest.approx(0, abs=1e-12)


def test_the_reverse_step_tends_to_a_gaussian_as_beta_falls():
    for level in mixture.LEVELS:
        found = [mixture.reverse_kl(Mixture2d(), level, beta) for beta in (0.001, 0.03, 0.99)]
        assert all(a < b for a, b in pairwise(found))
        assert found[0] < 1e-4 * found[-1]


@pytest.mark.parametrize("schedule", [Linear(), Cosine()])
def test_the_exact_noise_is_the_score(schedule):
    """E[ε | x_t] = −√(1 − ᾱ_t) ∇ log q(x_t)."""
    data, horizon = Mixture2d(modes=5, std=0.3), 50
    exact = mixture.ExactNoise(data, schedule, horizon)
    for t in (1, 20, 50):
        x_t = torch.randn(7, 2, generator=torch.Generator().manual_seed(t), dtype=torch.float64, requires_grad=True)
        alpha_bar = float(torch.sigmoid(-schedule.gamma(horizon)(torch.tensor(t))))
        (score,) = torch.autograd.grad(marginal(data, alpha_bar).log_prob(x_t).sum(), x_t)
        found = exact(x_t.detach(), torch.full((7,), t * 1000 / horizon))
        torch.testing.assert_close(found, -((1 - alpha_bar) ** 0.5) * score)


@pytest.mark.thorough
def test_the_bound_lies_above_the_exact_density_and_comes_nearer():
    gaps = [mixture.gap(Mixture2d(), Linear(), Beta(), horizon) for horizon in (25, 100, 1000)]
    assert gaps[0] > gaps[1] > gaps[2] > 0
