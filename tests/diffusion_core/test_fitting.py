"""Fitted variances on Gaussian data, whose true reverse step is Gaussian: fitted exactly, the bound has no gap."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, Encoding, GreyLevels
from diffusion_core.fitting import noise_moments, with_fitted_variance
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import X0, Epsilon, Mu, Parameterization, V
from diffusion_core.schedules import Cosine, Linear, Schedule
from diffusion_core.testing.problems import Function, GaussianData, denoiser_output, diffusion
from diffusion_core.testing.variants import name
from diffusion_core.timesteps import Uniform
from diffusion_core.variances import Analytic, AnalyticMse, BetaTilde, Fitted
from tests.axes import members

DATA = GaussianData((0.4, 0.4))
FITTED = pytest.mark.parametrize("variance", members(Fitted), ids=name)
SCHEDULES = pytest.mark.parametrize("schedule", [s for s in members(Schedule) if not s.learned], ids=name)


def exact_model(
    horizon: int,
    variance: Fitted,
    schedule: Schedule | None = None,
    parameterization: Parameterization | None = None,
    encoding: Encoding | None = None,
) -> Diffusion:
    parameterization, schedule = parameterization or Epsilon(), schedule or Linear()
    output = denoiser_output(DATA.denoise, parameterization, schedule, horizon)
    return diffusion(
        output,
        horizon,
        parameterization=parameterization,
        variance=variance,
        schedule=schedule,
        encoding=encoding or Continuous(),
        shape=(2,),
    )


def alpha_bar_of(model: Diffusion) -> Tensor:
    """ᾱ_0..ᾱ_T."""
    return torch.sigmoid(-model.gamma(torch.arange(model.choices.horizon + 1)))


def exact_norm(model: Diffusion) -> Tensor:
    """E‖E[ε|x_t]‖²/D = (1 − ᾱ)/V, V = ᾱ s + 1 − ᾱ the variance of x_t."""
    alpha_bar = alpha_bar_of(model)[1:]
    return (1 - alpha_bar) / (alpha_bar * DATA.variances[0] + 1 - alpha_bar)


def expected_bound(model: Diffusion, steps: int | None = None) -> float:
    """The expected bound in bits/dim."""
    chain = model.chain(steps)
    k = torch.arange(1, chain.steps + 1)
    terms = DATA.expected(lambda x0, eps: model.term(x0.expand(len(k), 2), eps.expand(len(k), 2), chain, k, clip=False))
    nats = terms.sum() + DATA.expected(lambda x0, eps: model.prior(x0[None])).sum()
    return nats.item() / (2 * math.log(2))


@FITTED
@SCHEDULES
@pytest.mark.parametrize("parameterization", members(Parameterization), ids=name)
@pytest.mark.parametrize(("horizon", "steps"), [(25, None), (100, None), (100, 7), (30, 1)])
def test_with_the_exact_moments_the_bound_is_the_entropy_at_any_number_of_steps(
    variance, schedule, parameterization, horizon, steps
):
    """Less KL(q(x_T) ‖ N(0, I)), which no reverse step can mend."""
    model = exact_model(horizon, variance, schedule, parameterization)
    norm = exact_norm(model)
    model.fit(variance.m(norm, 1 - norm))
    alpha_bar_T = alpha_bar_of(model)[-1]
    q = torch.distributions.Normal(0.0, (alpha_bar_T * DATA.variances[0] + 1 - alpha_bar_T).sqrt())
    prior = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).item() / math.log(2)
    assert expected_bound(model, steps) == pytest.approx(DATA.entropy + prior, abs=2e-6)


@FITTED
@pytest.mark.parametrize("steps", [40, 9])
def test_the_fitted_variance_is_that_of_bayes_rule(variance, steps):
    """Var(x_s | x_t) of two jointly normal values, by regression."""
    model = exact_model(40, variance)
    norm = exact_norm(model)
    model.fit(variance.m(norm, 1 - norm))
    chain = model.chain(steps)
    k = torch.arange(1, steps + 1)
    p = model.reverse(torch.ones(steps, 2, dtype=torch.float64), chain, k, clip=False)
    alpha_bar = alpha_bar_of(model)[chain.times]
    v = alpha_bar * DATA.variances[0] + 1 - alpha_bar
    alpha = alpha_bar[1:] / alpha_bar[:-1]
    expected = v[:-1] - alpha * v[:-1] ** 2 / v[1:]
    torch.testing.assert_close(p.log_variance.exp()[:, 0], expected, rtol=1e-8, atol=0)


@pytest.mark.parametrize("schedule", [Linear(), Cosine()], ids=name)
@pytest.mark.parametrize("parameterization", [Epsilon(), X0(), Mu(), V()], ids=name)
def test_measured_moments_agree_with_their_expectation_within_their_error(schedule, parameterization):
    model = exact_model(50, Analytic(), schedule, parameterization)
    draws = 20_000
    raw = DATA.variances[0] ** 0.5 * torch.randn(30_000, 2, generator=torch.Generator().manual_seed(0))
    moments = noise_moments(model, raw, draws=draws, seed=0, clip=True)
    norm = exact_norm(model)
    # A mean of 2 × draws squares of normals; images are shared between the t.
    error = 5 * math.sqrt(2 / (2 * draws))
    assert ((moments.norm - norm).abs() < error * norm + 1e-4).all()
    assert ((moments.error - (1 - norm)).abs() < error * (1 - norm) + 1e-4).all()


def test_measured_moments_depend_on_the_seed_alone():
    model, raw = exact_model(50, Analytic()), torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    one, same, other = (noise_moments(model, raw, draws=100, seed=seed, clip=True).norm for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.isclose(one, other).any()


def test_the_two_choices_of_m_part_where_the_network_is_not_exact():
    """Half of the exact ε̂ has a quarter of its norm; its error is ¼ E ε̂² + E Var(ε|x_t)."""
    exact = exact_model(50, Analytic())
    output = denoiser_output(DATA.denoise, Epsilon(), Linear(), 50)
    model = diffusion(lambda x_t, t: 0.5 * output(x_t, t), 50, variance=Analytic())
    raw = DATA.variances[0] ** 0.5 * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(1))
    moments = noise_moments(model, raw, draws=20_000, seed=0, clip=False)
    norm = exact_norm(exact)
    torch.testing.assert_close(Analytic().m(moments.norm, moments.error), 1 - norm / 4, rtol=0.05, atol=1e-3)
    torch.testing.assert_close(AnalyticMse().m(moments.norm, moments.error), 1 - norm + norm / 4, rtol=0.05, atol=1e-3)


@FITTED
def test_on_bounded_data_an_exact_variance_of_x0_is_held_at_one(variance):
    """(1 − ᾱ_t)/ᾱ_t m_t passes 1 near t = T; no distribution on [−1, 1] has a larger variance, an error may."""
    for encoding, held in ((GreyLevels(), variance == Analytic()), (Continuous(), False)):
        model = exact_model(50, variance, encoding=encoding)
        model.fit(torch.ones(50))
        p = model.reverse(torch.zeros(1, 2, dtype=torch.float64), model.chain(), torch.tensor([50]), clip=False)
        alpha_bar_s, alpha_bar_t = alpha_bar_of(model)[-2:]
        beta = 1 - alpha_bar_t / alpha_bar_s
        beta_tilde = beta * (1 - alpha_bar_s) / (1 - alpha_bar_t)
        c0 = alpha_bar_s.sqrt() * beta / (1 - alpha_bar_t)
        x0_variance = torch.ones(()) if held else (1 - alpha_bar_t) / alpha_bar_t
        torch.testing.assert_close(
            p.log_variance.exp().flatten()[0], beta_tilde + c0**2 * x0_variance, rtol=1e-9, atol=0
        )


@FITTED
def test_a_fitted_variance_is_trained_as_beta_tilde_and_has_no_gradient(variance):
    assert variance.trained_as == BetaTilde()
    network = Function(lambda x_t, t: x_t, 50)
    choices = Choices(Epsilon(), variance, Linear(), Simple(), Uniform(), network, 50)
    model = Diffusion(choices, Continuous(), (2,))
    assert set(model.state_dict()) == {"gamma.gamma", "network.unused"}
    assert not model.m.requires_grad
    p = model.reverse(torch.zeros(1, 2, dtype=torch.float64), model.chain(), torch.tensor([5]), clip=False)
    assert p.log_variance.isnan().all(), "what was not fitted must not pass for a variance"


@FITTED
def test_moments_out_of_their_range_still_make_a_density_of_the_first_step(variance):
    """A poor network's ‖ε̂‖² may exceed D, a perfect one leaves no error."""
    model = exact_model(50, variance)
    model.fit(variance.m(torch.full((50,), 1.5), torch.zeros(50)))
    k = torch.arange(1, 51)
    p = model.reverse(torch.zeros(50, 2, dtype=torch.float64), model.chain(), k, clip=False)
    assert p.log_variance.isfinite().all()


def test_a_fitted_variance_is_that_of_the_networks_moments():
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    model = diffusion(lambda x_t, t: 0.5 * x_t, 20, schedule=Linear(rescale=False))
    moments = noise_moments(model, data, draws=16, seed=3, clip=False)
    for variance, m in ((AnalyticMse(), moments.error), (Analytic(), (1 - moments.norm).clamp(0, 1))):
        fitted = with_fitted_variance(model, variance, data, draws=16, seed=3, clip=False)
        assert fitted.choices.variance == variance
        assert torch.equal(fitted.m[1:], m)
        assert fitted.network is model.network
