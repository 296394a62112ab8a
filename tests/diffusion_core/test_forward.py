"""q against Bayes' rule and arbitrary precision, and strided chains: which times they keep, and their steps."""

from __future__ import annotations

import math
from functools import cached_property

import mpmath
import pytest
import torch

from diffusion_core.chain import Chain, strided_times
from diffusion_core.forward import Step, posterior
from diffusion_core.schedules import Cosine, Linear, Schedule
from tests.axes import across, members
from tests.diffusion_core.mixture import bayes
from tests.diffusion_core.problems import diffusion

HORIZON = 100
STRIDES = across(schedule=members(Schedule), steps=(HORIZON, 12, 2, 1))


def steps_of(schedule: Schedule, steps: int) -> tuple[Step, torch.Tensor, torch.Tensor]:
    """All pairs of a chain but the first step, or the one step of a chain of 1; ᾱ at both ends."""
    gamma = schedule.gamma(HORIZON)
    chain = Chain(gamma, strided_times(HORIZON, steps), schedule.first_step)
    k = torch.arange(min(2, steps), steps + 1)
    return (
        chain.step(k),
        torch.sigmoid(-gamma(chain.times[k])),
        torch.sigmoid(-gamma(chain.times[k - 1])),
    )


def step_of(gamma_t: torch.Tensor, gamma_s: torch.Tensor) -> Step:
    return Step(gamma_t, gamma_s, torch.full_like(gamma_t, math.nan))


def normal(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@STRIDES
def test_posterior_is_the_product_of_kernel_and_marginal_by_bayes_rule(schedule, steps):
    generator = torch.Generator().manual_seed(0)
    step, alpha_bar_t, alpha_bar_s = steps_of(schedule, steps)
    x0, x_t = normal((len(alpha_bar_t), 3), generator), normal((len(alpha_bar_t), 3), generator)
    q = posterior(x0, x_t, step)
    if steps == 1:
        torch.testing.assert_close(q.mean, x0, rtol=1e-12, atol=1e-12)
        return
    mean, variance = bayes(x0, x_t, alpha_bar_t[:, None], alpha_bar_s[:, None])
    torch.testing.assert_close(q.mean, mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(q.log_variance, variance.log(), rtol=0, atol=1e-9)


@across(gamma_t=(-15.0, -5.0, 0.0, 5.0, 18.0, 22.6, 40.0), difference=(1e-3, 0.1, 3.0, 30.0))
def test_coefficients_agree_with_fifty_digits(gamma_t, difference):
    """Both ends count: ᾱ near 1, and past γ = 20, where a softplus with a threshold would lose what matters here.

    log α is a difference of two log ᾱ, each rounded in its last digit: no double precision can give more.
    """
    gamma_s = gamma_t - difference
    with mpmath.workdps(50):
        alpha_bar_t, alpha_bar_s = (1 / (1 + mpmath.exp(mpmath.mpf(g))) for g in (gamma_t, gamma_s))
        alpha, rest = alpha_bar_t / alpha_bar_s, 1 - alpha_bar_t
        expected = {
            "alpha_bar_t": alpha_bar_t,
            "one_minus_alpha_bar_t": rest,
            "snr_t": alpha_bar_t / rest,
            "log_alpha": mpmath.log(alpha),
            "beta": 1 - alpha,
            "beta_tilde": (1 - alpha) * (1 - alpha_bar_s) / rest,
            "coefficient_x0": mpmath.sqrt(alpha_bar_s) * (1 - alpha) / rest,
            "coefficient_xt": mpmath.sqrt(alpha) * (1 - alpha_bar_s) / rest,
        }
        logs = {
            "log_beta": mpmath.log(1 - alpha),
            "log_beta_tilde": mpmath.log(expected["beta_tilde"]),
        }
    step = step_of(*(torch.tensor([g], dtype=torch.float64) for g in (gamma_t, gamma_s)))
    rtol = 4e-16 * (1 + float(-mpmath.log(alpha_bar_t) / (1 - alpha)))
    for key, value in expected.items():
        assert float(getattr(step, key)) == pytest.approx(float(value), rel=rtol, abs=0), key
    for key, value in logs.items():
        assert float(getattr(step, key)) == pytest.approx(float(value), rel=1e-15, abs=rtol), key


@pytest.mark.parametrize("horizon", [2, 3, 31])
def test_strided_times_run_evenly_from_1_to_the_horizon(horizon):
    for steps in range(2, horizon + 1):
        times = strided_times(horizon, steps)
        gaps = times[1:].diff()
        assert times.dtype == torch.int64
        assert len(times) == steps + 1
        assert (times[0], times[1], times[-1]) == (0, 1, horizon)
        assert 1 <= gaps.min() <= gaps.max() <= gaps.min() + 1
    assert strided_times(horizon, horizon).tolist() == list(range(horizon + 1))
    assert strided_times(horizon, 1).tolist() == [0, horizon]
    for steps in (0, -1, horizon + 1):
        with pytest.raises(ValueError, match=f"of {steps} steps does not fit .* T={horizon}: take 1 to {horizon}"):
            strided_times(horizon, steps)


COEFFICIENTS = [name for name, value in vars(Step).items() if isinstance(value, cached_property)]


@across(schedule=members(Schedule), steps=(1, 2, 7, 50), of=("step", "trained_step"))
def test_a_coefficient_is_that_of_the_noise_levels_whichever_steps_are_asked_for(schedule, steps, of):
    """k in any order and as often as may be, by a step of the noise levels themselves: to the last digit of float32."""
    gamma = schedule.gamma(50).requires_grad_(False)
    chain = Chain(gamma, strided_times(50, steps), schedule.first_step)
    k = torch.randint(1, steps + 1, (37,), generator=torch.Generator().manual_seed(0))
    t, s = chain.times[k], chain.times[k - 1] if of == "step" else chain.times[k] - 1
    ours = getattr(chain, of)(k)
    theirs = Step(gamma(t), gamma(s), ours.log_first)
    assert len(COEFFICIENTS) >= 11
    for one in ("gamma_t", "gamma_s", *COEFFICIENTS):
        found, expected = getattr(ours, one), getattr(theirs, one)
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=0, msg=lambda text, one=one: f"{one}: {text}")
        assert torch.equal(found.float(), expected.float())


def test_what_a_chain_has_worked_out_goes_when_another_schedule_is_loaded():
    made, other = (diffusion(lambda x_t, t: x_t, 25, schedule=schedule) for schedule in (Linear(), Cosine()))
    k = torch.arange(1, 26)
    before = made.chain().step(k).alpha_bar_t
    torch.nn.ModuleList([made]).load_state_dict({f"0.{key}": value for key, value in other.state_dict().items()})
    assert torch.equal(made.chain().step(k).alpha_bar_t, other.chain().step(k).alpha_bar_t)
    assert not torch.equal(made.chain().step(k).alpha_bar_t, before)
