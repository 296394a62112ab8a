"""Properties of every objective: its loss weighs an error of ε by its `eps_weight`, and reads what it says it reads.

They hold whatever is predicted and learned. Combinations that make no sense are left out; at least one must remain.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch
from torch import Tensor

from diffusion_core.choices import Choices, Time, refusal
from diffusion_core.forward import Pair
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.mlp import Mlp
from diffusion_core.objectives import Objective
from diffusion_core.parameterizations import X0, EdmParameterization, Epsilon, Mu, Parameterization, V, Velocity
from diffusion_core.schedules import Schedule
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.problems import diffusion
from diffusion_core.testing.saying import Place, Property, fail, require, require_close, require_flag, title
from diffusion_core.testing.variants import name
from diffusion_core.timesteps import Uniform
from diffusion_core.variances import Analytic, Beta, BetaTilde, LearnedDiagonal, LearnedVariance, Variance

HORIZON = 50
D = 3
Case = tuple[Parameterization, Variance, Objective]


class Batch:
    """x_0 and ε at every t, with the losses of a network that errs by δ in ε, in T steps or in continuous time."""

    def __init__(self, schedule: Schedule, time: Time = "auto", after: float = 0.0) -> None:
        """The batch at t = 1..T or, if `after` is not 0, at the real times t + `after` for t = 1..T − 1."""
        generator = torch.Generator().manual_seed(3)
        self.schedule = schedule
        self.gamma = schedule.gamma(HORIZON).requires_grad_(False)
        self.time = time
        self.t = torch.arange(1, HORIZON) + after if after else torch.arange(1, HORIZON + 1)
        gamma_t = self.gamma(self.t)
        self.pair = Pair(gamma_t, self.gamma(self.t - 1), gamma_t)
        self.snr = torch.exp(-gamma_t)
        self.root, self.rest = torch.sigmoid(-gamma_t)[:, None].sqrt(), torch.sigmoid(gamma_t)[:, None].sqrt()
        draws = torch.randn(4, len(self.t), D, generator=generator, dtype=torch.float64)
        self.x0, self.eps, self.delta, self.raw = draws
        self.x_t = self.root * self.x0 + self.rest * self.eps
        self.answer = torch.zeros(0)
        self.models: dict[Case, DiffusionLearner] = {}

    def x0_of(self, eps: Tensor) -> Tensor:
        """The x_0 that leads to x_t with another noise."""
        x0: Tensor = (self.x_t - self.rest * eps) / self.root
        return x0

    @cached_property
    def squares(self) -> dict[str, Tensor]:
        """The mean square errors [B] at ε̂ = ε + δ, in each space."""
        x0 = self.x0_of(self.eps + self.delta)
        differences = {
            "epsilon": self.delta,
            "x0": x0 - self.x0,
            "v": self.root * self.delta - self.rest * (x0 - self.x0),
        }
        return {space: (difference**2).mean(1) for space, difference in differences.items()}

    def output(self, parameterization: Parameterization, variance: Variance, error: float | Tensor = 1) -> Tensor:
        """The output of a network that errs by `error` · δ in ε, and outputs 0 for a learned variance."""
        eps = self.eps + error * self.delta
        prediction = parameterization.target(self.x0_of(eps), eps, self.x_t, self.pair)
        return torch.cat([prediction, torch.zeros_like(prediction)], dim=1) if variance.learned else prediction

    def model(self, parameterization: Parameterization, variance: Variance, objective: Objective) -> DiffusionLearner:
        """A learner with these choices, whose network outputs `answer`."""
        case = (parameterization, variance, objective)
        if case not in self.models:
            made = diffusion(
                lambda x_t, t: self.answer,
                HORIZON,
                parameterization=parameterization,
                variance=variance,
                schedule=self.schedule,
                objective=objective,
                shape=(D,),
                time=self.time,
            )
            self.models[case] = DiffusionLearner(made)
        return self.models[case]

    def loss_at(
        self, parameterization: Parameterization, variance: Variance, objective: Objective, output: Tensor
    ) -> Tensor:
        """The loss of each example [B] if the network outputs `output`."""
        self.answer = output
        return self.model(parameterization, variance, objective).losses(self.x0, self.t, self.eps)["network"]

    def loss(
        self, parameterization: Parameterization, variance: Variance, objective: Objective, error: float | Tensor = 1
    ) -> Tensor:
        """The loss of each example [B] at an error of `error` · δ."""
        return self.loss_at(parameterization, variance, objective, self.output(parameterization, variance, error))

    def slopes(
        self, parameterization: Parameterization, variance: Variance, objective: Objective, errors: tuple[float, ...]
    ) -> Tensor:
        """d loss/d error [E, B] at each of E errors, from one loss of all of them."""
        n, rows = len(errors), len(self.t)
        at = torch.tensor(errors, dtype=torch.float64)[:, None, None].repeat(1, rows, 1).requires_grad_()
        self.answer = torch.cat([self.output(parameterization, variance, error) for error in at])
        model = self.model(parameterization, variance, objective)
        losses = model.losses(self.x0.repeat(n, 1), self.t.repeat(n), self.eps.repeat(n, 1))
        return torch.autograd.grad(losses["network"].sum(), at)[0][..., 0]


batch_of = cache(Batch)
"""The batch of a schedule, cached for all checks of it."""


def batches(objective: Objective, schedule: Schedule) -> list[Batch]:
    """The batches of a schedule at which an objective has a meaning: where it says so, in continuous time too."""
    both = objective.discrete and objective.continuous
    return [batch_of(schedule), batch_of(schedule, "continuous")] if both else [batch_of(schedule)]


@dataclass(frozen=True)
class Partners:
    """The targets and variances with which an objective is checked."""

    parameterizations: tuple[Parameterization, ...] = (Epsilon(), X0(), Mu(), V(), Velocity(), EdmParameterization())
    variances: tuple[Variance, ...] = (Beta(), BetaTilde(), LearnedVariance(), LearnedDiagonal(), Analytic())


ALL = Partners()


def cases(objective: Objective, batch: Batch, partners: Partners) -> list[Case]:
    """The targets and variances with which an objective makes sense; there must be at least one."""
    sensible: list[Case] = []
    reason: str | None = None
    for parameterization, variance in itertools.product(partners.parameterizations, partners.variances):
        choices = Choices(
            parameterization, variance, batch.schedule, objective, Uniform(), Mlp(2, 1), HORIZON, time=batch.time
        )
        if batch.schedule.learned and choices.in_continuous_time:
            choices = replace(choices, time_input="log_snr")
        reason = refusal(choices)
        if reason is None:
            sensible.append((parameterization, variance, objective))
    require(objective, "some target and variance must go with it", bool(sensible), f"none does: {reason}")
    return sensible


def _all(objective: Objective, schedule: Schedule, partners: Partners) -> Iterator[tuple[Batch, Case]]:
    """Every batch with every case of it; if σ² does not enter the loss, one variance per target stands for all."""
    for batch in batches(objective, schedule):
        asked: set[Parameterization] = set()
        for case in cases(objective, batch, partners):
            if objective.reads_variance or case[0] not in asked:
                asked.add(case[0])
                yield batch, case


def _at(case: Case, first: int) -> Place:
    with_what = f"{title(case[0])} and {title(case[1])}"
    return lambda index: f"at t={index[-1] + 1 + first} of T={HORIZON} with {with_what}"


def gives_a_finite_loss_per_example(objective: Objective, schedule: Schedule, partners: Partners = ALL) -> None:
    """loss is [B], of the data's type, finite, and has a gradient in the network's output."""
    for batch, case in _all(objective, schedule, partners):
        output = batch.output(case[0], case[1]).requires_grad_()
        loss = batch.loss_at(*case, output)
        values = zip(batch.t.tolist(), loss.tolist(), strict=True)
        broken = [f"{value} at t = {t:g}" for t, value in values if not math.isfinite(value)]
        fact = f"it is {broken[0]} with {title(case[0])} and {title(case[1])}" if broken else ""
        require(objective, "the loss must be finite", not broken, fact)
        require(
            objective,
            "the loss must teach the network",
            loss.requires_grad,
            f"it has no gradient with {title(case[0])}",
        )


def the_loss_of_an_example_is_its_own(objective: Objective, schedule: Schedule, partners: Partners = ALL) -> None:
    """The loss of an example is the same whoever else is in its batch: those of half a batch are those of the whole."""
    half = slice(HORIZON // 2)
    for batch, case in _all(objective, schedule, partners):
        expected = batch.loss(*case)[half]
        batch.answer = batch.answer[half]
        loss = batch.model(*case).losses(batch.x0[half], batch.t[half], batch.eps[half])["network"]
        rule = "the loss of an example must not depend on the rest of its batch"
        require_close(objective, rule, loss, expected, rtol=1e-7, atol=1e-11, place=_at(case, 0))


def an_error_of_eps_costs_the_effective_weight_times_its_square(
    objective: Objective, schedule: Schedule, partners: Partners = ALL
) -> None:
    """d/de of w ‖e δ‖²/D is 2 w e ‖δ‖²/D, whatever is predicted and learned; at t = 1 the bound has its decoder."""
    first = 1 if objective.reads_decoder else 0
    errors = (0.3, 1.0)
    for batch, case in _all(objective, schedule, partners):
        square = (batch.delta**2).mean(1)
        weight = batch.model(*case).curves()["eps_weight"]
        expected = torch.stack([2 * error * weight * square for error in errors])[:, first:]
        slopes = batch.slopes(*case, errors)[:, first:]
        rule = "the slope of the loss in an error of eps must be that of eps_weight times its square"
        require_close(objective, rule, slopes, expected, rtol=1e-7, atol=1e-11, place=_at(case, first))


def nothing_but_the_square_of_the_error_enters_the_loss(
    objective: Objective, schedule: Schedule, partners: Partners = ALL
) -> None:
    """The rise of the loss over that at ε̂ = ε is w ‖δ‖²/D, for t ≥ 2.

    It is not checked for an objective meant for a learned variance, whose part for σ² also depends on the error.
    """
    if objective.needs_learned:
        return
    for batch, case in _all(objective, schedule, replace(partners, variances=(BetaTilde(),))):
        weight = batch.model(*case).curves()["eps_weight"]
        cost = (batch.loss(*case) - batch.loss(*case, error=0))[1:]
        expected = (weight * (batch.delta**2).mean(1))[1:]
        rule = "an error of eps must cost eps_weight times its square"
        require_close(objective, rule, cost, expected, rtol=1e-7, atol=1e-11, place=_at(case, 1))


def reads_the_variance_only_if_it_says_so(objective: Objective, schedule: Schedule, partners: Partners = ALL) -> None:
    """`reads_variance` decides which cells share one training."""
    batch = batch_of(schedule)
    variances = (LearnedVariance(), LearnedDiagonal()) if objective.needs_learned else (Beta(), BetaTilde())
    parameterization = cases(objective, batch, replace(partners, variances=variances))[0][0]
    first, second = (batch.loss(parameterization, variance, objective)[1:] for variance in variances)
    reads = not torch.equal(first, second)
    fact = f"its loss with {name(variances[0])} and {name(variances[1])} {'differs' if reads else 'is the same'}"
    require_flag(objective, "reads_variance", "sigma^2 enters the loss", reads, fact)


def teaches_a_variance_only_if_it_says_so(objective: Objective, schedule: Schedule, partners: Partners = ALL) -> None:
    """With `learns_variance`, the loss must have a gradient in the network's output for a learned σ²."""
    if not objective.learns_variance:
        if objective.needs_learned:
            fail(objective, "needs_learned must go with learns_variance", "learns_variance is not set")
        return
    batch = batch_of(schedule)
    for case in cases(objective, batch, replace(partners, variances=(LearnedVariance(), LearnedDiagonal()))):
        output = batch.output(case[0], case[1]).requires_grad_()
        (taught,) = torch.autograd.grad(batch.loss_at(*case, output).sum(), output)
        fact = f"it has no gradient in {title(case[1])}'s channels"
        require(objective, "learns_variance must say whether it teaches sigma^2", taught[1:, D:].any(), fact)


PROPERTIES: tuple[Property, ...] = (
    gives_a_finite_loss_per_example,
    the_loss_of_an_example_is_its_own,
    reads_the_variance_only_if_it_says_so,
    an_error_of_eps_costs_the_effective_weight_times_its_square,
    nothing_but_the_square_of_the_error_enters_the_loss,
    teaches_a_variance_only_if_it_says_so,
)
"""The properties, each a function of an objective and a schedule."""

ALONE: tuple[Property, ...] = OF_EVERY_CHOICE
