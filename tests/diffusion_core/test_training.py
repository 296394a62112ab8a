"""Training: repeatable, continued bit by bit, stopped where it diverges, and each loss reaching its own parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diffusion_core.objectives import Simple, VlbContinuous
from diffusion_core.schedules import LearnedLinear, LearnedSchedule
from diffusion_core.trainer import Report, Trainer, part, train, training_reports
from diffusion_core.training import Training
from tests.diffusion_core.learners import (
    BASE,
    adapting_learner,
    image_learner,
    learner_of_points,
    paired_learner,
    points_learner,
    schedule_learner,
    told_learner,
)

CPU = torch.device("cpu")
PLAN = Training(steps=6, batch=16, warmup=4, report_every=2, clip=0.01)

LEARNERS = pytest.mark.parametrize(
    "learner_of", [image_learner, adapting_learner, schedule_learner, paired_learner, told_learner]
)


def saved(report: Report) -> dict[str, Tensor]:
    """What a file would hold: values as they are now."""
    return {name: value.clone() for name, value in report.state().items()}


Run = list[tuple[int, dict[str, float], dict[str, Tensor]]]


def run(learner_of, plan: Training = PLAN, seed: int = 0, start=None) -> Run:
    """Step, losses and state of each report."""
    learner, data = learner_of()
    return [
        (report.step, report.losses, saved(report)) for report in training_reports(learner, data, plan, seed, start)
    ]


unbroken_run = cache(run)
"""A run whose states are read, and not continued in place."""


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@LEARNERS
def test_equal_seeds_train_bit_by_bit_equal_whatever_the_global_generator_and_others_differ(learner_of):
    first, second, *_ = unbroken_run(learner_of)
    torch.manual_seed(1234)
    plan = replace(PLAN, steps=4)
    for one, same in zip((first, second), run(learner_of, plan), strict=True):
        assert one[:2] == same[:2]
        assert_same(one[2], same[2])
    other, _ = run(learner_of, plan, seed=1)
    weights = [name for name in first[2] if name.startswith("learner/diffusion.denoiser.network")]
    assert any(not torch.equal(first[2][name], other[2][name]) for name in weights)


@LEARNERS
def test_a_run_continued_from_a_report_is_bit_by_bit_the_unbroken_one(learner_of):
    """Weights, their average, the optimiser's moments, what is clipped, and what is reported; the state that it starts
    from stays."""
    (step, _, state), *rest = unbroken_run(learner_of)
    before = {name: value.clone() for name, value in state.items()}
    continued = run(learner_of, start=(step, state))
    assert [report[:2] for report in continued] == [report[:2] for report in rest]
    assert_same(continued[-1][2], rest[-1][2])
    assert_same(state, before)
    assert any(name.startswith("optimiser/") for name in state)


def test_reports_come_as_planned_and_at_the_end():
    for steps, every, expected in ((7, 3, [3, 6, 7]), (6, 3, [3, 6]), (2, 50, [2])):
        plan = replace(PLAN, steps=steps, report_every=every)
        assert [report.step for report in training_reports(*points_learner(), plan, 0)] == expected


def test_reports_hold_mean_and_standard_deviation_of_the_losses_since_the_last():
    steps = [report.losses for report in training_reports(*schedule_learner(), replace(PLAN, report_every=1), 0)]
    for i, report in enumerate(training_reports(*schedule_learner(), PLAN, 0)):
        for group, mean in report.losses.items():
            losses = [one[group] for one in steps[2 * i : 2 * i + 2]]
            assert mean == pytest.approx(np.mean(losses), rel=1e-6)
            assert report.standard_deviations[group] == pytest.approx(np.std(losses), rel=1e-3)


def test_a_step_takes_the_rate_of_its_plan(monkeypatch):
    """Rising over two steps to 0.1, then falling by the steps that are left of four."""
    learner, data = points_learner()
    trainer = Trainer(learner, Training(steps=4, learning_rate=0.1, warmup=2, rate="linear"), torch.device("cpu"))
    rates = []
    monkeypatch.setattr(trainer.optimiser, "step", rates.append)
    for step in range(4):
        trainer.step(data[:8], 0, step)
    assert rates == pytest.approx([0.05, 0.075, 0.05, 0.025])


@pytest.mark.parametrize(
    ("objective", "schedule", "groups"),
    [
        (Simple(), LearnedLinear(), {"network", "schedule"}),
        (VlbContinuous(), LearnedSchedule(width=4), {"network", "schedule_ends", "schedule_shape"}),
    ],
)
def test_weight_decay_acts_on_the_network_and_never_on_a_schedule(objective, schedule, groups):
    """A step with decay is the one without, less η λ θ of the network."""
    choices = replace(BASE, schedule=schedule, objective=objective, time_input="log_snr")
    stepped = []
    for decay in (0.0, 0.5):
        learner, data = learner_of_points(choices)
        for parameter in learner.parameters():
            parameter.data += 0.1
        start = [parameter.detach().clone() for parameter in learner.parameter_groups()["network"]]
        Trainer(learner, Training(learning_rate=0.01, warmup=0, weight_decay=decay), CPU).step(data, 0, 0)
        stepped.append(learner.parameter_groups())
    plain, decayed = stepped
    assert plain.keys() == decayed.keys() == groups
    expected = plain | {"network": [p - 0.01 * 0.5 * before for p, before in zip(plain["network"], start, strict=True)]}
    for group in groups:
        torch.testing.assert_close(list(decayed[group]), expected[group], rtol=1e-5, atol=1e-7)


def test_the_average_follows_its_equation_and_takes_buffers_as_they_are():
    """θ̄ ← d θ̄ + (1 − d) θ with d = min(ema, (1 + n)/(10 + n))."""
    learner, data = adapting_learner()
    trainer = Trainer(learner, Training(ema=0.2, learning_rate=0.1, warmup=0), CPU)
    expected = nn.utils.parameters_to_vector(learner.parameters()).detach()
    for step in range(5):
        trainer.step(data[:16], 0, step)
        decay = min(0.2, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * nn.utils.parameters_to_vector(learner.parameters()).detach()
        found = nn.utils.parameters_to_vector(trainer.averages.tracked.parameters())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(trainer.averages.tracked.timesteps.history, learner.timesteps.history)
    assert not any(p.requires_grad for p in trainer.averages.tracked.parameters())


def test_a_loss_that_is_not_finite_ends_the_run_with_a_report_that_says_so_and_train_with_a_line():
    plan = replace(PLAN, steps=50, learning_rate=1e30, warmup=0)
    *before, last = training_reports(*points_learner(), plan, 0)
    assert [report.finite for report in (*before, last)] == [True] * len(before) + [False]
    assert last.step < 50
    with pytest.raises(ValueError, match=rf"the training's loss was not finite by step {last.step}: "):
        train(*points_learner(), plan, 0)


def test_bf16_keeps_weights_and_losses_in_float32_and_close_to_float32s():
    """Weights of AdamW's first steps move by the learning rate whatever the gradient's size, so losses are compared."""
    (_, plain, _), *_ = run(image_learner, replace(PLAN, steps=2, precision="float32"))
    (_, rounded, state), *_ = run(image_learner, replace(PLAN, steps=2, precision="bf16"))
    assert all(v.dtype == torch.float32 for name, v in state.items() if "network" in name)
    assert rounded["network"] == pytest.approx(plain["network"], rel=0.02)


def test_what_is_no_checkpoint_of_the_learner_is_refused():
    _, _, state = unbroken_run(points_learner)[0]
    learner, _ = image_learner()
    trainer = Trainer(learner, PLAN, CPU)
    with pytest.raises(ValueError, match="belongs to another learner"):
        trainer.load(state)
    with pytest.raises(ValueError, match="holds no 'learner'"):
        trainer.load({"weight": torch.zeros(1)})


def test_what_was_trained_has_the_averaged_weights_and_is_for_evaluation():
    learner, data = points_learner()
    train(learner, data, PLAN, 0)
    average = part(unbroken_run(points_learner)[-1][2], "average")
    assert not learner.training
    assert_same(learner.state_dict(), average)
