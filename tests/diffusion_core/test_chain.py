"""Strided chains: which times they keep, and what a step between two of them is."""

from __future__ import annotations

import math
from functools import cached_property

import pytest
import torch

from diffusion_core.chain import Chain, strided_times
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import GreyLevels
from diffusion_core.forward import Pair
from diffusion_core.networks.mlp import Mlp
from diffusion_core.parameterizations import V
from diffusion_core.schedules import Cosine, LearnedSchedule, Linear, Schedule
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


def model(schedule: Schedule) -> Diffusion:
    choices = Choices(parameterization=V(), schedule=schedule, network=Mlp(width=4), horizon=25)
    return Diffusion(choices, GreyLevels(), (2,))


def alpha_bar(made: Diffusion) -> list[float]:
    return made.chain().pair(torch.arange(1, 26)).alpha_bar_t.tolist()


def test_a_schedule_that_stays_is_asked_once_for_all_training_steps():
    made, asked = model(Linear()), []
    made.gamma.register_forward_pre_hook(lambda *_: asked.append(1))
    first = alpha_bar(made)
    assert alpha_bar(made) == first
    assert made.chain().pair(torch.tensor([3])).beta.item() > 0
    assert len(asked) == 1


def test_a_schedule_that_learns_is_asked_at_every_step_and_takes_the_gradient():
    made = model(LearnedSchedule())
    before = alpha_bar(made)
    made.chain().pair(torch.tensor([3, 25])).beta.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in made.gamma.end_parameters)
    with torch.no_grad():
        made.gamma.shift.add_(0.1)
    assert all(now < then for now, then in zip(alpha_bar(made), before, strict=True))


def test_what_a_chain_has_worked_out_goes_when_the_schedule_moves_or_is_loaded():
    made, other = model(Linear()), model(Cosine())
    linear, cosine = alpha_bar(made), alpha_bar(other)
    assert linear != cosine
    made.load_state_dict(other.state_dict())
    assert alpha_bar(made) == cosine
    wrapped = torch.nn.ModuleList([made])
    wrapped.load_state_dict({f"0.{key}": value for key, value in model(Linear()).state_dict().items()})
    assert alpha_bar(made) == linear
    kept = made.chain()
    assert made.chain() is kept
    wrapped.half()
    assert made.chain() is not kept
