"""What the network predicts: targets by their definitions, back to x_0, and the scale κ of their errors."""

from __future__ import annotations

import pytest
import torch

from diffusion_core.parameterizations import X0, Epsilon, Mu, Parameterization, V
from diffusion_core.schedules import Schedule
from diffusion_core.testing import parameterizations
from diffusion_core.testing.parameterizations import Draw
from diffusion_core.testing.problems import bayes
from diffusion_core.testing.variants import name
from tests.axes import members, properties

PARAMETERIZATIONS = pytest.mark.parametrize("parameterization", members(Parameterization), ids=name)
SCHEDULES = pytest.mark.parametrize("schedule", members(Schedule), ids=name)


@properties(parameterizations.ALONE)
@PARAMETERIZATIONS
def test_every_parameterization_is_a_choice(parameterization, holds):
    holds(parameterization)


@properties(parameterizations.PROPERTIES)
@PARAMETERIZATIONS
@SCHEDULES
def test_every_parameterization_keeps_what_parameterizations_keep(parameterization, schedule, holds):
    holds(parameterization, schedule)


@SCHEDULES
def test_targets_are_those_of_the_papers(schedule):
    draw = Draw(schedule)
    arguments = draw.x0, draw.eps, draw.x_t, draw.pair
    root, rest = draw.alpha_bar[1:].sqrt(), (1 - draw.alpha_bar[1:]).sqrt()
    torch.testing.assert_close(Epsilon().target(*arguments), draw.eps, rtol=0, atol=0)
    torch.testing.assert_close(X0().target(*arguments), draw.x0, rtol=0, atol=0)
    torch.testing.assert_close(V().target(*arguments), root * draw.eps - rest * draw.x0, rtol=1e-12, atol=1e-12)
    mean, _ = bayes(draw.x0[1:], draw.x_t[1:], draw.alpha_bar[2:], draw.alpha_bar[1:-1])
    torch.testing.assert_close(Mu().target(*arguments)[1:], mean, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(Mu().target(*arguments)[0], draw.x0[0], rtol=1e-12, atol=1e-12)
