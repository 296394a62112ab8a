"""Trainings that two processes share: the losses of one process, and nothing left behind when they are killed."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from ablations.driver.plan import check_shared
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.stages.artifacts import HISTORY
from ablations.stages.several_devices import RANK
from ablations.stages.training import TrainingStage
from analysis.errors import InputError
from tests.ablations.conftest import reproducible, result_of
from tests.ablations.stages.test_cuda import all_stages, cell_of

TWO = "cpu+cpu"
CELL = (
    "parameterization=mu variance=learned objective=hybrid timesteps=importance schedule=cosine "
    "training.steps=12 training.report_every=4 training.snapshots=2"
)
IN_CONTINUOUS_TIME = "objective=vlb_continuous timesteps=low_discrepancy schedule=learned time_input=log_snr"


def training_of(choices):
    """The training of a tiny cell, without its rungs."""
    return next(stage for stage in all_stages(cell_of(choices)) if isinstance(stage, TrainingStage))


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices",
    [
        f"{CELL} training.micro_batch=3",
        f"{IN_CONTINUOUS_TIME} training.clip=0.1",
        "coupling=optimal training.micro_batch=3 training.clip=0.1",
        "conditioning=class conditioning.self_conditioning=true conditioning.dropout=0.5 training.clip=0.1",
    ],
)
def test_two_processes_train_as_one_does(choices, tmp_path):
    """Gradients are added up otherwise, so that numbers agree to float32's rounding."""
    training = training_of(choices)
    one, two = (result_of(training, tmp_path / device, device) for device in ("cpu", TWO))
    assert two.metadata["device"] == f"2 × {one.metadata['device']}"
    assert two.curves.keys() == one.curves.keys()
    for name in reproducible(one.curves):
        assert two.curves[name][1] == pytest.approx(one.curves[name][1], rel=1e-4, abs=1e-5), name


def test_a_training_alone_is_shared():
    shared = {stage.kind for stage in all_stages(cell_of("space=latents")) if stage.trains}
    assert shared == {"autoencoder", "training"}


def test_batches_that_cannot_be_shared_are_refused_before_anything_runs():
    check_shared(cell_of("space=latents space.batch=8"), 4)
    with pytest.raises(InputError, match=r"training\.batch=16 is not shared equally by 3 GPUs: take a multiple of 3"):
        check_shared(cell_of(""), 3)
    with pytest.raises(InputError, match=r"space\.batch=6 is not shared equally by 4 GPUs"):
        check_shared(cell_of("space=latents space.batch=6"), 4)


@pytest.mark.slow
def test_a_rank_that_finds_what_it_needs_damaged_says_so_as_a_worker_by_itself_does(tmp_path):
    """Codes whose autoencoder is not there."""
    training = training_of("space=latents")
    for name, device in (("one", "cpu"), ("two", TWO)):
        assert perform(training, Journal(tmp_path / name), device) == "damaged"
    one, two = (Journal(tmp_path / name).failure(training.id) for name in ("one", "two"))
    assert two.message == one.message.replace(str(tmp_path / "one"), str(tmp_path / "two"))
    assert two.kind == one.kind


@pytest.mark.slow
def test_ranks_end_with_the_worker_that_waits_for_them(tmp_path):
    """It is killed in the midst of a training."""
    words = (
        "import sys; from pathlib import Path; from ablations.engine.journal import Journal; "
        "from ablations.engine.perform import perform; "
        "from tests.ablations.stages.test_several_devices import LONG, TWO, training_of; "
        "perform(training_of(LONG), Journal(Path(sys.argv[1])), TWO)"
    )
    training = training_of(LONG)
    folder = Journal(tmp_path).folder(training.id)
    worker = subprocess.Popen([sys.executable, "-c", words, str(tmp_path)])
    ranks = []
    try:
        until(lambda: (folder / HISTORY).exists())
        ranks = [one for one in psutil.Process(worker.pid).children(recursive=True) if rank_of(one)]
        assert len(ranks) == 2
    finally:
        worker.kill()
        worker.wait()
    until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in ranks))


LONG = "training.steps=100000 training.report_every=1"


def rank_of(process):
    """Whether a process is a rank, and not what started it."""
    words = process.cmdline()
    return RANK in words and "torch.distributed.run" not in words


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
