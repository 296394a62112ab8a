"""Cells in MLflow while they run: one run each from the first report on, through stops and kills, and none doubled."""

from __future__ import annotations

import math
import shutil

import pytest
import torch

from ablations.data.tensors import write_tensors
from ablations.driver import live
from ablations.driver.live import Live
from ablations.engine.journal import Journal, Result
from ablations.engine.stage import Event
from ablations.stages.artifacts import SAMPLES, write_history
from analysis.files import write_json
from tests.ablations.cells import training_of
from tests.ablations.conftest import TINY, plan_of, runs_of, tracker_in

WORDS = ["parameterization=epsilon,v", "schedule=learned", "name=seen", "seeds=1", *TINY]
RUNGS = ["evaluation.rungs=2", "evaluation.judged_rungs=2"]
LOSS = "train/network"


@pytest.fixture
def tracker(store, tmp_path):
    shutil.copy(store, tmp_path / "mlflow.db")
    return tracker_in(tmp_path, "seen")


def steps(tracker, found, name=LOSS):
    return [point.step for point in tracker.client.get_metric_history(found.info.run_id, name)]


@pytest.fixture
def watched(tracker, journal, tmp_path):
    """A plan whose trainings are under way, and what watches them."""
    made = plan_of(*WORDS, *RUNGS)
    write_json(tmp_path / "seen" / "grid.json", made.head(None, {}))
    watch = Live(tracker, journal, tmp_path / "seen", made.here.data, made.runs)
    watch.next_look = math.inf  # but when a test looks
    for item in made.runs:
        watch.note(Event("started", training_of(item.stages)))
    return made, watch


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / ".stages")


def reported(journal, item, *at):
    lines = [{"step": step, "seconds": 1.0, LOSS: 1 / step, "schedule/gamma_0": -float(step)} for step in at]
    folder = journal.folder(training_of(item.stages).id)
    folder.mkdir(parents=True, exist_ok=True)
    write_history(folder, lines)


def test_a_run_appears_when_its_stage_starts_and_grows(watched, journal, tracker):
    made, watch = watched
    watch.look()
    assert [(one.info.status, one.data.tags["status"]) for one in runs_of(tracker)] == [("RUNNING", "running")] * 2
    assert {one.data.params["parameterization"] for one in runs_of(tracker)} == {"epsilon", "v"}
    for item in made.runs:
        reported(journal, item, 20)
    watch.look()
    for item in made.runs:
        reported(journal, item, 20, 40)
    watch.look()
    watch.look()
    for one in runs_of(tracker):
        assert steps(tracker, one) == steps(tracker, one, "schedule/gamma_0") == [20, 40]
        assert one.data.metrics["schedule/gamma_0"] == -40.0
    watch.note(Event("ended", training_of(made.runs[0].stages), 1.0, "finished"))
    for item in made.runs:
        reported(journal, item, 20, 40, 60)
    watch.look()
    last = {one.data.tags["cell_id"]: max(steps(tracker, one)) for one in runs_of(tracker)}
    assert [last[item.cell_id] for item in made.runs] == [40, 60], "what has ended is no longer looked at"
    tags = tracker.client.get_experiment(tracker.experiment_id).tags
    assert tags["mlflow.note.content"].startswith("**What does target change?**\n\n[grid](#/exp")
    assert {"mlflow.sharedViewState.grid", "mlflow.sharedViewState.seeds"} <= tags.keys()


def test_rungs_and_samples_arrive_when_they_are_there(watched, journal, tracker):
    made, watch = watched
    item = made.runs[0]
    for rung in (one for one in item.stages if one.rung == 20 and not one.trains):
        score = {"nll/val": 3.0} if rung.kind == "bound" else {"fid/train/digits-cnn": 200.0}
        folder = journal.folder(rung.id)
        folder.mkdir(parents=True)
        if rung.kind == "samples":
            write_tensors(folder / SAMPLES, {"samples": torch.zeros(12, 1, 8, 8, dtype=torch.uint8)})
        journal.write_result(rung.id, Result("finished", "", score | {"cost/train_seconds": 1.0}, {}, {}))
    watch.look()
    watch.look()
    assert tracker.last == 20, "the page opens at a step that has samples"
    (found,) = [one for one in runs_of(tracker) if one.data.tags["cell_id"] == item.cell_id]
    assert steps(tracker, found, "nll/val") == steps(tracker, found, "fid/train/digits-cnn") == [20]
    images = [one.path for one in tracker.client.list_artifacts(found.info.run_id, "images")]
    assert [name.split("+")[:3] for name in images] == [["images/samples", "step", "20"]] * 2


def test_runs_of_a_command_that_is_stopped_are_left_as_killed(watched, tracker):
    """What another command makes of them is the tracker's."""
    _, watch = watched
    watch.look()
    with pytest.raises(KeyboardInterrupt), live.live_runs(watch):
        raise KeyboardInterrupt
    assert {one.info.status for one in runs_of(tracker)} == {"KILLED"}
