"""Fitted variances on Gaussian data, whose true reverse step is Gaussian: fitted exactly, the bound has no gap."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import GreyLevels
from diffusion_core.fitting import noise_moments, with_fitted_variance
from diffusion_core.parameterizations import X0, EdmParameterization, Epsilon, Mu, Parameterization, V, Velocity
from diffusion_core.problems import GaussianData, diffusion, exact_model, expected_terms
from diffusion_core.schedules import Cosine, Linear, Rectified, Schedule
from diffusion_core.variances import Analytic, Fitted, Moments
from tests.axes import members, name, paired, spoken

DATA = GaussianData((0.4, 0.4))
BITS = 2 * math.log(2)
"""Nats of two dimensions in a bit of each."""


def alpha_bar_of(model: Diffusion) -> Tensor:
    """ᾱ_0..ᾱ_T."""
    return torch.sigmoid(-model.gamma(torch.arange(model.choices.horizon + 1)))


def posterior_variance(model: Diffusion) -> Tensor:
    """Var(x_0 | x_t) = s (1 − ᾱ)/V, V = ᾱ s + 1 − ᾱ the variance of x_t."""
    alpha_bar = alpha_bar_of(model)[1:]
    return DATA.variances[0] * (1 - alpha_bar) / (alpha_bar * DATA.variances[0] + 1 - alpha_bar)


def exact_moments(model: Diffusion) -> Moments:
    """E(ε² − E[ε|x_t]²) = Var(ε|x_t) = ᾱ Var(x_0|x_t)/(1 − ᾱ), E(x_0 − E[x_0|x_t])² = Var(x_0|x_t), and Var x_0."""
    alpha_bar, variance = alpha_bar_of(model)[1:], posterior_variance(model)
    data = torch.tensor(DATA.variances[0], dtype=torch.float64)
    return Moments(alpha_bar * variance / (1 - alpha_bar), 0 * variance, variance, alpha_bar, data)


@paired(
    spoken,
    parameterization=members(Parameterization),
    schedule=members(Schedule),
    variance=members(Fitted),
    chain=((25, None), (100, None), (100, 7), (30, 1)),
)
def test_with_the_exact_moments_the_bound_is_the_entropy_at_any_number_of_steps(
    parameterization, schedule, variance, chain
):
    """Less KL(q(x_T) ‖ N(0, I)), which no reverse step can mend."""
    horizon, steps = chain
    model = exact_model(horizon, variance, DATA, parameterization, schedule).requires_grad_(False)
    model.fit(variance.x0_variance(exact_moments(model)))
    alpha_bar_T = alpha_bar_of(model)[-1]
    q = torch.distributions.Normal(0.0, (alpha_bar_T * DATA.variances[0] + 1 - alpha_bar_T).sqrt())
    prior = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).item() / math.log(2)
    bound = expected_terms(model, DATA, steps).sum() + DATA.expected(lambda x0, eps: model.prior(x0[None])).sum() / BITS
    assert bound.item() == pytest.approx(DATA.entropy + prior, abs=2e-6)


@pytest.mark.parametrize(
    ("parameterization", "schedule"),
    [
        (X0(), Linear()),
        (Mu(), Cosine()),
        (V(), Rectified()),
        (Velocity(), Linear()),
        (EdmParameterization(), Rectified()),
        (Epsilon(), Rectified(end=0.99)),
    ],
    ids=name,
)
def test_measured_moments_agree_with_their_expectation_within_their_error(parameterization, schedule):
    model = exact_model(25, Analytic(), DATA, parameterization, schedule)
    draws = 20_000
    raw = DATA.variances[0] ** 0.5 * torch.randn(30_000, 2, generator=torch.Generator().manual_seed(0))
    moments, exact = noise_moments(model, raw, draws=draws, seed=0), exact_moments(model)
    # The draws share the images between all t. ε² − ε̂² is 2 x y for the sum and difference of two normals, ε̂ = √m' ε'
    # with m' = E ε̂²: its variance is 2 (1 − m'²) + … ≤ 4 m for m = 1 − m', since Var(ε² − ε̂²) = 2 (1 + m'² − 2 m'²).
    spread = (2 * (1 - (1 - exact.noise) ** 2) / (2 * draws)).sqrt()
    assert ((moments.noise - exact.noise).abs() < 5 * spread + 1e-6).all()
    torch.testing.assert_close(moments.noise_se, spread, rtol=0.05, atol=1e-9)
    error = 5 * math.sqrt(2 / (2 * draws)) * exact.error
    assert ((moments.error - exact.error).abs() < error + 1e-6).all()
    torch.testing.assert_close(moments.alpha_bar, exact.alpha_bar, rtol=1e-12, atol=0)
    assert moments.data.item() == pytest.approx(DATA.variances[0], rel=5 * math.sqrt(2 / (2 * 4096)))


def test_noise_is_the_networks_own_where_its_estimate_is_beyond_the_data():
    """ε̂ = 2 in each dimension: E(ε² − ε̂²) = 1 − 4 at every t, while x̂_0 = (x_t − 2 √(1 − ᾱ))/√ᾱ leaves [−1, 1]."""
    model = diffusion(lambda x_t, t: 0 * x_t + 2, 25, variance=Analytic(), encoding=GreyLevels())
    raw = torch.randint(256, (2000, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    moments = noise_moments(model, raw, draws=2000, seed=0)
    torch.testing.assert_close(moments.noise, torch.full_like(moments.noise, -3.0), rtol=0, atol=5 * (2 / 4000) ** 0.5)
    # Clipped, it is off by 2 at most.
    assert moments.error.max() <= 4


def test_the_variance_of_grey_levels_is_that_of_their_values():
    raw = torch.tensor([[10, 30], [200, 90], [255, 1]], dtype=torch.uint8)
    model = diffusion(lambda x_t, t: 0 * x_t, 50, variance=Analytic(), encoding=GreyLevels())
    moments = noise_moments(model, raw, draws=4, seed=0)
    assert moments.data.item() == pytest.approx((raw.double() / 127.5 - 1).var(0, correction=0).mean().item(), rel=1e-6)


def test_a_fit_is_of_the_networks_moments():
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    model = diffusion(lambda x_t, t: 0.5 * x_t, 20, schedule=Linear(rescale=False))
    moments = noise_moments(model, data, draws=16, seed=3)
    for variance in members(Fitted):
        fitted = with_fitted_variance(model, variance, data, draws=16, seed=3)
        assert torch.equal(fitted.x0_variance[1:], variance.x0_variance(moments))
