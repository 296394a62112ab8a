"""What the network predicts: targets by their definitions, back to x_0, and the scale κ of their errors."""

from __future__ import annotations

import pytest
import torch

from diffusion_core.parameterizations import X0, EdmParameterization, Epsilon, Mu, Parameterization, V, Velocity
from diffusion_core.schedules import Schedule
from diffusion_core.testing import check_parameterization, parameterizations
from diffusion_core.testing.parameterizations import Draw
from diffusion_core.testing.problems import bayes
from diffusion_core.testing.saying import run
from diffusion_core.testing.variants import name
from tests.axes import across, members, spoken


@pytest.mark.parametrize("parameterization", members(Parameterization), ids=name)
def test_every_parameterization_keeps_what_parameterizations_keep(parameterization):
    """Under every schedule that it is spoken with, beside those of its check."""
    check_parameterization(parameterization)
    for schedule in members(Schedule):
        if spoken(parameterization, schedule):
            run(parameterizations.PROPERTIES, parameterization, schedule)


@across(schedule=members(Schedule))
def test_targets_are_those_of_the_papers(schedule):
    draw = Draw(schedule)
    arguments = draw.x0, draw.eps, draw.x_t, draw.pair
    root, rest = draw.alpha_bar[1:].sqrt(), (1 - draw.alpha_bar[1:]).sqrt()
    torch.testing.assert_close(Epsilon().target(*arguments), draw.eps, rtol=0, atol=0)
    torch.testing.assert_close(X0().target(*arguments), draw.x0, rtol=0, atol=0)
    torch.testing.assert_close(V().target(*arguments), root * draw.eps - rest * draw.x0, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(Velocity().target(*arguments), draw.eps - draw.x0, rtol=0, atol=0)
    mean, _ = bayes(draw.x0[1:], draw.x_t[1:], draw.alpha_bar[2:], draw.alpha_bar[1:-1])
    torch.testing.assert_close(Mu().target(*arguments)[1:], mean, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(Mu().target(*arguments)[0], draw.x0[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sigma_data", [0.0, -1.0, float("nan")])
def test_data_without_a_deviation_are_refused(sigma_data):
    with pytest.raises(ValueError, match="edm needs sigma_data > 0"):
        EdmParameterization(sigma_data)
