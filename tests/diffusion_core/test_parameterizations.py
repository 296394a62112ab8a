"""What the network predicts: targets by their definitions, back to x_0, and the scale κ of their errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion_core.chain import Chain, strided_times
from diffusion_core.forward import Pair
from diffusion_core.parameterizations import X0, Epsilon, Mu, Parameterization, V
from diffusion_core.schedules import Schedule
from tests.axes import members, name
from tests.problems import bayes

HORIZON = 60
PARAMETERIZATIONS = pytest.mark.parametrize("parameterization", members(Parameterization), ids=name)
SCHEDULES = pytest.mark.parametrize("schedule", members(Schedule), ids=name)


class Draw:
    """x_0, ε and x_t at every t of a schedule, in a space of 4 dimensions."""

    def __init__(self, schedule: Schedule, generator: torch.Generator) -> None:
        chain = Chain(schedule.build(HORIZON), strided_times(HORIZON, HORIZON), schedule.first_step)
        self.pair: Pair = chain.pair(torch.arange(1, HORIZON + 1))
        gamma = chain.gamma(torch.arange(HORIZON + 1))
        self.alpha_bar = torch.sigmoid(-gamma)[:, None]
        self.x0, self.eps = torch.randn(2, HORIZON, 4, generator=generator, dtype=torch.float64)
        self.x_t = self.alpha_bar[1:].sqrt() * self.x0 + (1 - self.alpha_bar[1:]).sqrt() * self.eps

    def x0_of(self, eps: Tensor) -> Tensor:
        return (self.x_t - (1 - self.alpha_bar[1:]).sqrt() * eps) / self.alpha_bar[1:].sqrt()


@pytest.fixture
def draw_of(generator):
    return lambda schedule: Draw(schedule, generator)


@SCHEDULES
def test_targets_are_those_of_the_papers(schedule, draw_of):
    draw = draw_of(schedule)
    arguments = draw.x0, draw.eps, draw.x_t, draw.pair
    root, rest = draw.alpha_bar[1:].sqrt(), (1 - draw.alpha_bar[1:]).sqrt()
    torch.testing.assert_close(Epsilon().target(*arguments), draw.eps, rtol=0, atol=0)
    torch.testing.assert_close(X0().target(*arguments), draw.x0, rtol=0, atol=0)
    torch.testing.assert_close(V().target(*arguments), root * draw.eps - rest * draw.x0, rtol=1e-12, atol=1e-12)
    mean, _ = bayes(draw.x0[1:], draw.x_t[1:], draw.alpha_bar[2:], draw.alpha_bar[1:-1])
    torch.testing.assert_close(Mu().target(*arguments)[1:], mean, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(Mu().target(*arguments)[0], draw.x0[0], rtol=1e-12, atol=1e-12)


@PARAMETERIZATIONS
@SCHEDULES
def test_a_perfect_output_stands_for_the_true_x0(parameterization, schedule, draw_of):
    """x_0 comes back through 1/√ᾱ_T at the worst (about 800 for cosine at this horizon)."""
    draw = draw_of(schedule)
    output = parameterization.target(draw.x0, draw.eps, draw.x_t, draw.pair)
    torch.testing.assert_close(parameterization.x0(output, draw.x_t, draw.pair), draw.x0, rtol=1e-11, atol=1e-11)


@PARAMETERIZATIONS
@SCHEDULES
def test_kappa_is_the_squared_error_of_the_target_per_squared_error_of_eps(parameterization, schedule, draw_of):
    """At fixed x_t an error δ of ε moves x_0, and with both the target, which is linear in them."""
    draw = draw_of(schedule)
    delta = torch.ones_like(draw.eps)
    at = [parameterization.target(draw.x0_of(e), e, draw.x_t, draw.pair) for e in (draw.eps + delta, draw.eps)]
    ratio = ((at[0] - at[1]) ** 2).sum(1) / (delta**2).sum(1)
    torch.testing.assert_close(parameterization.kappa(draw.pair), ratio, rtol=1e-9, atol=0)


@PARAMETERIZATIONS
@SCHEDULES
def test_an_error_of_the_output_becomes_the_error_of_eps_that_kappa_tells(parameterization, schedule, draw_of):
    draw = draw_of(schedule)
    output = parameterization.target(draw.x0, draw.eps, draw.x_t, draw.pair)
    x0 = parameterization.x0(output + 1, draw.x_t, draw.pair)
    error = ((draw.x0 - x0) * (draw.alpha_bar[1:] / (1 - draw.alpha_bar[1:])).sqrt()) ** 2
    torch.testing.assert_close(
        parameterization.kappa(draw.pair) * error.mean(1), torch.ones(HORIZON).double(), rtol=1e-9, atol=0
    )


@PARAMETERIZATIONS
def test_float32_data_stay_float32(parameterization, draw_of):
    draw = draw_of(members(Schedule)[0])
    output = parameterization.target(draw.x0.float(), draw.eps.float(), draw.x_t.float(), draw.pair)
    assert output.dtype == torch.float32
    assert parameterization.x0(output, draw.x_t.float(), draw.pair).dtype == torch.float32
