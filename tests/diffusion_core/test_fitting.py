"""Fitted variances on Gaussian data, whose true reverse step is Gaussian: fitted exactly, the bound has no gap."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor

from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.fitting import noise_moments, with_fitted_variance
from diffusion_core.parameterizations import X0, EdmParameterization, Epsilon, Mu, Parameterization, V, Velocity
from diffusion_core.problems import Function, GaussianData, denoiser_output, diffusion, exact_model, expected_terms
from diffusion_core.schedules import Cosine, Linear, Rectified, Schedule
from diffusion_core.spacings import QuadraticSpacing
from diffusion_core.variances import Analytic, AnalyticMse, Fitted, Moments
from tests.axes import members, name, paired, spoken

DATA = GaussianData((0.4, 0.4))
BITS = 2 * math.log(2)
"""Nats of two dimensions in a bit of each."""
FITTED = pytest.mark.parametrize("variance", members(Fitted), ids=name)


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


def test_measured_moments_depend_on_the_seed_alone():
    model, raw = exact_model(50, Analytic(), DATA), torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    one, same, other = (noise_moments(model, raw, draws=100, seed=seed).noise for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.isclose(one, other).any()


def test_the_two_choices_part_where_the_network_is_not_exact():
    """Half of the exact ε̂ has a quarter of its norm, n; its error is ¼ n + 1 − n, and both times (1 − ᾱ)/ᾱ."""
    exact = exact_model(50, Analytic(), DATA)
    output = denoiser_output(DATA.denoise, Epsilon(), Linear(), 50)
    model = diffusion(lambda x_t, t: 0.5 * output(x_t, t), 50, variance=Analytic())
    raw = DATA.variances[0] ** 0.5 * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(1))
    moments = noise_moments(model, raw, draws=20_000, seed=0)
    norm = 1 - exact_moments(exact).noise
    ratio = (1 - moments.alpha_bar) / moments.alpha_bar
    told = ((1 - norm / 4) * ratio).clamp(max=DATA.variances[0])
    torch.testing.assert_close(Analytic().x0_variance(moments), told, rtol=0.05, atol=1e-3)
    missed = (1 - norm + norm / 4) * ratio
    torch.testing.assert_close(AnalyticMse().x0_variance(moments), missed, rtol=0.05, atol=1e-3)


def test_few_steps_from_noise_cost_an_analytic_variance_no_more_than_the_exact_one():
    """At t near T its estimate's noise, which (1 − ᾱ)/ᾱ multiplies, is above Var x_0: with it alone the bound at two
    steps is above 3,000 bits/dim for half of the seeds."""
    model, data = exact_model(200, Analytic(), DATA), DATA.variances[0]
    raw = data**0.5 * torch.randn(4096, 2, generator=torch.Generator().manual_seed(0))
    model.fit(posterior_variance(model))
    exact = {steps: expected_terms(model, DATA, steps).sum().item() for steps in (2, 3, 5)}
    # ε² − ε̂² has the variance 2 (1 − m²), m = E ε̂², as in the test of measured moments.
    ratio, told = (1 - alpha_bar_of(model)[1:]) / alpha_bar_of(model)[1:], exact_moments(model).noise
    unsure = int((10 * ratio * (2 * (1 - (1 - told) ** 2) / (2 * 128)).sqrt() > data).sum())
    for seed in range(8):
        moments = noise_moments(model, raw, draws=128, seed=seed)
        model.fit(Analytic().x0_variance(moments))
        (said,) = map(int, re.findall(r"at (\d+) of 200 t", Analytic().remark(moments)))
        assert said == pytest.approx(unsure, abs=10)
        assert AnalyticMse().remark(moments) == ""
        for steps, bits in exact.items():
            assert expected_terms(model, DATA, steps).sum().item() == pytest.approx(bits, abs=0.05)


def test_one_draw_says_nothing_of_its_error():
    model = exact_model(25, Analytic(), DATA)
    moments = noise_moments(model, torch.ones(4, 2), draws=1, seed=0)
    assert moments.noise_se.isinf().all()
    assert torch.equal(Analytic().x0_variance(moments), moments.error.minimum(moments.data))


def test_the_variance_of_grey_levels_is_that_of_their_values():
    raw = torch.tensor([[10, 30], [200, 90], [255, 1]], dtype=torch.uint8)
    model = diffusion(lambda x_t, t: 0 * x_t, 50, variance=Analytic(), encoding=GreyLevels())
    moments = noise_moments(model, raw, draws=4, seed=0)
    assert moments.data.item() == pytest.approx((raw.double() / 127.5 - 1).var(0, correction=0).mean().item(), rel=1e-6)


@FITTED
def test_what_was_not_fitted_does_not_pass_for_a_variance_and_has_no_gradient(variance):
    network = Function(lambda x_t, t: x_t, 50)
    model = Diffusion(Choices(variance=variance, network=network, horizon=50), Continuous(), (2,))
    assert not model.x0_variance.requires_grad
    p = model.reverse(torch.zeros(1, 2, dtype=torch.float64), model.chain(), torch.tensor([5]))
    assert p.log_variance.isnan().all()


@FITTED
def test_moments_out_of_their_range_still_make_a_density_of_the_first_step(variance):
    """A poor network's ‖ε̂‖² may exceed D, a perfect one leaves no error."""
    model = exact_model(50, variance, DATA)
    alpha_bar = alpha_bar_of(model)[1:]
    nothing = torch.zeros(50, dtype=torch.float64)
    data = torch.tensor(0.4, dtype=torch.float64)
    model.fit(variance.x0_variance(Moments(nothing - 0.5, nothing, nothing, alpha_bar, data)))
    k = torch.arange(1, 51)
    p = model.reverse(torch.zeros(50, 2, dtype=torch.float64), model.chain(), k)
    assert p.log_variance.isfinite().all()


def test_a_fit_is_of_the_networks_moments_and_leaves_what_shares_the_network_as_it_is():
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    model = diffusion(lambda x_t, t: 0.5 * x_t, 20, schedule=Linear(rescale=False))
    moments = noise_moments(model, data, draws=16, seed=3)
    first = with_fitted_variance(model, AnalyticMse(), data, draws=16, seed=3)
    other = with_fitted_variance(first, Analytic(), data, draws=16, seed=3)
    first.with_spacing(QuadraticSpacing()).fit(torch.full((20,), 0.5))
    for fitted in (first, other, first.with_spacing(QuadraticSpacing())):
        assert torch.equal(fitted.x0_variance[1:], fitted.choices.variance.x0_variance(moments))
        assert fitted.network is model.network
    assert first.with_variance(Analytic()).x0_variance.isnan().all()
