"""The terms of the bound against torch.distributions, and the identities of their weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from diffusion_core.chain import Chain, strided_times
from diffusion_core.forward import Pair, expand
from diffusion_core.reverse import Reverse
from diffusion_core.schedules import Linear, Schedule
from diffusion_core.terms import denoising_term, kl_normal, mean_dims, prior_term, sum_dims
from diffusion_core.testing.problems import bayes
from diffusion_core.variances import Beta, BetaTilde, Variance
from tests.axes import across, before_noise, members

HORIZON = 60
RAW = 0.3
STEPS = (HORIZON, 13)


class Case:
    """x_0, x̂_0 and x_t at the steps k = 2..K of a chain, and the term of a variance there."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        generator = torch.Generator().manual_seed(0)
        chain = Chain(schedule.build(HORIZON), strided_times(HORIZON, steps), schedule.first_step)
        self.pair: Pair = chain.pair(torch.arange(2, steps + 1))
        self.alpha_bar = torch.sigmoid(-chain.gamma(chain.times[1:]))
        self.x0, self.x0_hat, self.x_t = torch.randn(3, steps - 1, 4, generator=generator, dtype=torch.float64)

    def term(self, variance: Variance) -> Tensor:
        raw = torch.full_like(self.x0_hat, RAW)
        log_variance = variance.log_variance(self.pair, raw, self.x_t, self.x0_variance)
        return denoising_term(self.x0, self.of(self.x0_hat, log_variance))

    def of(self, x0_hat: Tensor, log_variance: Tensor) -> Reverse:
        """The steps whose mean is that of x̂_0; ε̂ enters no term."""
        return Reverse(self.pair, self.x_t, x0_hat, torch.full_like(x0_hat, math.nan), log_variance)

    @property
    def x0_variance(self) -> Tensor:
        """Some Var(x_0 | x_t), for a fitted σ²."""
        return 0.4 * (1 - self.alpha_bar[1:])

    @property
    def signal_to_noise(self) -> Tensor:
        return self.alpha_bar / (1 - self.alpha_bar)

    @property
    def x0_error(self) -> Tensor:
        return ((self.x0 - self.x0_hat) ** 2).sum(1)


def test_kl_of_normals_is_that_of_torch_distributions(generator):
    mean_q, mean_p = 2 * torch.randn(2, 500, generator=generator, dtype=torch.float64)
    log_q, log_p = 3 * torch.randn(2, 500, generator=generator, dtype=torch.float64)
    expected = kl_divergence(Normal(mean_q, (log_q / 2).exp()), Normal(mean_p, (log_p / 2).exp()))
    torch.testing.assert_close(kl_normal((mean_q - mean_p) ** 2, log_q, log_p), expected, rtol=1e-10, atol=1e-13)


def test_kl_of_nearly_equal_variances_keeps_its_digits():
    """½(r + e^{−r} − 1) = r²/4 − r³/12 + …, far below the rounding of each summand."""
    r = torch.tensor([1e-7, 1e-5, 1e-3], dtype=torch.float64)
    expected = r**2 / 4 - r**3 / 12 + r**4 / 48
    actual = kl_normal(torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), r)
    torch.testing.assert_close(actual, expected, rtol=1e-8, atol=0)


@across(schedule=members(Schedule), steps=STEPS, variance=members(Variance))
def test_denoising_term_is_the_kl_of_bayes_posterior_and_p(schedule, steps, variance):
    case = Case(schedule, steps)
    alpha_bar = case.alpha_bar[:, None]
    mean_q, variance_q = bayes(case.x0, case.x_t, alpha_bar[1:], alpha_bar[:-1])
    mean_p, _ = bayes(case.x0_hat, case.x_t, alpha_bar[1:], alpha_bar[:-1])
    log_variance_p = variance.log_variance(case.pair, torch.full_like(case.x0, RAW), case.x0, case.x0_variance)
    p = Normal(mean_p, (log_variance_p / 2).exp())
    expected = kl_divergence(Normal(mean_q, variance_q.sqrt()), p).sum(1)
    torch.testing.assert_close(case.term(variance), expected, rtol=1e-8, atol=1e-12)


