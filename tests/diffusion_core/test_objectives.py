"""What every objective weighs: its loss against the errors that it names, and its effective ε-weight."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import Pair
from diffusion_core.objectives import Objective, Simple, Vlb, Weighted
from diffusion_core.parameterizations import Epsilon, Parameterization
from diffusion_core.schedules import Schedule
from diffusion_core.variances import Beta, BetaTilde, Variance
from tests.axes import members, name
from tests.problems import diffusion

HORIZON = 50
D = 3
PARAMETERIZATIONS = pytest.mark.parametrize("parameterization", members(Parameterization), ids=name)
SCHEDULES = pytest.mark.parametrize("schedule", members(Schedule), ids=name)
TRAINABLE = [
    pytest.param(o, v, id=f"{name(o)}-{name(v)}")
    for o in members(Objective)
    for v in members(Variance)
    if o.learns_variance or not v.learned
]


class Batch:
    """x_0 and ε at every t, and what a network that errs by δ in ε is worth there."""

    def __init__(self, schedule: Schedule) -> None:
        generator = torch.Generator().manual_seed(3)
        self.schedule = schedule
        gamma = schedule.build(HORIZON)
        self.t = torch.arange(1, HORIZON + 1)
        self.pair = Pair(gamma(self.t), gamma(self.t - 1), gamma(self.t))
        self.alpha_bar = torch.sigmoid(-gamma(torch.arange(HORIZON + 1)))
        self.root, self.rest = self.alpha_bar[1:, None].sqrt(), (1 - self.alpha_bar[1:, None]).sqrt()
        self.x0, self.eps, self.delta = torch.randn(3, HORIZON, D, generator=generator, dtype=torch.float64)
        self.x_t = self.root * self.x0 + self.rest * self.eps

    def x0_of(self, eps: Tensor) -> Tensor:
        return (self.x_t - self.rest * eps) / self.root

    def diffusion(
        self, parameterization: Parameterization, variance: Variance, objective: Objective, error: float
    ) -> Diffusion:
        """Its network errs by `error` · δ in ε."""
        eps = self.eps + error * self.delta
        output = parameterization.target(self.x0_of(eps), eps, self.x_t, self.pair)
        if variance.learned:
            output = torch.cat([output, torch.zeros_like(output)], dim=1)
        return diffusion(
            lambda x_t, t: output,
            HORIZON,
            parameterization=parameterization,
            variance=variance,
            schedule=self.schedule,
            objective=objective,
            shape=(D,),
        )

    def loss(
        self, parameterization: Parameterization, variance: Variance, objective: Objective, error: float = 1
    ) -> Tensor:
        return self.diffusion(parameterization, variance, objective, error).losses(self.x0, self.t, self.eps)["network"]


@PARAMETERIZATIONS
@SCHEDULES
@pytest.mark.parametrize(("objective", "variance"), TRAINABLE)
def test_an_error_of_eps_costs_the_effective_weight_times_its_square(parameterization, schedule, objective, variance):
    """For t ≥ 2: at t = 1 the decoder of L_0 has the word."""
    batch = Batch(schedule)
    cost = batch.loss(parameterization, variance, objective) - batch.loss(
        parameterization, variance, objective, error=0
    )
    weight = batch.diffusion(parameterization, variance, objective, 0).curves()["eps_weight"]
    expected = weight * (batch.delta**2).mean(1)
    torch.testing.assert_close(cost[1:], expected[1:], rtol=1e-7, atol=1e-11)


@SCHEDULES
def test_simple_is_the_mean_square_error_of_what_is_predicted(schedule):
    batch = Batch(schedule)
    for parameterization in members(Parameterization):
        eps = batch.eps + batch.delta
        target = parameterization.target(batch.x0, batch.eps, batch.x_t, batch.pair)
        output = parameterization.target(batch.x0_of(eps), eps, batch.x_t, batch.pair)
        expected = ((target - output) ** 2).mean(1)
        torch.testing.assert_close(batch.loss(parameterization, Beta(), Simple()), expected, rtol=1e-12, atol=0)


@PARAMETERIZATIONS
@SCHEDULES
@pytest.mark.parametrize("space", ["epsilon", "x0", "v"])
def test_weighted_is_the_mean_square_error_in_its_space_whatever_is_predicted(parameterization, schedule, space):
    batch = Batch(schedule)
    eps = batch.eps + batch.delta
    x0 = batch.x0_of(eps)
    difference = {
        "epsilon": eps - batch.eps,
        "x0": x0 - batch.x0,
        "v": batch.root * (eps - batch.eps) - batch.rest * (x0 - batch.x0),
    }[space]
    loss = batch.loss(parameterization, Beta(), Weighted(space))
    torch.testing.assert_close(loss, (difference**2).mean(1), rtol=1e-8, atol=0)


@SCHEDULES
def test_vlb_at_beta_tilde_is_simple_times_half_expm1_of_the_rise_of_gamma(schedule):
    """In bits/dim times T, for t ≥ 2."""
    batch = Batch(schedule)
    rise = torch.log(batch.alpha_bar[1:-1] / (1 - batch.alpha_bar[1:-1])) - torch.log(
        batch.alpha_bar[2:] / (1 - batch.alpha_bar[2:])
    )
    simple = batch.loss(Epsilon(), BetaTilde(), Simple())[1:]
    expected = HORIZON * 0.5 * torch.expm1(rise) * simple / math.log(2)
    torch.testing.assert_close(batch.loss(Epsilon(), BetaTilde(), Vlb())[1:], expected, rtol=1e-8, atol=0)


@SCHEDULES
def test_vlb_at_beta_is_simple_times_the_weight_of_ho_et_al_and_a_constant(schedule):
    """β/(2 α (1 − ᾱ_t)) ‖ε − ε̂‖²/D + ½ (log β/β̃ + β̃/β − 1), in bits and times T, for t ≥ 2."""
    batch = Batch(schedule)
    alpha = batch.alpha_bar[2:] / batch.alpha_bar[1:-1]
    ratio = (1 - batch.alpha_bar[1:-1]) / (1 - batch.alpha_bar[2:])
    weight = (1 - alpha) / (2 * alpha * (1 - batch.alpha_bar[2:]))
    simple = batch.loss(Epsilon(), Beta(), Simple())[1:]
    expected = HORIZON * (weight * simple + 0.5 * (-ratio.log() + ratio - 1)) / math.log(2)
    torch.testing.assert_close(batch.loss(Epsilon(), Beta(), Vlb())[1:], expected, rtol=1e-8, atol=0)


@PARAMETERIZATIONS
@pytest.mark.parametrize("variance", members(Variance), ids=name)
def test_vlb_is_the_bounds_own_term_times_the_horizon(parameterization, variance):
    batch = Batch(members(Schedule)[0])
    model = batch.diffusion(parameterization, variance, Vlb(), 1)
    term = model.term(batch.x0, batch.eps, model.chain(), batch.t, clip=False)
    torch.testing.assert_close(batch.loss(parameterization, variance, Vlb()), HORIZON * term, rtol=1e-12, atol=0)


def test_an_objective_computes_the_bounds_term_only_if_it_reads_the_variance():
    batch = Batch(members(Schedule)[0])
    for objective in members(Objective):
        reads = not torch.equal(
            batch.loss(Epsilon(), Beta(), objective)[1:], batch.loss(Epsilon(), BetaTilde(), objective)[1:]
        )
        assert reads == objective.reads_variance
