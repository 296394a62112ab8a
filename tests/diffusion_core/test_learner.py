"""A step of training: in pieces it is the whole, and every objective tends to itself in continuous time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion_core.checking import Function
from diffusion_core.choices import Choices, Time
from diffusion_core.encodings import Continuous
from diffusion_core.learner import DiffusionLearner
from diffusion_core.objectives import Example, Objective, Simple, Vlb, VlbContinuous
from diffusion_core.schedules import Linear, LogSnrLinear, Schedule
from diffusion_core.trainer import Trainer, batch_indices
from diffusion_core.training import Training
from diffusion_core.variances import BetaTilde
from tests.axes import across, members
from tests.diffusion_core.learners import adapting_learner, paired_learner, schedule_learner, vq_learner
from tests.diffusion_core.problems import DATA

PLAN = Training(steps=9, batch=16, warmup=4, precision="float32", clip=0.01)
"""In bf16, which `auto` takes on some processors, a piece is rounded otherwise than the whole."""
BOTH = [objective for objective in members(Objective) if objective.discrete and objective.continuous]


@torch.no_grad()
def expected_loss(objective: Objective, schedule: Schedule, horizon: int, time: Time = "auto") -> float:
    """E loss of a network that says ½ x_t of ε, over uniform times, x_0 and ε of Gaussian data exactly."""
    learner = DiffusionLearner.of(
        Choices(
            objective=objective,
            variance=BetaTilde(),
            schedule=schedule,
            network=Function(lambda x_t, t: 0.5 * x_t, horizon, real=time == "continuous"),
            horizon=horizon,
            time=time,
        ),
        Continuous(),
        (2,),
    )
    u = (torch.arange(horizon, dtype=torch.float64) + 0.5) / horizon
    t, weight = learner.times(u)
    loss = DATA.expected(lambda x0, eps: learner.losses(x0.expand(horizon, 2), t, eps.expand(horizon, 2))["network"])
    skipped = 1 if objective.reads_decoder else 0  # L_0, which continuous time has apart.
    return float((weight * loss)[skipped:].sum() / horizon)


class Crossed(Simple):
    """A loss of each step of examples, as of a slip in its shapes."""

    def loss(self, example: Example) -> Tensor:
        return example.error[:, None] * example.error


def test_a_loss_of_another_shape_than_one_an_example_is_refused():
    with pytest.raises(ValueError, match=r"Crossed\.loss must give .* a tensor \[10\]: got \[10, 10\]"):
        expected_loss(Crossed(), EVEN, 10)


EVEN = LogSnrLinear(-6.0, 4.0)
LIMITS = [(objective, objective, "continuous", schedule) for objective in BOTH for schedule in (EVEN, Linear())]


@across(limit=[*LIMITS, (Vlb(), VlbContinuous(), "auto", EVEN)])
def test_in_continuous_time_an_objective_is_its_limit_of_many_steps(limit):
    """At T = 8000 for the limit: a sum of T values against the integral, which T = 8000 midpoints are."""
    discrete, continuous, time, schedule = limit
    expected = expected_loss(continuous, schedule, 8000, time)
    errors = [abs(expected_loss(discrete, schedule, horizon) / expected - 1) for horizon in (100, 400, 1600)]
    assert errors[2] < 0.05
    assert errors[2] < max(0.5 * errors[0], 1e-4)


def gradients_and_losses(learner_of, **changes):
    """What a trainer receives at its first step, the losses that it reports, and what is remembered of them."""
    learner, data = learner_of()
    trainer = Trainer(learner, replace(PLAN, **changes), torch.device("cpu"))
    raw = data[batch_indices(0, 0, len(data), PLAN.batch)]
    trainer.begin(raw, 0)
    means = trainer.step(raw, 0, 0)
    return [moments.gradient for moments in trainer.optimiser.moments.values()], means, dict(learner.named_buffers())


@pytest.mark.parametrize("learner_of", [adapting_learner, schedule_learner, paired_learner, vq_learner])
def test_a_batch_taken_in_pieces_has_the_gradient_of_the_whole(learner_of):
    """Times, noise and what is remembered are the batch's own, however its 16 examples are divided."""
    whole, parts = gradients_and_losses(learner_of), gradients_and_losses(learner_of, micro_batch=5)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5, equal_nan=True)
