"""σ² against β and β̃ of the step, full and strided, under both rules for the first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.chain import Chain, FirstStep, strided_times
from diffusion_core.forward import Pair
from diffusion_core.schedules import Schedule
from diffusion_core.variances import (
    Analytic,
    AnalyticMse,
    Beta,
    BetaTilde,
    LearnedDiagonal,
    LearnedVariance,
    Moments,
    Variance,
)
from tests.axes import across, members

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


def chain_of(schedule: Schedule, steps: int, rule: FirstStep | None = None) -> tuple[Pair, Truth]:
    """The pairs of a chain, and their true variances."""
    gamma = schedule.gamma(HORIZON).requires_grad_(False)
    chain = Chain(gamma, strided_times(HORIZON, steps), rule or schedule.first_step)
    return chain.pair(torch.arange(1, steps + 1)), Truth.of(gamma(chain.times))


def log_variance_at(variance: Variance, pair: Pair, raw: float = 0.0, share: float = 0.5) -> Tensor:
    """log σ² [K] if the network outputs `raw`, and Var(x_0 | x_t) is `share` times its value for N(0, I)."""
    like = torch.zeros(len(pair.gamma_t), 3, dtype=torch.float64)
    x0_variance = share * pair.one_minus_alpha_bar_t
    value = variance.log_variance(pair, torch.full_like(like, raw), like, x0_variance).expand_as(like)
    assert torch.equal(value[:, 0], value[:, 2])
    return value[:, 0]


@across(variance=members(Variance), schedule=members(Schedule))
def test_learned_says_whether_a_variance_reads_the_network_which_it_does_per_dimension(variance, schedule):
    """∂ log σ²_i/∂ raw_j is not 0 where i = j, and 0 elsewhere. Under σ_1² = β_1 it may stay at t = 1."""
    pair, _ = chain_of(schedule, HORIZON)
    raw = torch.zeros(HORIZON, 3, dtype=torch.float64, requires_grad=True)
    value = variance.log_variance(pair, raw, raw.detach(), pair.one_minus_alpha_bar_t)
    assert variance.learned == value.requires_grad
    if variance.learned:
        (gradient,) = torch.autograd.grad(value[:, 1].sum(), raw)
        assert (gradient[0 if schedule.first_step == "beta_tilde_2" else 1 :, 1] != 0).all()
        assert not gradient[:, [0, 2]].any()
    like = torch.zeros(HORIZON, 3)
    assert variance.log_variance(pair, like, like, pair.one_minus_alpha_bar_t).dtype == torch.float32


@across(variance=[v for v in members(Variance) if v.fitted], schedule=members(Schedule), steps=STEPS)
def test_fitted_is_beta_tilde_where_x0_is_known_and_beta_where_it_is_standard_normal(variance, schedule, steps):
    """Var(x_0 | x_t) = 0 and 1 − ᾱ_t (Ho et al. 2020, §3.2); at the first step β̃ = 0, so σ_1² = Var(x_0 | x_1)."""
    pair, truth = chain_of(schedule, steps)
    point, half, normal = (log_variance_at(variance, pair, share=share).exp() for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(point[1:], truth.beta_tilde, rtol=1e-10, atol=0)
    torch.testing.assert_close(half[1:], (truth.beta[1:] + truth.beta_tilde) / 2, rtol=1e-10, atol=0)
    torch.testing.assert_close(normal, torch.cat([truth.beta_1, truth.beta[1:]]), rtol=1e-10, atol=0)


@across(schedule=members(Schedule), steps=STEPS, rule=RULES)
def test_fixed_variances_are_beta_and_beta_tilde_of_the_chains_own_steps_and_its_rule_at_the_first(
    schedule, steps, rule
):
    pair, truth = chain_of(schedule, steps, rule)
    first = {"beta_tilde_2": truth.beta_tilde[:1], "beta_1": truth.beta_1}[rule]
    for variance, rest in ((Beta(), truth.beta[1:]), (BetaTilde(), truth.beta_tilde)):
        found = log_variance_at(variance, pair).exp()
        torch.testing.assert_close(found, torch.cat([first, rest]), rtol=1e-10, atol=0)


@across(schedule=members(Schedule), raw=(-1.5, 0.0, 2.0))
def test_learned_diagonal_is_log_beta_plus_what_the_network_says_at_every_step(schedule, raw):
    pair, truth = chain_of(schedule, HORIZON)
    torch.testing.assert_close(
        log_variance_at(LearnedDiagonal(), pair, raw), truth.beta.log() + raw, rtol=0, atol=1e-10
    )


@across(schedule=members(Schedule), steps=STEPS, rule=RULES)
def test_learned_runs_from_beta_tilde_to_beta_of_the_chains_own_steps_in_the_logarithm(schedule, steps, rule):
    """β̃ at o = −1, β at o = 1, their geometric mean at o = 0; where β̃_1 = 0, β̃_2 or β_1 stands for it."""
    pair, truth = chain_of(schedule, steps, rule)
    first = {"beta_tilde_2": truth.beta_tilde[:1], "beta_1": truth.beta_1}[rule]
    lower, upper = torch.cat([first, truth.beta_tilde]).log(), truth.beta.log()
    for raw in (-1.5, -1.0, 0.0, 1.0, 2.5):
        expected = lower + (upper - lower) * (raw + 1) / 2
        torch.testing.assert_close(log_variance_at(LearnedVariance(), pair, raw), expected, rtol=0, atol=1e-10)


def test_analytic_reads_what_is_told_of_the_noise_and_analytic_mse_the_error_of_x0():
    """E(‖ε‖² − ‖ε̂‖²)/D (1 − ᾱ)/ᾱ in [0, Var x_0], which is all that is unknown at ᾱ = 0; and E‖x_0 − x̂_0‖²/D."""
    noise = torch.tensor([0.25, 0.75, -0.3, 1.2, 0.0], dtype=torch.float64)
    error = torch.tensor([0.5, 0.0, 1.3, 7.0, 0.1], dtype=torch.float64)
    alpha_bar = torch.tensor([0.5, 0.75, 0.5, 0.25, 0.0], dtype=torch.float64)
    moments = Moments(noise, torch.zeros_like(noise), error, alpha_bar, torch.tensor(1.5, dtype=torch.float64))
    assert Analytic().x0_variance(moments).tolist() == [0.25, 0.25, 0.0, 1.5, 1.5]
    assert AnalyticMse().x0_variance(moments).tolist() == error.tolist()
    assert Analytic().remark(moments) == ""


def test_analytic_reads_the_error_of_x0_where_ten_standard_errors_of_its_estimate_exceed_var_x0():
    """Var x_0 is 1.5; the standard error is that of what is told of the noise, times (1 − ᾱ)/ᾱ."""
    noise, error = torch.tensor([[0.75] * 4, [0.5, 0.5, 7.0, 0.5]], dtype=torch.float64)
    noise_se = torch.tensor([0.149, 0.151, 0.151, 0.0501], dtype=torch.float64)
    alpha_bar = torch.tensor([0.5, 0.5, 0.5, 0.25], dtype=torch.float64)
    moments = Moments(noise, noise_se, error, alpha_bar, torch.tensor(1.5, dtype=torch.float64))
    assert Analytic().x0_variance(moments).tolist() == [0.75, 0.5, 1.5, 0.5]
    assert "at 3 of 4 t, variance=analytic takes the estimate of analytic_mse" in Analytic().remark(moments)
