"""Strided chains: which times they keep, and what a step between two of them is."""

from __future__ import annotations

import math
from functools import cached_property

import pytest
import torch

from diffusion_core.chain import Chain, strided_times
from diffusion_core.forward import Pair
from diffusion_core.problems import diffusion
from diffusion_core.schedules import Cosine, Linear, Schedule
from tests.axes import across, members


@pytest.mark.parametrize("horizon", [2, 3, 10, 31, 64])
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


@across(schedule=members(Schedule), steps=(1, 2, 7, 50), rule=("beta_tilde_2", "beta_1"))
def test_variance_of_the_first_step_follows_the_chains_rule(schedule, steps, rule):
    chain = Chain(schedule.gamma(50).requires_grad_(False), strided_times(50, steps), rule)
    kept = torch.sigmoid(-chain.gamma(chain.times)).tolist()
    expected = 1 - kept[1]
    if rule == "beta_tilde_2" and steps > 1:
        expected *= (1 - kept[2] / kept[1]) / (1 - kept[2])
    log_first = chain.pair(torch.tensor([1, 1])).log_first
    assert log_first.tolist() == pytest.approx([math.log(expected)] * 2, rel=1e-9)


COEFFICIENTS = [name for name, value in vars(Pair).items() if isinstance(value, cached_property)]


@across(schedule=members(Schedule), steps=(1, 2, 7, 50), of=("pair", "trained_pair"))
def test_a_coefficient_is_that_of_the_noise_levels_whichever_steps_are_asked_for(schedule, steps, of):
    """k in any order and as often as may be, by a pair of the noise levels themselves: to the last digit of float32."""
    gamma = schedule.gamma(50).requires_grad_(False)
    chain = Chain(gamma, strided_times(50, steps), schedule.first_step)
    k = torch.randint(1, steps + 1, (37,), generator=torch.Generator().manual_seed(0))
    t, s = chain.times[k], chain.times[k - 1] if of == "pair" else chain.times[k] - 1
    ours = getattr(chain, of)(k)
    theirs = Pair(gamma(t), gamma(s), ours.log_first)
    assert len(COEFFICIENTS) >= 11
    for one in ("gamma_t", "gamma_s", *COEFFICIENTS):
        found, expected = getattr(ours, one), getattr(theirs, one)
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=0, msg=lambda text, one=one: f"{one}: {text}")
        assert torch.equal(found.float(), expected.float())


def test_what_a_chain_has_worked_out_goes_when_another_schedule_is_loaded():
    made, other = (diffusion(lambda x_t, t: x_t, 25, schedule=schedule) for schedule in (Linear(), Cosine()))
    k = torch.arange(1, 26)
    before = made.chain().pair(k).alpha_bar_t
    torch.nn.ModuleList([made]).load_state_dict({f"0.{key}": value for key, value in other.state_dict().items()})
    assert torch.equal(made.chain().pair(k).alpha_bar_t, other.chain().pair(k).alpha_bar_t)
    assert not torch.equal(made.chain().pair(k).alpha_bar_t, before)
