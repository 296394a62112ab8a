"""Fitted variances on Gaussian data, whose true reverse step is Gaussian: fitted exactly, the bound has no gap."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, Encoding, GreyLevels
from diffusion_core.fitting import noise_moments, with_fitted_variance
from diffusion_core.likelihood import bound
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import X0, EdmParameterization, Epsilon, Mu, Parameterization, V, Velocity
from diffusion_core.schedules import Cosine, Linear, Rectified, Schedule
from diffusion_core.spacings import QuadraticSpacing
from diffusion_core.testing.problems import Function, GaussianData, MixtureData, denoiser_output, diffusion
from diffusion_core.testing.variants import name
from diffusion_core.timesteps import Uniform
from diffusion_core.variances import Analytic, AnalyticMse, BetaTilde, Fitted, Moments
from tests.axes import members, paired_or_all, spoken

DATA = GaussianData((0.4, 0.4))
FITTED = pytest.mark.parametrize("variance", members(Fitted), ids=name)


def exact_model(
    horizon: int,
    variance: Fitted,
    schedule: Schedule | None = None,
    parameterization: Parameterization | None = None,
    encoding: Encoding | None = None,
) -> Diffusion:
    schedule = schedule or Linear()
    parameterization = parameterization or (V() if schedule.build(horizon).ends_in_noise else Epsilon())
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


def posterior_variance(model: Diffusion) -> Tensor:
    """Var(x_0 | x_t) = s (1 − ᾱ)/V, V = ᾱ s + 1 − ᾱ the variance of x_t."""
    alpha_bar = alpha_bar_of(model)[1:]
    return DATA.variances[0] * (1 - alpha_bar) / (alpha_bar * DATA.variances[0] + 1 - alpha_bar)


def exact_moments(model: Diffusion) -> Moments:
    """E(ε² − E[ε|x_t]²) = Var(ε|x_t) = ᾱ Var(x_0|x_t)/(1 − ᾱ), E(x_0 − E[x_0|x_t])² = Var(x_0|x_t), and Var x_0."""
    alpha_bar, variance = alpha_bar_of(model)[1:], posterior_variance(model)
    data = torch.tensor(DATA.variances[0], dtype=torch.float64)
    return Moments(alpha_bar * variance / (1 - alpha_bar), variance, alpha_bar, data)


def expected_bound(model: Diffusion, steps: int | None = None) -> float:
    """The expected bound in bits/dim."""
    chain = model.chain(steps)
    k = torch.arange(1, chain.steps + 1)
    terms = DATA.expected(lambda x0, eps: model.term(x0.expand(len(k), 2), eps.expand(len(k), 2), chain, k, clip=False))
    nats = terms.sum() + DATA.expected(lambda x0, eps: model.prior(x0[None])).sum()
    return nats.item() / (2 * math.log(2))


@paired_or_all(
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
    model = exact_model(horizon, variance, schedule, parameterization).requires_grad_(False)
    model.fit(variance.x0_variance(exact_moments(model)))
    alpha_bar_T = alpha_bar_of(model)[-1]
    q = torch.distributions.Normal(0.0, (alpha_bar_T * DATA.variances[0] + 1 - alpha_bar_T).sqrt())
    prior = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).item() / math.log(2)
    assert expected_bound(model, steps) == pytest.approx(DATA.entropy + prior, abs=2e-6)


@FITTED
@pytest.mark.parametrize("steps", [40, 9])
def test_the_fitted_variance_is_that_of_bayes_rule(variance, steps):
    """Var(x_s | x_t) of two jointly normal values, by regression."""
    model = exact_model(40, variance)
    model.fit(variance.x0_variance(exact_moments(model)))
    chain = model.chain(steps)
    k = torch.arange(1, steps + 1)
    p = model.reverse(torch.ones(steps, 2, dtype=torch.float64), chain, k, clip=False)
    alpha_bar = alpha_bar_of(model)[chain.times]
    v = alpha_bar * DATA.variances[0] + 1 - alpha_bar
    alpha = alpha_bar[1:] / alpha_bar[:-1]
    expected = v[:-1] - alpha * v[:-1] ** 2 / v[1:]
    torch.testing.assert_close(p.log_variance.exp()[:, 0], expected, rtol=1e-8, atol=0)


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
    model = exact_model(25, Analytic(), schedule, parameterization)
    draws = 20_000
    raw = DATA.variances[0] ** 0.5 * torch.randn(30_000, 2, generator=torch.Generator().manual_seed(0))
    moments, exact = noise_moments(model, raw, draws=draws, seed=0, clip=True), exact_moments(model)
    # The draws share the images between all t. ε² − ε̂² is 2 x y for the sum and difference of two normals, ε̂ = √m' ε'
    # with m' = E ε̂²: its variance is 2 (1 − m'²) + … ≤ 4 m for m = 1 − m', since Var(ε² − ε̂²) = 2 (1 + m'² − 2 m'²).
    spread = (2 * (1 - (1 - exact.noise) ** 2) / (2 * draws)).sqrt()
    assert ((moments.noise - exact.noise).abs() < 5 * spread + 1e-6).all()
    error = 5 * math.sqrt(2 / (2 * draws)) * exact.error
    assert ((moments.error - exact.error).abs() < error + 1e-6).all()
    torch.testing.assert_close(moments.alpha_bar, exact.alpha_bar, rtol=1e-12, atol=0)
    assert moments.data.item() == pytest.approx(DATA.variances[0], rel=5 * math.sqrt(2 / (2 * 4096)))


def test_measured_moments_depend_on_the_seed_alone():
    model, raw = exact_model(50, Analytic()), torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    one, same, other = (noise_moments(model, raw, draws=100, seed=seed, clip=True).noise for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.isclose(one, other).any()


def test_the_two_choices_part_where_the_network_is_not_exact():
    """Half of the exact ε̂ has a quarter of its norm, n; its error is ¼ n + 1 − n, and both times (1 − ᾱ)/ᾱ."""
    exact = exact_model(50, Analytic())
    output = denoiser_output(DATA.denoise, Epsilon(), Linear(), 50)
    model = diffusion(lambda x_t, t: 0.5 * output(x_t, t), 50, variance=Analytic())
    raw = DATA.variances[0] ** 0.5 * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(1))
    moments = noise_moments(model, raw, draws=20_000, seed=0, clip=False)
    norm = 1 - exact_moments(exact).noise
    ratio = (1 - moments.alpha_bar) / moments.alpha_bar
    told = ((1 - norm / 4) * ratio).clamp(max=DATA.variances[0])
    torch.testing.assert_close(Analytic().x0_variance(moments), told, rtol=0.05, atol=1e-3)
    missed = (1 - norm + norm / 4) * ratio
    torch.testing.assert_close(AnalyticMse().x0_variance(moments), missed, rtol=0.05, atol=1e-3)


@pytest.mark.parametrize("encoding", [GreyLevels(), Continuous()], ids=["bounded", "unbounded"])
def test_an_exact_variance_of_x0_is_held_at_that_of_the_data_and_an_error_is_not(encoding):
    """(1 − ᾱ_t)/ᾱ_t times any noise passes Var x_0 near t = T; what is not told of x_0 is at most all of it."""
    raw = torch.tensor([[10, 30], [200, 90], [255, 1]], dtype=torch.uint8)
    stored = raw if encoding.bounded else raw.double() / 127.5 - 1
    # ε̂ = 0: nothing is told, so that told and missed are E ε² = 1 (1 − ᾱ)/ᾱ, and x̂_0 = x_t/√ᾱ.
    model = diffusion(lambda x_t, t: 0 * x_t, 50, variance=Analytic(), encoding=encoding)
    data = (raw.double() / 127.5 - 1).var(0, correction=0).mean().item()
    moments = noise_moments(model, stored, draws=2000, seed=0, clip=False)
    assert moments.data.item() == pytest.approx(data, rel=1e-6)
    ratio = (1 - moments.alpha_bar) / moments.alpha_bar
    torch.testing.assert_close(Analytic().x0_variance(moments), ratio.clamp(max=data), rtol=0.1, atol=0)
    assert Analytic().x0_variance(moments)[-1].item() == pytest.approx(data, rel=1e-6)
    torch.testing.assert_close(AnalyticMse().x0_variance(moments), ratio, rtol=0.1, atol=0)
    assert AnalyticMse().x0_variance(moments)[-1] > 1000 * data


@FITTED
def test_a_fitted_variance_is_trained_as_beta_tilde_and_has_no_gradient(variance):
    assert variance.trained_as == BetaTilde()
    network = Function(lambda x_t, t: x_t, 50)
    choices = Choices(Epsilon(), variance, Linear(), Simple(), Uniform(), network, 50)
    model = Diffusion(choices, Continuous(), (2,))
    assert set(model.state_dict()) == {"denoiser.gamma.gamma", "denoiser.network.unused"}
    assert not model.x0_variance.requires_grad
    p = model.reverse(torch.zeros(1, 2, dtype=torch.float64), model.chain(), torch.tensor([5]), clip=False)
    assert p.log_variance.isnan().all(), "what was not fitted must not pass for a variance"


@FITTED
def test_moments_out_of_their_range_still_make_a_density_of_the_first_step(variance):
    """A poor network's ‖ε̂‖² may exceed D, a perfect one leaves no error."""
    model = exact_model(50, variance)
    alpha_bar = alpha_bar_of(model)[1:]
    nothing = torch.zeros(50, dtype=torch.float64)
    model.fit(variance.x0_variance(Moments(nothing - 0.5, nothing, alpha_bar, torch.tensor(0.4, dtype=torch.float64))))
    k = torch.arange(1, 51)
    p = model.reverse(torch.zeros(50, 2, dtype=torch.float64), model.chain(), k, clip=False)
    assert p.log_variance.isfinite().all()


