"""σ² against β and β̃ of the step, full and strided."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion_core.chain import Chain, strided_times
from diffusion_core.forward import Pair
from diffusion_core.schedules import Schedule
from diffusion_core.variances import Beta, BetaTilde, LearnedDiagonal, Variance
from tests.axes import members, name

HORIZON = 40
VARIANCES = pytest.mark.parametrize("variance", members(Variance), ids=name)
SCHEDULES = pytest.mark.parametrize("schedule", members(Schedule), ids=name)
STEPS = pytest.mark.parametrize("steps", [HORIZON, 9])


def chain_of(schedule: Schedule, steps: int) -> tuple[Pair, Tensor]:
    """The pairs of a chain and its ᾱ [K + 1]."""
    chain = Chain(schedule.build(HORIZON), strided_times(HORIZON, steps), schedule.first_step)
    return chain.pair(torch.arange(1, steps + 1)), torch.sigmoid(-chain.gamma(chain.times))


def log_variance_at(variance: Variance, pair: Pair, raw: float = 0.0) -> Tensor:
    like = torch.zeros(len(pair.gamma_t), 3, dtype=torch.float64)
    value = variance.log_variance(pair, torch.full_like(like, raw), like).expand_as(like)
    assert torch.equal(value[:, 0], value[:, 2])
    return value[:, 0]


def bounds(alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """β and β̃ for k = 2..K."""
    beta = 1 - alpha_bar[2:] / alpha_bar[1:-1]
    return beta, beta * (1 - alpha_bar[1:-1]) / (1 - alpha_bar[2:])


@SCHEDULES
@STEPS
def test_fixed_variances_are_beta_and_beta_tilde_of_the_chains_own_steps(schedule, steps):
    pair, alpha_bar = chain_of(schedule, steps)
    for variance, expected in zip((Beta(), BetaTilde()), bounds(alpha_bar), strict=True):
        torch.testing.assert_close(log_variance_at(variance, pair)[1:].exp(), expected, rtol=1e-10, atol=0)


@SCHEDULES
@STEPS
def test_fixed_variances_take_the_chains_rule_at_the_first_step(schedule, steps):
    pair, alpha_bar = chain_of(schedule, steps)
    expected = {"beta_tilde_2": bounds(alpha_bar)[1][0], "beta_1": 1 - alpha_bar[1]}[schedule.first_step].log().item()
    assert log_variance_at(Beta(), pair)[0].item() == pytest.approx(expected, rel=1e-10)
    assert log_variance_at(BetaTilde(), pair)[0].item() == pytest.approx(expected, rel=1e-10)


@SCHEDULES
@pytest.mark.parametrize("raw", [-1.5, 0.0, 2.0])
def test_learned_diagonal_is_log_beta_plus_what_the_network_says_at_every_step(schedule, raw):
    pair, alpha_bar = chain_of(schedule, HORIZON)
    expected = (1 - alpha_bar[1:] / alpha_bar[:-1]).log() + raw
    torch.testing.assert_close(log_variance_at(LearnedDiagonal(), pair, raw), expected, rtol=0, atol=1e-10)


@VARIANCES
@SCHEDULES
@STEPS
def test_every_variance_starts_between_beta_tilde_and_beta(variance, schedule, steps):
    pair, alpha_bar = chain_of(schedule, steps)
    beta, beta_tilde = bounds(alpha_bar)
    log_variance = log_variance_at(variance, pair)
    assert log_variance.isfinite().all()
    assert (log_variance[1:] <= beta.log() + 1e-9).all()
    assert (log_variance[1:] >= beta_tilde.log() - 1e-9).all()


@VARIANCES
def test_only_a_learned_variance_reads_the_network_and_then_per_dimension(variance):
    pair, _ = chain_of(members(Schedule)[0], HORIZON)
    raw = torch.zeros(HORIZON, 3, dtype=torch.float64, requires_grad=True)
    value = variance.log_variance(pair, raw, raw.detach())
    assert value.requires_grad == variance.learned
    if variance.learned:
        (gradient,) = torch.autograd.grad(value[:, 1].sum(), raw)
        assert (gradient[:, 1] != 0).all()
        assert (gradient[:, [0, 2]] == 0).all()


@VARIANCES
def test_float32_data_get_a_float32_variance(variance):
    pair, _ = chain_of(members(Schedule)[0], HORIZON)
    like = torch.zeros(HORIZON, 3)
    assert variance.log_variance(pair, like, like).dtype == torch.float32