@across(schedule=members(Schedule), steps=STEPS)
def test_at_beta_tilde_the_x0_weight_is_half_the_fall_of_the_signal_to_noise_ratio(schedule, steps):
    case = Case(schedule, steps)
    weight = 0.5 * (case.signal_to_noise[:-1] - case.signal_to_noise[1:])
    torch.testing.assert_close(case.term(BetaTilde()), weight * case.x0_error, rtol=1e-9, atol=0)


@across(schedule=before_noise(), steps=STEPS)
def test_at_beta_tilde_the_eps_weight_is_half_expm1_of_the_rise_of_gamma(schedule, steps):
    case = Case(schedule, steps)
    weight = 0.5 * torch.expm1(case.signal_to_noise.log().neg().diff())
    eps_error = case.signal_to_noise[1:] * case.x0_error
    torch.testing.assert_close(case.term(BetaTilde()), weight * eps_error, rtol=1e-9, atol=0)


@across(schedule=before_noise(), steps=STEPS)
def test_at_beta_the_term_has_the_eps_weight_of_ho_et_al_and_a_constant(schedule, steps):
    """β²/(2 σ² α (1 − ᾱ_t)) ‖ε − ε̂‖² + D/2 (log σ²/β̃ + β̃/σ² − 1)."""
    case = Case(schedule, steps)
    alpha = case.alpha_bar[1:] / case.alpha_bar[:-1]
    beta, ratio = 1 - alpha, (1 - case.alpha_bar[:-1]) / (1 - case.alpha_bar[1:])
    weight = beta / (2 * alpha * (1 - case.alpha_bar[1:]))
    constant = 4 * 0.5 * (-ratio.log() + ratio - 1)
    expected = weight * case.signal_to_noise[1:] * case.x0_error + constant
    torch.testing.assert_close(case.term(Beta()), expected, rtol=1e-9, atol=1e-13)


@across(schedule=members(Schedule))
def test_prior_term_is_the_kl_to_the_standard_normal(schedule):
    generator = torch.Generator().manual_seed(0)
    gamma = schedule.build(HORIZON)(torch.arange(1, HORIZON + 1))
    x0 = torch.randn(HORIZON, 3, 2, generator=generator, dtype=torch.float64)
    alpha_bar = torch.sigmoid(-gamma)[:, None, None]
    q = Normal(alpha_bar.sqrt() * x0, (1 - alpha_bar).sqrt().expand_as(x0))
    expected = kl_divergence(q, Normal(torch.zeros_like(x0), torch.ones_like(x0))).sum((1, 2))
    torch.testing.assert_close(prior_term(x0, gamma), expected, rtol=1e-9, atol=1e-13)


def test_float32_terms_of_a_long_chain_sum_to_their_float64_value(generator):
    """1000 terms of a linear chain; what float32 loses must stay far below the 1e-3 bits/dim that tables show."""
    chain = Chain(Linear().build(1000), strided_times(1000, 1000), Linear.first_step)
    pair = chain.pair(torch.arange(2, 1001))
    x0, x_t, eps = torch.randn(3, 999, 64, generator=generator, dtype=torch.float64)
    x0_hat = x0 + 0.1 * eps * (pair.one_minus_alpha_bar_t / pair.alpha_bar_t).sqrt()[:, None]
    totals = []
    for dtype in (torch.float64, torch.float32):
        at = x_t.to(dtype)
        log_variance = Beta().log_variance(pair, at[:, :0], at, 0 * pair.gamma_t)
        p = Reverse(pair, at, x0_hat.to(dtype), at, log_variance)
        totals.append(denoising_term(x0.to(dtype), p).double().sum().item() / 64 / math.log(2))
    assert totals[1] == pytest.approx(totals[0], abs=2e-6)


def test_sums_and_means_run_over_all_but_the_batch():
    value = torch.arange(24.0).reshape(2, 3, 4)
    assert sum_dims(value).tolist() == [66.0, 210.0]
    assert mean_dims(value).tolist() == [5.5, 17.5]


def test_expand_shapes_a_coefficient_per_example():
    assert expand(torch.ones(5, dtype=torch.float64), torch.zeros(5, 1, 2, 3)).shape == (5, 1, 1, 1)
