"""Densities of the training times: every one keeps the expectation of a loss over uniform t."""

from __future__ import annotations

import pytest
import torch

from diffusion_core.timesteps import Timesteps, Uniform
from tests.axes import members, name

TIMESTEPS = pytest.mark.parametrize("timesteps", members(Timesteps), ids=name)
HORIZON = 25


@TIMESTEPS
def test_times_cover_1_to_the_horizon_as_the_density_says(timesteps):
    sampler = timesteps.build(HORIZON)
    u = (torch.arange(HORIZON * 400, dtype=torch.float64) + 0.5) / (HORIZON * 400)
    t, weight = sampler(u)
    assert (t.dtype, weight.dtype) == (torch.int64, torch.float64)
    share = torch.bincount(t, minlength=HORIZON + 1)[1:].double() / len(t)
    torch.testing.assert_close(share, sampler.density() / HORIZON, rtol=0, atol=1e-3)


@TIMESTEPS
def test_weighted_losses_have_the_mean_of_uniform_times(timesteps):
    sampler = timesteps.build(HORIZON)
    u = (torch.arange(HORIZON * 400, dtype=torch.float64) + 0.5) / (HORIZON * 400)
    t, weight = sampler(u)
    loss = torch.linspace(3, 1, HORIZON, dtype=torch.float64) ** 2
    assert (weight * loss[t - 1]).mean().item() == pytest.approx(loss.mean().item(), rel=1e-2)
    assert sampler.density().sum().item() == pytest.approx(HORIZON, rel=1e-9)


@TIMESTEPS
@pytest.mark.parametrize("u", [0.0, 1 - 2.0**-53])
def test_times_stay_within_the_horizon_at_the_ends_of_u(timesteps, u):
    t, _ = timesteps.build(HORIZON)(torch.full((3,), u, dtype=torch.float64))
    assert ((t >= 1) & (t <= HORIZON)).all()


def test_uniform_times_are_one_plus_the_floor_of_u_times_the_horizon():
    t, weight = Uniform().build(10)(torch.tensor([0.0, 0.09, 0.1, 0.55, 0.99], dtype=torch.float64))
    assert t.tolist() == [1, 1, 2, 6, 10]
    assert weight.tolist() == [1] * 5
