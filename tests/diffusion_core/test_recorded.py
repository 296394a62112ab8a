"""Recorded functions: a training whose steps are replayed is the training itself; what is not the same is not used."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion_core import trainer
from diffusion_core.batches import Labelled
from diffusion_core.likelihood import bound
from diffusion_core.networks import convolution, fused
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import V
from diffusion_core.recorded import WARM_UP, Recorded
from diffusion_core.samplers import Ancestral
from diffusion_core.stratified import Stratification
from diffusion_core.trainer import Trainer, train
from diffusion_core.training import Training
from tests.diffusion_core.learners import (
    BASE,
    adapting_learner,
    image_learner,
    learner_of_points,
    paired_learner,
    schedule_learner,
    told_learner,
    vq_learner,
)
from tests.diffusion_core.test_gpu import CPU, CUDA, DIGITS, model
from tests.diffusion_core.test_waiting import waits

pytestmark = pytest.mark.cuda

TRIED = WARM_UP + 2
"""Calls after which a function is replayed."""
PLAN = Training(
    steps=TRIED + 2, batch=16, learning_rate=2**-9, warmup=16, ema=0.5, report_every=3, precision="float32", snapshots=2
)
"""Its learning rates are numbers of float32, as a recording takes them."""


def plain_learner():
    """Its network learns from the mean square error."""
    return learner_of_points(BASE)


def recorded_by(patch) -> list[Recorded]:
    """The recordings that trainers make from now on."""
    made: list[Recorded] = []

    def recorded(function, state):
        made.append(Recorded(function, state))
        return made[-1]

    patch.setattr(trainer, "Recorded", recorded)
    return made


def states(learner_of, device, **changes):
    """What a training reports, with its states as they were."""
    made, data = learner_of()
    data = data.to(device) if isinstance(data, Tensor) else Labelled(*(part.to(device) for part in data))
    reports = train(made.to(device), data, replace(PLAN, **changes), 0)
    return [(report.losses, {key: value.cpu().clone() for key, value in report.state().items()}) for report in reports]


@pytest.mark.parametrize(
    ("learner_of", "optimizer", "clip"),
    [
        (image_learner, "adamw", None),
        (image_learner, "muon", 0.1),
        (adapting_learner, "muon", None),
        (schedule_learner, "adamw", 0.1),
        (paired_learner, "adamw", 0.1),
        (told_learner, "adamw", 0.1),
        (vq_learner, "adamw", None),
    ],
)
def test_a_recorded_training_is_the_training(learner_of, optimizer, clip, monkeypatch, card):
    monkeypatch.setattr(fused, "works", lambda: False)
    monkeypatch.setattr(convolution, "dependent", lambda case: frozenset())
    pieces = 8 if learner_of is adapting_learner else None
    recordings = recorded_by(monkeypatch)
    changes = {"micro_batch": pieces, "optimizer": optimizer, "clip": clip}
    recorded = states(learner_of, CUDA, **changes)
    (recording,) = recordings[0].recordings.values()
    assert recordings[0].refused == []
    assert recording.graph is not None
    called = states(learner_of, CUDA, captured=False, **changes)
    # A simulated card differs in the average's weight alone, a real one in how it adds up.
    rtol, atol = (1e-5, 1e-6 if optimizer == "muon" else 1e-7) if card else (1e-3, 1e-4)
    torch.testing.assert_close(recorded, called, rtol=rtol, atol=atol)
    if card:
        assert recording.graph.replays == PLAN.steps - TRIED + 1


def test_a_number_that_python_works_out_is_found_to_be_stale(monkeypatch):
    """A loss scaled by the step, which is no tensor: its recording comes to other values, and is not used."""
    steps: list[int] = []
    losses = Simple.loss

    def scaled(self, example):
        steps.append(len(steps))
        return losses(self, example) * len(steps)

    monkeypatch.setattr(Simple, "loss", scaled)
    monkeypatch.setattr(fused, "works", lambda: False)
    recordings = recorded_by(monkeypatch)
    states(plain_learner, CUDA)
    assert recordings[0].refused == ["a replay came to other values"]
    # Called at each step, once more to be recorded, and once more where it was found out.
    assert len(steps) == PLAN.steps + 1


def test_what_the_host_waits_for_is_not_recorded(monkeypatch):
    losses = Simple.loss
    monkeypatch.setattr(Simple, "loss", lambda self, example: losses(self, example) * float(example.error.sum() != 0))
    monkeypatch.setattr(fused, "works", lambda: False)
    found = []
    for plan in (PLAN, replace(PLAN, captured=False)):
        learner, data = plain_learner()
        *_, last = train(learner.to(CUDA), data.to(CUDA), plan, 0)
        found.append(last)
    recorded, called = found
    assert recorded.remarks[0].startswith("its steps are not recorded as a CUDA graph: ")
    assert "capturing" in recorded.remarks[0]
    assert called.remarks == ()
    torch.testing.assert_close(recorded.losses, called.losses, rtol=1e-5, atol=1e-7)


def test_a_replayed_step_is_one_launch_and_waits_for_nothing(card):
    learner, data = plain_learner()
    made, raw = Trainer(learner.to(CUDA), PLAN, CUDA), data[:16].to(CUDA)
    for step in range(TRIED):
        made.step(raw, 0, step)

    def steps(first, last):
        for step in range(first, last):
            made.step(raw, 0, step)

    before = card.launches if card else 0
    assert waits(lambda: steps(TRIED, TRIED + 4)) == 0
    if card:
        # The draws are sent, and copied to where the recording reads them; its loss is copied from there.
        assert (card.launches - before) / 4 <= 20


@pytest.mark.parametrize("rounding", ["float32", "bf16"])
def test_samples_of_recorded_calls_are_the_samples(rounding):
    """70 of them in batches of 64, so that each of two shapes has its recording."""
    diffusion, sampler = model(CUDA, parameterization=V(), horizon=25), Ancestral(steps=TRIED + 2)
    found = []
    for captured in (True, False):
        with diffusion.network_in(rounding, captured=captured):
            found.append(sampler.sample(diffusion, 70, seed=0, batch=64))
            recorded = diffusion.denoiser.recorded
            assert (recorded is not None) == captured
            assert recorded is None or (len(recorded.recordings), recorded.refused) == (2, [])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)
    assert diffusion.denoiser.recorded is None


def test_a_bound_of_recorded_calls_is_the_bound():
    diffusion, totals = model(CUDA, parameterization=V(), horizon=25), []
    for captured in (True, False):
        with diffusion.network_in("float32", captured=captured):
            totals.append(bound(diffusion, DIGITS[:8].to(CUDA), Stratification(1, 2), seed=0).total)
    torch.testing.assert_close(*totals, rtol=1e-5, atol=1e-6)


def test_each_shape_has_a_recording_of_its_own():
    called: list[int] = []

    def double(values):
        called.append(len(values["x"]))
        return {"y": 2 * values["x"]}

    recorded = Recorded(double)
    for i in range(2 * TRIED):
        for count in (3, 5):
            x = torch.arange(count, dtype=torch.float32, device=CUDA) + i
            assert torch.equal(recorded({"x": x})["y"], 2 * x)
    # Called to warm up, with its recording, to be recorded, and as it is tried.
    assert called.count(3) == called.count(5) == WARM_UP + 3


def test_what_it_gave_stays_when_it_is_called_again():
    recorded = Recorded(lambda values: {"y": values["x"] + 1})
    made = [recorded({"x": torch.full((2,), float(i), device=CUDA)})["y"] for i in range(TRIED + 3)]
    assert [y[0].item() for y in made] == [i + 1 for i in range(TRIED + 3)]


def test_a_training_without_a_recording_on_the_cpu():
    learner, _ = plain_learner()
    assert Trainer(learner, PLAN, CPU).recorded is None
