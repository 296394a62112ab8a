"""Strided chains: which times they keep, and what a step between two of them is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffusion_core.chain import Chain, strided_times
from diffusion_core.schedules import Schedule
from diffusion_core.testing.variants import name
from tests.axes import members

SCHEDULES = pytest.mark.parametrize("schedule", members(Schedule), ids=name)


def alpha_bar_of(schedule: Schedule, horizon: int) -> np.ndarray:
    return torch.sigmoid(-schedule.build(horizon).requires_grad_(False)(torch.arange(horizon + 1))).numpy()


@pytest.mark.parametrize("horizon", [2, 3, 10, 31, 64])
def test_strided_times_run_evenly_from_1_to_the_horizon(horizon):
    for steps in range(2, horizon + 1):
        times = strided_times(horizon, steps)
        gaps = times[1:].diff()
        assert times.dtype == torch.int64
        assert len(times) == steps + 1
        assert (times[0], times[1], times[-1]) == (0, 1, horizon)
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


def test_a_chain_of_all_steps_keeps_every_time_and_one_of_one_step_keeps_the_last():
    assert strided_times(40, 40).tolist() == list(range(41))
    assert strided_times(40, 1).tolist() == [0, 40]


@pytest.mark.parametrize("steps", [0, -1, 41])
def test_a_chain_that_does_not_fit_is_refused(steps):
    with pytest.raises(ValueError, match=f"a chain of {steps} steps does not fit a horizon of T=40: take 1 to 40"):
        strided_times(40, steps)


@SCHEDULES
@pytest.mark.parametrize("steps", [2, 7, 50])
def test_beta_of_a_strided_step_is_that_of_the_kept_alpha_bars(schedule, steps):
    chain = Chain(schedule.build(50).requires_grad_(False), strided_times(50, steps), schedule.first_step)
    kept = alpha_bar_of(schedule, 50)[chain.times]
    pair = chain.pair(torch.arange(1, steps + 1))
    assert chain.steps == steps
    np.testing.assert_allclose(pair.beta, 1 - kept[1:] / kept[:-1], rtol=1e-9)
    np.testing.assert_allclose(pair.beta_tilde, pair.beta * (1 - kept[:-1]) / (1 - kept[1:]), rtol=1e-9)


@SCHEDULES
def test_the_trained_pair_is_one_step_of_the_full_chain_whatever_the_stride(schedule):
    chain = Chain(schedule.build(50).requires_grad_(False), strided_times(50, 7), schedule.first_step)
    alpha_bar = alpha_bar_of(schedule, 50)
    pair = chain.trained_pair(torch.arange(1, 8))
    np.testing.assert_allclose(pair.alpha_bar_t, alpha_bar[chain.times[1:]], rtol=1e-12)
    np.testing.assert_allclose(pair.beta, 1 - alpha_bar[chain.times[1:]] / alpha_bar[chain.times[1:] - 1], rtol=1e-9)


@SCHEDULES
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
@pytest.mark.parametrize("rule", ["beta_tilde_2", "beta_1"])
def test_variance_of_the_first_step_follows_the_chains_rule(schedule, steps, rule):
    chain = Chain(schedule.build(50).requires_grad_(False), strided_times(50, steps), rule)
    kept = alpha_bar_of(schedule, 50)[chain.times]
    expected = 1 - kept[1]
    if rule == "beta_tilde_2" and steps > 1:
        expected *= (1 - kept[2] / kept[1]) / (1 - kept[2])
    log_first = chain.pair(torch.tensor([1, 1])).log_first
    assert log_first.tolist() == pytest.approx([math.log(expected)] * 2, rel=1e-9)
