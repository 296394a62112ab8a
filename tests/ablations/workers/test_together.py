"""Trainings that two processes share: the losses of one process, and nothing left behind when they are killed."""

from __future__ import annotations

import pytest

from ablations.stages.journal import Journal
from ablations.stages.kinds import TrainingStage
from ablations.workers.perform import perform
from tests.ablations.workers.test_cuda import all_stages, cell_of

TWO = "cpu+cpu"
CELL = (
    "parameterization=mu variance=learned objective=hybrid timesteps=importance schedule=cosine "
    "training.steps=12 training.report_every=4"
)


def training_of(choices):
    """The training of a tiny cell, without its rungs."""
    return next(stage for stage in all_stages(cell_of(choices)) if isinstance(stage, TrainingStage))


@pytest.mark.parametrize(
    "choices",
    [
        CELL,
        "variance=beta objective=vlb_continuous timesteps=low_discrepancy schedule=learned time_input=log_snr "
        "training.micro_batch=3",
    ],
)
def test_two_processes_train_as_one_does(choices, tmp_path):
    """Gradients are added up otherwise, so that numbers agree to float32's rounding."""
    training = training_of(choices)
    losses = []
    for name, device in (("one", "cpu"), ("two", TWO)):
        assert perform(training, str(tmp_path / name), device) == "finished", Journal(tmp_path / name).failure(
            training.id
        )
        losses.append(Journal(tmp_path / name).result(training.id))
    one, two = losses
    assert two.metadata["device"] == f"2 × {one.metadata['device']}"
    assert two.curves.keys() == one.curves.keys()
    for name in one.curves:
        assert two.curves[name][1] == pytest.approx(one.curves[name][1], rel=1e-4, abs=1e-5), name
