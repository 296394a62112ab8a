"""σ² against β and β̃ of the step, full and strided, under both rules; fitted exactly, the bound has no gap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.chain import FirstStep, strided_times
from diffusion_core.checking import GaussianData, expected_terms
from diffusion_core.fitting import noise_moments
from diffusion_core.variances import Fitted, Moments
from tests.axes import across, members, paired, spoken
from tests.diffusion_core.problems import diffusion, exact_model

HORIZON = 40
STEPS = (HORIZON, 9)
RULES = ("beta_tilde_2", "beta_1")


@dataclass(frozen=True)
class Truth:
    """β [K], β̃ [K − 1] for k = 2..K and 1 − ᾱ_1 [1] of a chain, without a difference of nearly equal numbers."""

    beta: Tensor
    beta_tilde: Tensor
    beta_1: Tensor

    @classmethod
    def of(cls, gamma: Tensor) -> Truth:
        beta = -torch.expm1(-torch.log1p(gamma.exp()).diff())
        noise = 1 / (1 + (-gamma).exp())
        return cls(beta, beta[1:] * noise[1:-1] / noise[2:], noise[1:2])


def chain_of(schedule: dc.Schedule, steps: int, rule: FirstStep | None = None) -> tuple[dc.Step, Truth]:
    """The pairs of a chain, and their true variances."""
    gamma = schedule.gamma(HORIZON).requires_grad_(False)
    chain = dc.Chain(gamma, strided_times(HORIZON, steps), rule or schedule.first_step)
    return chain.step(torch.arange(1, steps + 1)), Truth.of(gamma(chain.times))


def log_variance_at(variance: dc.Variance, step: dc.Step, raw: float = 0.0, share: float = 0.5) -> Tensor:
    """log σ² [K] if the network outputs `raw`, and Var(x_0 | x_t) is `share` times its value for N(0, I)."""
    like = torch.zeros(len(step.gamma_t), 3, dtype=torch.float64)
    x0_variance = share * step.one_minus_alpha_bar_t
    value = variance.log_variance(step, torch.full_like(like, raw), like, x0_variance).expand_as(like)
    assert torch.equal(value[:, 0], value[:, 2])
    return value[:, 0]


@across(variance=[v for v in members(dc.Variance) if v.fitted], schedule=members(dc.Schedule), steps=STEPS)
def test_fitted_is_beta_tilde_where_x0_is_known_and_beta_where_it_is_standard_normal(variance, schedule, steps):
    """Var(x_0 | x_t) = 0 and 1 − ᾱ_t (Ho et al. 2020, §3.2); at the first step β̃ = 0, so σ_1² = Var(x_0 | x_1)."""
    step, truth = chain_of(schedule, steps)
    point, half, normal = (log_variance_at(variance, step, share=share).exp() for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(point[1:], truth.beta_tilde, rtol=1e-10, atol=0)
    torch.testing.assert_close(half[1:], (truth.beta[1:] + truth.beta_tilde) / 2, rtol=1e-10, atol=0)
    torch.testing.assert_close(normal, torch.cat([truth.beta_1, truth.beta[1:]]), rtol=1e-10, atol=0)


@across(schedule=members(dc.Schedule), steps=STEPS, rule=RULES)
def test_variances_of_the_chains_own_steps_are_beta_beta_tilde_or_learned_between_them(schedule, steps, rule):
    """By the chain's rule at the first. A learned one is β̃ at o = −1, β at o = 1, their geometric mean at o = 0."""
    step, truth = chain_of(schedule, steps, rule)
    first = {"beta_tilde_2": truth.beta_tilde[:1], "beta_1": truth.beta_1}[rule]
    for variance, rest in ((dc.Beta(), truth.beta[1:]), (dc.BetaTilde(), truth.beta_tilde)):
        found = log_variance_at(variance, step).exp()
        torch.testing.assert_close(found, torch.cat([first, rest]), rtol=1e-10, atol=0)
    lower, upper = torch.cat([first, truth.beta_tilde]).log(), truth.beta.log()
    for raw in (-1.5, -1.0, 0.0, 1.0):
        expected = lower + (upper - lower) * (raw + 1) / 2
        torch.testing.assert_close(log_variance_at(dc.LearnedVariance(), step, raw), expected, rtol=0, atol=1e-10)


