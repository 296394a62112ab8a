"""Clipping: torch's own on the same gradients, of a loss in any unit; nothing where nothing is long."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from diffusion_core.timesteps import LowDiscrepancy
from diffusion_core.trainable import DRAWS
from diffusion_core.trainer import Trainer, training_reports
from tests.diffusion_core.learners import (
    BASE,
    adapting_learner,
    learner_of_points,
    points_learner,
    schedule_learner,
)
from tests.diffusion_core.test_training import PLAN, run

CPU = torch.device("cpu")


def stepped(learner_of, clip, **changes):
    """A trainer after its first step on 16 examples, with what each group's gradient came to."""
    learner, data = learner_of()
    trainer = Trainer(learner, replace(PLAN, clip=clip, **changes), CPU)
    trainer.begin(data[:16], 0)
    trainer.step(data[:16], 0, 0)
    of_group = trainer.optimiser.of_group
    return trainer, {
        group: torch.cat([moments.gradient for moments in of_group(group).values()])
        for group in trainer.optimiser.groups
    }


@pytest.mark.parametrize(("learner_of", "optimizer"), [(adapting_learner, "muon"), (schedule_learner, "adamw")])
def test_it_is_torchs_clipping_of_the_normalised_loss(learner_of, optimizer):
    clip = 1e-2
    trainer, found = stepped(learner_of, clip, optimizer=optimizer)
    _, plain = stepped(learner_of, None, optimizer=optimizer)
    for group, gradient in plain.items():
        loss_0 = trainer.clipping.loss_0[group]
        parameter = torch.nn.Parameter(torch.zeros_like(gradient))
        parameter.grad = gradient / loss_0
        assert torch.nn.utils.clip_grad_norm_([parameter], clip) > clip
        torch.testing.assert_close(found[group], parameter.grad * loss_0, rtol=1e-3, atol=0)
        assert float(found[group].norm() / loss_0) == pytest.approx(clip, rel=1e-5)


def test_the_loss_of_a_network_that_says_0_is_the_noises_own():
    """E ‖ε‖²/D = 1, and a fifth of that bears all that draws add to it."""
    learner, data = learner_of_points(replace(BASE, timesteps=LowDiscrepancy()))
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.zero_()
    trainer = Trainer(learner, replace(PLAN, clip=1.0), CPU)
    trainer.begin(data, 0)
    deviation = (2 / data.numel() / DRAWS) ** 0.5
    assert float(trainer.clipping.loss_0["network"]) == pytest.approx(1, abs=4 * deviation)


def test_reports_say_what_was_clipped_since_the_last():
    for clip, share in ((1e-6, 1.0), (1e30, 0.0)):
        for report in training_reports(*schedule_learner(), replace(PLAN, steps=4, clip=clip), 0):
            groups = ("network", "schedule_ends", "schedule_shape")
            assert {report.diagnostics[f"clip/{group}_share"] for group in groups} == {share}
            assert all(report.diagnostics[f"clip/{group}_loss_0"] > 0 for group in groups)


def test_a_state_of_a_training_that_clips_otherwise_is_refused():
    *_, (step, _, state) = run(points_learner, replace(PLAN, steps=3, clip=None))
    with pytest.raises(ValueError, match="what it clipped were other gradients"):
        run(points_learner, PLAN, start=(step, state))
