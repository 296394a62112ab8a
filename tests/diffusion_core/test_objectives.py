"""What every objective weighs: its loss against the errors that it names, by its paper's weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from diffusion_core.choices import Choices, Time, refusal
from diffusion_core.forward import Step
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.network import Mlp
from diffusion_core.objectives import (
    P2,
    EdmObjective,
    Hybrid,
    MinSnr,
    Objective,
    Simple,
    Vlb,
    Weighted,
)
from diffusion_core.parameterizations import Parameterization
from diffusion_core.schedules import LearnedSchedule, Linear, Schedule
from diffusion_core.variances import Beta, BetaTilde, LearnedDiagonal, LearnedVariance, Variance
from tests.axes import across, members, paired
from tests.diffusion_core.problems import diffusion

HORIZON = 50
D = 3
Case = tuple[Parameterization, Variance, Objective]
TWO = (Linear(), LearnedSchedule())
"""Schedules by a table and of real times: identities of weights read nothing of them but noise levels."""
WEIGHED = (
    *(Weighted(space, power) for space, power in itertools.product(("epsilon", "x0", "v"), (1.0, -0.5))),
    *(MinSnr(5.0), MinSnr(0.3), P2(0.5, 2.0), EdmObjective(0.5)),
)
OBJECTIVES = (*members(Objective), Weighted("x0", 1), Weighted("v", 0.5), MinSnr(0.3), P2(0.5, 2), Hybrid(10))


class Batch:
    """x_0 and ε at every t, with the losses of a network that errs by δ in ε, in T steps or in continuous time."""

    def __init__(self, schedule: Schedule, time: Time = "auto") -> None:
        self.schedule, self.time = schedule, time
        self.t = torch.arange(1, HORIZON + 1)
        gamma = schedule.gamma(HORIZON).requires_grad_(False)
        self.step = Step(gamma(self.t), gamma(self.t - 1), gamma(self.t))
        self.snr = torch.exp(-gamma(self.t))
        self.root, self.rest = (torch.sigmoid(sign * gamma(self.t))[:, None].sqrt() for sign in (-1, 1))
        generator = torch.Generator().manual_seed(3)
        self.x0, self.eps, self.delta, self.raw = torch.randn(4, HORIZON, D, generator=generator, dtype=torch.float64)
        self.x_t = self.root * self.x0 + self.rest * self.eps
        self.answer = torch.zeros(0)
        self.model = cache(self._model)

    def x0_of(self, eps: Tensor) -> Tensor:
        """The x_0 that leads to x_t with another noise."""
        return (self.x_t - self.rest * eps) / self.root

    def squares(self, space: str) -> Tensor:
        """The mean square error [B] at ε̂ = ε + δ in a space."""
        x0 = self.x0_of(self.eps + self.delta) - self.x0
        return ({"epsilon": self.delta, "x0": x0, "v": self.root * self.delta - self.rest * x0}[space] ** 2).mean(1)

    def output(self, parameterization: Parameterization, variance: Variance, error: float | Tensor = 1) -> Tensor:
        """The output of a network that errs by `error` · δ in ε, and outputs 0 for a learned variance."""
        eps = self.eps + error * self.delta
        prediction = parameterization.target(self.x0_of(eps), eps, self.x_t, self.step)
        return torch.cat([prediction, torch.zeros_like(prediction)], dim=1) if variance.learned else prediction

    def _model(self, parameterization: Parameterization, variance: Variance, objective: Objective) -> DiffusionLearner:
        """A learner with these choices, whose network outputs `answer`."""
        choices = {"parameterization": parameterization, "variance": variance, "objective": objective}
        choices |= {"schedule": self.schedule, "shape": (D,), "time": self.time}
        return DiffusionLearner(diffusion(lambda x_t, t: self.answer, HORIZON, **choices))

    def loss(self, *case: Any, output: Tensor | None = None) -> Tensor:
        """The loss of each example [B] at an error of δ, or if the network outputs `output`."""
        self.answer = self.output(*case[:2]) if output is None else output
        return self.model(*case).losses(self.x0, self.t, self.eps)["network"]


batch_of = cache(Batch)
"""The batch of a schedule, cached for all checks of it."""


def cases(objective: Objective, batch: Batch, variances: Sequence[Variance] = members(Variance)) -> list[Case]:
    """The targets and variances with which an objective makes sense."""
    made = Choices(schedule=batch.schedule, objective=objective, network=Mlp(2, 1), horizon=HORIZON, time=batch.time)
    if batch.schedule.learned and made.in_continuous_time:
        made = replace(made, time_input="log_snr")
    every = itertools.product(members(Parameterization), variances)
    return [(p, v, objective) for p, v in every if refusal(replace(made, parameterization=p, variance=v)) is None]


def batches_and_cases(objective: Objective, schedule: Schedule) -> Iterator[tuple[Batch, Case]]:
    """The batches of a schedule at which an objective has a meaning, where it says so in continuous time too, with
    every case of it; if σ² does not enter the loss, one variance per target stands for all."""
    times: tuple[Time, ...] = ("auto", "continuous") if objective.discrete and objective.continuous else ("auto",)
    for batch in (batch_of(schedule, time) for time in times):
        told = cases(objective, batch)
        assert told
        yield from ((batch, case) for case in (told if objective.reads_variance else {c[0]: c for c in told}.values()))


@across(asked=[(objective, TWO[i % 2]) for i, objective in enumerate(OBJECTIVES)])
def test_an_error_of_eps_costs_eps_weight_times_its_square(asked):
    """d/de of w ‖e δ‖²/D is 2 w e ‖δ‖²/D, whatever is predicted and learned; at t = 1 the bound has its decoder.

    The loss of an example is finite.
    """
    first = int(asked[0].reads_decoder)
    for batch, case in batches_and_cases(*asked):
        weight = batch.model(*case).curves()["eps_weight"]
        error = torch.full((HORIZON, 1), 0.3, dtype=torch.float64, requires_grad=True)
        loss = batch.loss(*case, output=batch.output(*case[:2], error))
        (slope,) = torch.autograd.grad(loss.sum(), error)
        expected = 2 * 0.3 * weight * (batch.delta**2).mean(1)
        torch.testing.assert_close(slope[first:, 0], expected[first:], rtol=1e-7, atol=1e-11)
        assert loss.isfinite().all()


@across(objective=OBJECTIVES, schedule=TWO)
def test_an_objective_reads_and_teaches_a_variance_only_if_it_says_so(objective, schedule):
    """`reads_variance` decides which cells share one training; `learns_variance`, whether σ²'s channels are taught."""
    batch = batch_of(schedule)
    learned = LearnedVariance(), LearnedDiagonal()
    variances = learned if objective.needs_learned else (Beta(), BetaTilde())
    parameterization = cases(objective, batch, variances)[0][0]
    one, other = (batch.loss(parameterization, variance, objective)[1:] for variance in variances)
    assert objective.reads_variance != torch.equal(one, other)
    assert objective.learns_variance or not objective.needs_learned
    for case in cases(objective, batch, learned):
        output = batch.output(*case[:2]).requires_grad_()
        (taught,) = torch.autograd.grad(batch.loss(*case, output=output).sum(), output)
        assert taught[1:, D:].any()