def test_a_fitted_variance_is_that_of_the_networks_moments():
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    model = diffusion(lambda x_t, t: 0.5 * x_t, 20, schedule=Linear(rescale=False))
    moments = noise_moments(model, data, draws=16, seed=3, clip=False)
    for variance in (AnalyticMse(), Analytic()):
        fitted = with_fitted_variance(model, variance, data, draws=16, seed=3, clip=False)
        assert fitted.choices.variance == variance
        assert torch.equal(fitted.x0_variance[1:], variance.x0_variance(moments))
        assert fitted.network is model.network


def test_a_fit_of_one_variance_leaves_those_that_share_the_network_as_they_are():
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    model = diffusion(lambda x_t, t: 0.5 * x_t, 20, schedule=Linear(rescale=False))
    first = with_fitted_variance(model, AnalyticMse(), data, draws=16, seed=3, clip=False)
    kept = first.x0_variance.clone()
    spaced = first.with_spacing(QuadraticSpacing())
    other = with_fitted_variance(first, Analytic(), data, draws=16, seed=3, clip=False)
    spaced.fit(torch.full((20,), 0.5))
    assert torch.equal(first.x0_variance[1:], kept[1:])
    assert not torch.isclose(other.x0_variance[1:], kept[1:]).any()
    assert torch.equal(first.with_spacing(QuadraticSpacing()).x0_variance[1:], kept[1:])
    assert first.with_variance(Analytic()).x0_variance.isnan().all()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_with_an_exact_denoiser_analytic_is_as_good_as_the_measured_error(seed):
    """Its excess over `analytic_mse` in chains of few steps is below 0.02 bits/dim, whatever the fit's seed.

    The noise of 128 draws is √(2/256) in E‖ε̂‖²/D: were it not that of the draws themselves which is subtracted, this
    would be 9 bits/dim at 10 steps.
    """
    problem = MixtureData(components=8, radius=1.0, width=0.2)  # That of `data=mixture2d`.
    output = denoiser_output(problem.denoise, Epsilon(), Cosine(), 1000)
    model = diffusion(output, 1000, schedule=Cosine())
    moments = noise_moments(model, problem.sample(4000, 0), draws=128, seed=seed, clip=False)
    points = problem.sample(300, 1)
    totals: dict[tuple[type, int], float] = {}
    for variance, steps in itertools.product((Analytic(), AnalyticMse()), (10, 50)):
        fitted = model.with_variance(variance)
        fitted.fit(variance.x0_variance(moments))
        found = bound(fitted, points, exact=steps, strata=0, seed=0, clip=False, steps=steps)
        totals[type(variance), steps] = found.total.mean().item()
    for steps in (10, 50):
        assert abs(totals[Analytic, steps] - totals[AnalyticMse, steps]) < 0.02
