"""Schedules that end in noise alone: ᾱ_T = 0, with v, velocity and edm (Lin et al. 2024)."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
import torch
from torch import Tensor

from diffusion_core.objectives import Weighted
from diffusion_core.parameterizations import V
from diffusion_core.problems import diffusion
from diffusion_core.schedules import Linear, Schedule
from tests.axes import across, ends_in_noise, members

ENDED = tuple(schedule for schedule in members(Schedule) if ends_in_noise(schedule))


@pytest.mark.parametrize("t", [1, 2, 500, 999])
def test_nothing_of_a_small_difference_is_lost_near_either_end(t):
    """1 − ᾱ_t and ᾱ_t to 12 digits of arithmetic in 50, from the β that Lin et al. rescale."""
    alpha_bar = [Decimal(1)]
    with localcontext() as context:
        context.prec = 50
        for beta in torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).tolist():
            alpha_bar.append(alpha_bar[-1] * (1 - Decimal(beta)))
        root = [value.sqrt() for value in alpha_bar[1:]]
        moved = ((root[t - 1] - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
        signal, noise = float(moved), float(1 - moved)
    gamma = Linear(zero_terminal=True).gamma(1000)(torch.tensor([t]))
    assert torch.sigmoid(-gamma).item() == pytest.approx(signal, rel=1e-12)
    assert torch.sigmoid(gamma).item() == pytest.approx(noise, rel=1e-12)


@across(schedule=ENDED)
def test_the_last_x_is_the_noise_itself_and_the_prior_costs_nothing(schedule):
    seen = []

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(x_t.clone())
        return 0 * x_t

    model = diffusion(spy, 30, parameterization=V(), schedule=schedule)
    x0, eps = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model.term(x0, eps, model.chain(), torch.full((5,), 30))
    assert torch.equal(seen[0], eps)
    assert model.prior(x0).tolist() == [0] * 5
    assert model.prior(1000 * x0).tolist() == [0] * 5


@across(schedule=ENDED, objective=(Weighted("x0", -0.5), Weighted("v", -1.0), Weighted("epsilon", -2.0)))
def test_a_weight_that_grows_without_end_towards_noise_is_refused(schedule, objective):
    """SNR^power of x_0 at SNR = 0; with T real times, none of which is T, it is finite wherever it is read."""
    asked = {"parameterization": V(), "schedule": schedule, "objective": objective}
    with pytest.raises(ValueError, match=r"objective=weighted has no finite weight: take an objective.power of 0"):
        diffusion(lambda x_t, t: x_t, 30, **asked)
    assert diffusion(lambda x_t, t: x_t, 30, **asked, time="continuous").choices.in_continuous_time
    # SNR^−1 of ε is 1 of x_0.
    diffusion(lambda x_t, t: x_t, 30, **asked | {"objective": Weighted("epsilon", -1.0)})
