"""σ² against β and β̃ of the step, full and strided, under both rules for the first step."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from diffusion_core.chain import Chain, strided_times
from diffusion_core.forward import Pair
from diffusion_core.schedules import FirstStep, Schedule
from diffusion_core.variances import (
    Analytic,
    AnalyticMse,
    Beta,
    BetaTilde,
    Fitted,
    LearnedDiagonal,
    LearnedVariance,
    Variance,
)
from tests.axes import members, name

HORIZON = 40
VARIANCES = pytest.mark.parametrize("variance", members(Variance), ids=name)
SCHEDULES = pytest.mark.parametrize("schedule", members(Schedule), ids=name)
STEPS = pytest.mark.parametrize("steps", [HORIZON, 9])
RULES = pytest.mark.parametrize("rule", ["beta_tilde_2", "beta_1"])
FITTED = pytest.mark.parametrize("variance", [v for v in members(Variance) if isinstance(v, Fitted)], ids=name)


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
    """The pairs of a chain, and what they are."""
    gamma = schedule.build(HORIZON).requires_grad_(False)
    chain = Chain(gamma, strided_times(HORIZON, steps), rule or schedule.first_step)
    return chain.pair(torch.arange(1, steps + 1)), Truth.of(gamma(chain.times))


def log_variance_at(variance: Variance, pair: Pair, raw: float = 0.0, share: float = 0.5) -> Tensor:
    """log σ² [K] where the network says `raw` and Var(x_0 | x_t) is that `share` of its value for x_0 ~ N(0, I)."""
    like = torch.zeros(len(pair.gamma_t), 3, dtype=torch.float64)
    x0_variance = share * pair.one_minus_alpha_bar_t
    value = variance.log_variance(pair, torch.full_like(like, raw), like, x0_variance).expand_as(like)
    assert torch.equal(value[:, 0], value[:, 2])
    return value[:, 0]


@SCHEDULES
@STEPS
def test_fixed_variances_are_beta_and_beta_tilde_of_the_chains_own_steps(schedule, steps):
    pair, truth = chain_of(schedule, steps)
    for variance, expected in ((Beta(), truth.beta[1:]), (BetaTilde(), truth.beta_tilde)):
        torch.testing.assert_close(log_variance_at(variance, pair)[1:].exp(), expected, rtol=1e-10, atol=0)


@SCHEDULES
@STEPS
@RULES
def test_fixed_variances_take_the_chains_rule_at_the_first_step(schedule, steps, rule):
    pair, truth = chain_of(schedule, steps, rule)
    expected = {"beta_tilde_2": truth.beta_tilde[0], "beta_1": truth.beta_1[0]}[rule].log().item()
    assert log_variance_at(Beta(), pair)[0].item() == pytest.approx(expected, rel=1e-10)
    assert log_variance_at(BetaTilde(), pair)[0].item() == pytest.approx(expected, rel=1e-10)


@SCHEDULES
@pytest.mark.parametrize("raw", [-1.5, 0.0, 2.0])
def test_learned_diagonal_is_log_beta_plus_what_the_network_says_at_every_step(schedule, raw):
    pair, truth = chain_of(schedule, HORIZON)
    torch.testing.assert_close(
        log_variance_at(LearnedDiagonal(), pair, raw), truth.beta.log() + raw, rtol=0, atol=1e-10
    )


@SCHEDULES
@STEPS
@RULES
@pytest.mark.parametrize("raw", [-1.0, 0.0, 1.0, 2.5])
def test_learned_runs_from_beta_tilde_to_beta_of_the_chains_own_steps_in_the_logarithm(schedule, steps, rule, raw):
    """β̃ at o = −1, β at o = 1, their geometric mean at o = 0; where β̃_1 = 0, β̃_2 or β_1 stands for it."""
    pair, truth = chain_of(schedule, steps, rule)
    first = {"beta_tilde_2": truth.beta_tilde[:1], "beta_1": truth.beta_1}[rule]
    lower, upper = torch.cat([first, truth.beta_tilde]).log(), truth.beta.log()
    expected = lower + (upper - lower) * (raw + 1) / 2
    torch.testing.assert_close(log_variance_at(LearnedVariance(), pair, raw), expected, rtol=0, atol=1e-10)


@FITTED
@SCHEDULES
@STEPS
def test_fitted_is_beta_tilde_where_x0_is_known_and_beta_where_it_is_standard_normal(variance, schedule, steps):
    """Var(x_0 | x_t) = 0 and 1 − ᾱ_t (Ho et al. 2020, §3.2); at the first step β̃ = 0, so σ_1² = Var(x_0 | x_1)."""
    pair, truth = chain_of(schedule, steps)
    known, half, normal = (log_variance_at(variance, pair, share=share).exp() for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(known[1:], truth.beta_tilde, rtol=1e-10, atol=0)
    torch.testing.assert_close(half[1:], (truth.beta[1:] + truth.beta_tilde) / 2, rtol=1e-10, atol=0)
    torch.testing.assert_close(normal[1:], truth.beta[1:], rtol=1e-10, atol=0)
    torch.testing.assert_close(normal[:1], truth.beta_1, rtol=1e-10, atol=0)


@FITTED
def test_fitted_is_trained_as_beta_tilde_and_every_other_variance_as_itself(variance):
    assert variance.trained_as == BetaTilde()
    assert all(v.trained_as == v for v in members(Variance) if not isinstance(v, Fitted))


def test_analytic_reads_the_norm_of_the_predicted_noise_and_analytic_mse_its_error():
    """1 − E‖ε̂‖²/D, held to a share of the noise, and E‖ε − ε̂‖²/D, which may pass 1."""
    norm = torch.tensor([0.25, 1.0, 1.3, -0.2], dtype=torch.float64)
    error = torch.tensor([0.5, 0.0, 1.3, 0.1], dtype=torch.float64)
    assert Analytic().m(norm, error).tolist() == [0.75, 0.0, 0.0, 1.0]
    assert AnalyticMse().m(norm, error).tolist() == [0.5, 0.0, 1.3, 0.1]


@VARIANCES
@SCHEDULES
@STEPS
def test_every_variance_starts_between_beta_tilde_and_beta(variance, schedule, steps):
    pair, truth = chain_of(schedule, steps)
    log_variance = log_variance_at(variance, pair)
    assert log_variance.isfinite().all()
    assert (log_variance[1:] <= truth.beta[1:].log() + 1e-9).all()
    assert (log_variance[1:] >= truth.beta_tilde.log() - 1e-9).all()


@VARIANCES
def test_only_a_learned_variance_reads_the_network_and_then_per_dimension(variance):
    pair, _ = chain_of(members(Schedule)[0], HORIZON)
    raw = torch.zeros(HORIZON, 3, dtype=torch.float64, requires_grad=True)
    value = variance.log_variance(pair, raw, raw.detach(), pair.one_minus_alpha_bar_t)
    assert value.requires_grad == variance.learned
    if variance.learned:
        (gradient,) = torch.autograd.grad(value[:, 1].sum(), raw)
        assert (gradient[:, 1] != 0).all()
        assert (gradient[:, [0, 2]] == 0).all()


@VARIANCES
def test_float32_data_get_a_float32_variance(variance):
    pair, _ = chain_of(members(Schedule)[0], HORIZON)
    like = torch.zeros(HORIZON, 3)
    assert variance.log_variance(pair, like, like, pair.one_minus_alpha_bar_t).dtype == torch.float32