def weighed(objective: Objective, batch: Batch) -> Tensor:
    """The error in an objective's space by the weight of its paper, σ² = 1/SNR in that of EDM's Table 1."""
    match objective:
        case Weighted(space=space, power=power):
            return batch.snr**power * batch.squares(space)
        case MinSnr(gamma=gamma):
            return batch.snr.clamp(max=gamma) * batch.squares("x0")
        case P2(k=k, gamma=gamma):
            return batch.squares("epsilon") / (k + batch.snr) ** gamma
        case EdmObjective(sigma_data=sigma_data):
            sigma = batch.snr.rsqrt()
            return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2 * batch.squares("x0")
    raise ValueError(objective)


@paired(parameterization=members(Parameterization), schedule=TWO, objective=WEIGHED)
def test_an_error_is_weighed_as_the_paper_says_whatever_is_predicted(parameterization, schedule, objective):
    batch = batch_of(schedule)
    loss = batch.loss(parameterization, Beta(), objective)
    torch.testing.assert_close(loss, weighed(objective, batch), rtol=1e-8, atol=0)


@across(parameterization=members(Parameterization), schedule=TWO, variance=(LearnedVariance(), LearnedDiagonal()))
def test_hybrid_is_simple_for_the_mean_and_a_share_of_the_bound_for_the_variance(parameterization, schedule, variance):
    """At a weight at which any trace of the bound in the mean's gradient would drown the rest."""
    batch = batch_of(schedule)
    prediction, _ = batch.output(parameterization, variance).chunk(2, dim=1)
    output = torch.cat([prediction, batch.raw], dim=1).requires_grad_()
    simple = batch.loss(parameterization, Beta(), Simple(), output=output[:, :D])
    bound = batch.loss(parameterization, variance, Vlb(), output=output)
    hybrid = batch.loss(parameterization, variance, Hybrid(1e3), output=output)
    torch.testing.assert_close(hybrid, simple + 1e3 * bound, rtol=1e-12, atol=0)
    by_simple, by_bound, by_hybrid = (torch.autograd.grad(loss.sum(), output)[0] for loss in (simple, bound, hybrid))
    assert torch.equal(by_hybrid[:, :D], by_simple[:, :D])
    torch.testing.assert_close(by_hybrid[:, D:], 1e3 * by_bound[:, D:])
    assert (by_bound[:, :D] != 0).all()
