"""Tables of β, and spacings, against those of the library `diffusers`, which is imported where it is used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.forward import Pair
from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified, Schedule, Sigmoid
from diffusion_core.spacings import KarrasSpacing, LogSnrSpacing
from diffusion_core.testing.variants import name


def beta_of(schedule: Schedule, horizon: int) -> Tensor:
    """β_1..β_T, float64 [T]."""
    gamma = schedule.build(horizon)
    t = torch.arange(1, horizon + 1)
    return Pair(gamma(t), gamma(t - 1), gamma(t)).beta


@pytest.mark.parametrize("horizon", [50, 1000, 4000])
def test_cosine_and_linear_betas_are_theirs(horizon):
    """As far as float32 holds them: half a unit in the last place is 6e-8."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler, betas_for_alpha_bar

    torch.testing.assert_close(beta_of(Cosine(), horizon), betas_for_alpha_bar(horizon).double(), rtol=6e-8, atol=0)
    # Their linspace adds up in float32.
    theirs = DDPMScheduler(horizon).betas.double()
    torch.testing.assert_close(beta_of(Linear(rescale=False), horizon), theirs, rtol=3e-7, atol=0)


@pytest.mark.parametrize("kind", [Linear, Cosine, Sigmoid])
def test_zero_terminal_is_rescale_zero_terminal_snr(kind):
    """Given our β in float64, ᾱ by a product of β, not by sums of logarithms as ours."""
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(beta_of(kind(), 1000)), 0)
    gamma = kind(zero_terminal=True).build(1000)
    ours = torch.sigmoid(-gamma(torch.arange(1, 1001)))
    assert ours[-1] == theirs[-1] == 0
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("schedule", [Linear(), LogSnrLinear(), Rectified(end=0.99)], ids=name)
@pytest.mark.parametrize("steps", [6, 18])
@pytest.mark.parametrize("spacing", [KarrasSpacing(), LogSnrSpacing()], ids=name)
def test_spacings_on_the_noise_scale_are_theirs_rounded_to_the_nearest_time(schedule, steps, spacing):
    """Their σ, of "karras" and "lu", lies between the levels half a time before and after ours."""
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    gamma = schedule.build(4000)
    log_sigma = 0.5 * gamma(torch.arange(4000, 0, -1)).numpy()
    scheduler = DPMSolverMultistepScheduler()
    if isinstance(spacing, KarrasSpacing):
        theirs = 2 * np.log(scheduler._convert_to_karras(np.exp(log_sigma), steps))
    else:
        theirs = 2 * scheduler._convert_to_lu(log_sigma, steps)
    times = spacing.times(gamma, steps, torch.empty(0)).flip(0)[:-1].double()
    # A level is between two times on a scale of its own: where half-way is differs by a hundredth of a time.
    low, high = (gamma.at((times + sign * 0.51).clamp(1, 4000)) for sign in (-1, 1))
    assert (low <= torch.from_numpy(theirs) + 1e-9).all()
    assert (torch.from_numpy(theirs) - 1e-9 <= high).all()
