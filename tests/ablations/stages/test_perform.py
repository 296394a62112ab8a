"""A stage that another process runs is left to it, and one that was lost to it leaves neither result nor failure."""

from __future__ import annotations

import os

import pytest

from ablations.engine import stage
from ablations.engine.journal import Journal, Result
from ablations.engine.lease import LOST, leased, take
from ablations.engine.perform import perform
from ablations.stages.floor import FloorStage
from ablations.stages.rung import rung_of
from diffusion_core.trainer import Trainer
from tests.ablations.conftest import stages_of_cell


@pytest.fixture
def training():
    return stages_of_cell("horizon=25", "network.channels=8", "training.steps=8")[0]


@pytest.fixture
def held_out(training):
    return FloorStage("floor", training.cell)


def frozen(folder):
    """Stand still for so long that another process takes the folder."""
    (path,) = folder.glob("lease.*")
    then = path.stat().st_mtime - LOST - 1
    os.utime(path, (then, then))
    assert take(folder) is not None


def test_what_another_process_runs_is_left_to_it(tmp_path, held_out):
    journal = Journal(tmp_path)
    with leased(journal.folder("floor")):
        assert perform(held_out, Journal(tmp_path), "cpu") == "elsewhere"
    assert list(journal.folder("floor").iterdir()) == []


@pytest.mark.parametrize("fails", [False, True])
def test_who_stood_still_leaves_neither_result_nor_failure(tmp_path, held_out, monkeypatch, capsys, fails):
    def slowly(*given):
        frozen(tmp_path / "floor")
        if fails:
            raise ValueError("what it read has gone")
        return Result("finished", "", {}, {}, {})

    monkeypatch.setattr(FloorStage, "result", slowly)
    assert perform(held_out, Journal(tmp_path), "cpu") == "elsewhere"
    assert [path.name for path in (tmp_path / "floor").iterdir()] == ["lease.2"]
    assert "floor floor was stopped here: its lease was not renewed for 60 seconds" in capsys.readouterr().err


def test_a_training_that_stood_still_ends_at_its_next_report_and_leaves_no_weights(tmp_path, training, monkeypatch):
    monkeypatch.setattr(stage, "PROGRESS_SECONDS", -1.0)
    real = Trainer.run

    def stopping(*given):
        for report in real(*given):
            frozen(tmp_path / training.id)
            yield report

    monkeypatch.setattr(Trainer, "run", stopping)
    assert perform(training, Journal(tmp_path), "cpu") == "elsewhere"
    assert [path.name for path in (tmp_path / training.id).iterdir()] == ["lease.2"]


def test_a_rung_that_needs_a_training_which_another_process_runs_waits_for_it(tmp_path, training):
    rung = rung_of(training, 4)
    with leased(tmp_path / training.id):
        assert perform(rung, Journal(tmp_path), "cpu") == "elsewhere"
    assert Journal(tmp_path).failure(rung.id) is None
    assert perform(rung, Journal(tmp_path), "cpu") == "finished"
