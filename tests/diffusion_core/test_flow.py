"""Flow matching by its published formulas, on its own path x_u = (1 − u) x_0 + u ε.

(Liu et al. 2023; Lipman et al. 2023; Esser et al. 2024, whose t is u.)
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from tests.diffusion_core.problems import diffusion

HORIZON = 20
SHIFT = pytest.mark.parametrize("shift", [1.0, 3.0])


def path(shift: float, end: float = 1.0) -> Tensor:
    """u_1..u_T [T, 1]: t/T of the way to `end`, shifted as in Esser et al., eq. 23, with √(m/n) = shift."""
    u = end * torch.arange(1, HORIZON + 1, dtype=torch.float64)[:, None] / HORIZON
    return shift * u / (1 + (shift - 1) * u)


def function(x: Tensor, t: Tensor) -> Tensor:
    """v_θ, a network that is no exact velocity."""
    return torch.tanh(1.3 * x + 0.2) + 0.01 * t[:, None]


def length(u: Tensor) -> Tensor:
    """√((1 − u)² + u²), by which x_u is longer than the x_t that our network is shown."""
    return ((1 - u) ** 2 + u**2).sqrt()


def model_of(output, shift: float) -> dc.Diffusion:
    """A diffusion that predicts the velocity on the straight path."""
    return diffusion(output, HORIZON, parameterization=dc.Velocity(), schedule=dc.Rectified(shift=shift))


@SHIFT
def test_gamma_is_twice_the_logit_of_the_place_on_the_path(shift):
    """Which ends in noise alone unless it stops before."""
    for end in (1.0, 0.999, 0.5):
        gamma = dc.Rectified(shift=shift, end=end).gamma(HORIZON)
        torch.testing.assert_close(
            gamma(torch.arange(1, HORIZON)), 2 * torch.logit(path(shift, end)[:-1, 0]), rtol=1e-11, atol=1e-11
        )
        assert gamma.ends_in_noise == (end == 1)


@SHIFT
def test_the_loss_is_that_of_conditional_flow_matching(shift):
    """‖v_θ(x_u, u) − (ε − x_0)‖²; the shift moves u and nothing else."""
    model, u = model_of(function, shift), path(shift)
    x0, eps = torch.randn(2, HORIZON, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = model.all_times[1:]
    x_u = (1 - u) * x0 + u * eps
    expected = ((function(x_u / length(u), t) - (eps - x0)) ** 2).mean(1)
    ours = dc.DiffusionLearner(model).losses(x0, t, eps)["network"]
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def euler(x: Tensor, places: Tensor) -> Tensor:
    """Euler's method along the places u from 1 to 0."""
    for u, after in pairwise(places):
        x = x + (after - u) * function(x / length(u), u.expand(len(x)))
    return x


@pytest.mark.parametrize("steps", [2, 10])
def test_trailing_steps_of_ddim_are_eulers_even_ones(steps):
    """From u = 1 to u = 0, as in papers' few steps; even times from 1 on would be one step fewer."""
    straight = {"parameterization": dc.Velocity(), "schedule": dc.Rectified(), "spacing": dc.TrailingSpacing()}
    model = diffusion(lambda shown, t: function(shown, t.double() / 1000), 1000, **straight)
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    *_, ours = dc.Ddim().walk(model, x, model.chain(steps), steps, lambda k: 0 * x)
    torch.testing.assert_close(ours, euler(x, torch.linspace(1, 0, steps + 1, dtype=torch.float64)), rtol=0, atol=1e-10)