def test_analytic_reads_what_is_told_of_the_noise_and_analytic_mse_the_error_of_x0():
    """E(‖ε‖² − ‖ε̂‖²)/D (1 − ᾱ)/ᾱ in [0, Var x_0], which is all that is unknown at ᾱ = 0; and E‖x_0 − x̂_0‖²/D.

    That is what analytic reads, too, where ten standard errors of its own estimate exceed Var x_0 = 1.5.
    """
    noise = torch.tensor([0.25, 0.75, -0.3, 1.2, 0.0, 0.75, 0.75, 0.75], dtype=torch.float64)
    noise_se = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.149, 0.151, 0.0501], dtype=torch.float64)
    error = torch.tensor([0.5, 0.0, 1.3, 7.0, 0.1, 0.5, 0.5, 7.0], dtype=torch.float64)
    alpha_bar = torch.tensor([0.5, 0.75, 0.5, 0.25, 0.0, 0.5, 0.5, 0.25], dtype=torch.float64)
    moments = Moments(noise, noise_se, error, alpha_bar, torch.tensor(1.5, dtype=torch.float64))
    assert dc.Analytic().x0_variance(moments).tolist() == [0.25, 0.25, 0.0, 1.5, 1.5, 0.75, 0.5, 1.5]
    assert dc.AnalyticMse().x0_variance(moments).tolist() == error.tolist()
    assert "at 2 of 8 t, variance=analytic takes the estimate of analytic_mse" in dc.Analytic().remark(moments)


DATA = GaussianData((0.4, 0.4))
BITS = 2 * math.log(2)
"""Nats of two dimensions in a bit of each."""


def alpha_bar_of(model: dc.Diffusion) -> Tensor:
    """ᾱ_0..ᾱ_T."""
    return torch.sigmoid(-model.gamma(torch.arange(model.choices.horizon + 1)))


def posterior_variance(model: dc.Diffusion) -> Tensor:
    """Var(x_0 | x_t) = s (1 − ᾱ)/V, V = ᾱ s + 1 − ᾱ the variance of x_t."""
    alpha_bar = alpha_bar_of(model)[1:]
    return DATA.variances[0] * (1 - alpha_bar) / (alpha_bar * DATA.variances[0] + 1 - alpha_bar)


def exact_moments(model: dc.Diffusion) -> Moments:
    """E(ε² − E[ε|x_t]²) = Var(ε|x_t) = ᾱ Var(x_0|x_t)/(1 − ᾱ), E(x_0 − E[x_0|x_t])² = Var(x_0|x_t), and Var x_0."""
    alpha_bar, variance = alpha_bar_of(model)[1:], posterior_variance(model)
    data = torch.tensor(DATA.variances[0], dtype=torch.float64)
    return Moments(alpha_bar * variance / (1 - alpha_bar), 0 * variance, variance, alpha_bar, data)


@paired(
    spoken,
    parameterization=members(dc.Parameterization),
    schedule=members(dc.Schedule),
    variance=members(Fitted),
    chain=((25, None), (30, 7), (30, 1)),
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
    ("parameterization", "schedule"), [(dc.X0(), dc.Linear(rescale=False)), (dc.V(), dc.Rectified())]
)
def test_measured_moments_agree_with_their_expectation_within_their_error(parameterization, schedule):
    model, draws = exact_model(8, dc.Analytic(), DATA, parameterization, schedule), 8000
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
    model = diffusion(lambda x_t, t: 0 * x_t + 2, 25, variance=dc.Analytic(), encoding=dc.GreyLevels())
    raw = torch.randint(256, (2000, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    moments = noise_moments(model, raw, draws=2000, seed=0)
    torch.testing.assert_close(moments.noise, torch.full_like(moments.noise, -3.0), rtol=0, atol=5 * (2 / 4000) ** 0.5)
    # Clipped, it is off by 2 at most.
    assert moments.error.max() <= 4


def test_a_fit_is_of_the_networks_moments():
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    model = diffusion(lambda x_t, t: 0.5 * x_t, 20, schedule=dc.Linear(rescale=False))
    moments = noise_moments(model, data, draws=16, seed=3)
    for variance in members(Fitted):
        fitted = dc.with_fitted_variance(model, variance, data, draws=16, seed=3)
        assert torch.equal(fitted.x0_variance[1:], variance.x0_variance(moments))
