"""Cells in MLflow while they run: one run each from the first report on, through stops and kills, and none doubled."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from dataclasses import replace

import pytest
import torch
from mlflow import MlflowClient

from ablations import run
from ablations.data.tensors import write_tensors
from ablations.driver import live, written
from ablations.driver.watched import first_judged, watched_by_stage
from ablations.engine.journal import Journal, Result
from ablations.engine.lease import leased
from ablations.engine.stage import Event
from ablations.results.grid_json import head_of
from ablations.stages import autoencoder, training_loop
from ablations.stages.artifacts import SAMPLES, write_history
from ablations.stages.graph import training_of
from ablations.stages.rung import RungStage
from ablations.tracking import mlflow_store
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_origin import System
from ablations.tracking.mlflow_runs import Tracked, key_of, request_of
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_views import view
from analysis.read.runs import read_folder
from analysis.read.store import read_store
from tests.ablations.conftest import TINY, over, plan_of, runs_of, tracker_in

WORDS = ["parameterization=epsilon,v", "schedule=learned", "name=seen", "seeds=1", *TINY]
RUNGS = ["evaluation.rungs=2", "evaluation.judged_rungs=2"]
LOSS = "train/network"


class Machine(System):
    """A machine that always does the same."""

    def now(self):
        return {"system/cpu_utilization_percentage": 50.0}


@pytest.fixture
def tracker(store, tmp_path):
    shutil.copy(store, tmp_path / "mlflow.db")
    made = tracker_in(tmp_path, "seen")
    made.begin()
    return made


def again(tracker):
    """The tracker of another driver on the same store."""
    other = Tracker(tracker.uri, tracker.experiment, tracker.artifacts)
    other.begin()
    return other


def steps(tracker, found, name=LOSS):
    return [point.step for point in tracker.client.get_metric_history(found.info.run_id, name)]


@pytest.fixture
def watched(tracker, journal, tmp_path):
    """A plan whose trainings are under way, and what watches them."""
    made = plan_of(*WORDS, *RUNGS)
    head = head_of(made.grid, made.planned, made.here.data, None, {})
    watched = watched_by_stage(made, journal, request_of(head), tmp_path / "seen")
    watch = live.Live(tracker, made.here.data, head["question"], view(head), watched, system=Machine())
    for item in made.planned:
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
    assert [len(one.inputs.dataset_inputs) for one in runs_of(tracker)] == [1, 1]
    assert {one.data.params["parameterization"] for one in runs_of(tracker)} == {"epsilon", "v"}
    for item in made.planned:
        reported(journal, item, 20)
    watch.look()
    for item in made.planned:
        reported(journal, item, 20, 40)
    watch.look()
    watch.look()
    for one in runs_of(tracker):
        assert steps(tracker, one) == steps(tracker, one, "schedule/gamma_0") == [20, 40]
        assert len(steps(tracker, one, "system/cpu_utilization_percentage")) == 4
        assert one.data.metrics["schedule/gamma_0"] == -40.0


def test_rungs_and_samples_arrive_when_they_are_there(watched, journal, tracker):
    made, watch = watched
    item = made.planned[0]
    rungs = [stage for stage in item.stages if isinstance(stage, RungStage)]
    for rung in (one for one in rungs if one.step == 20):
        score = {"nll/val": 3.0} if rung.scores == "bound" else {"fid/train/digits-cnn": 200.0}
        folder = journal.folder(rung.id)
        folder.mkdir(parents=True)
        if rung.scores == "samples":
            write_tensors(folder / SAMPLES, {"samples": torch.zeros(12, 1, 8, 8, dtype=torch.uint8)})
        journal.write_result(rung.id, Result("finished", "", score | {"cost/train_seconds": 1.0}, {}, {}))
    watch.look()
    watch.look()
    assert first_judged(made) == tracker.last == 20, "the page opens at a step that has samples"
    (found,) = [one for one in runs_of(tracker) if one.data.tags["cell_id"] == item.cell_id]
    assert steps(tracker, found, "nll/val") == steps(tracker, found, "fid/train/digits-cnn") == [20]
    images = [one.path for one in tracker.client.list_artifacts(found.info.run_id, "images")]
    assert images == [f"images/samples+step+20+timestamp+0+sheet{end}" for end in ("+compressed.webp", ".png")]


def test_what_has_ended_is_no_longer_looked_at(watched, tracker):
    made, watch = watched
    watch.note(Event("ended", made.planned[0].stages[0], 1.0, "finished"))
    watch.look()
    assert [one.data.tags["cell_id"] for one in runs_of(tracker)] == [made.planned[1].cell_id]


def test_the_experiment_says_what_it_is_from_the_beginning(watched, tracker):
    _, watch = watched
    watch.look()
    tags = tracker.client.get_experiment(tracker.experiment_id).tags
    assert tags["mlflow.note.content"].startswith("**What does target change?**\n\n[charts](#/exp")
    assert {"mlflow.sharedViewState.grid", "mlflow.sharedViewState.seeds"} <= tags.keys()


def test_a_run_that_was_left_is_taken_up_again(watched, journal, tracker):
    made, watch = watched
    item = made.planned[0]
    reported(journal, item, 20, 40)
    watch.look()
    watch.leave()
    assert {one.info.status for one in runs_of(tracker)} == {"KILLED"}
    # Its training goes on from a checkpoint before the last report.
    watch = replace(watch, tracker=again(tracker), over=threading.Event())
    reported(journal, item, 20)
    watch.look()
    reported(journal, item, 20, 40, 60)
    watch.look()
    found = runs_of(tracker)
    assert len(found) == 2
    assert {one.info.status for one in found} == {"RUNNING"}
    (one,) = [one for one in found if one.data.tags["cell_id"] == item.cell_id]
    assert steps(tracker, one) == [20, 40, 60]


@pytest.mark.parametrize("at", [1, 2])
def test_who_stops_in_the_middle_of_a_look_leaves_what_it_has_shown_and_shows_no_more(
    at, watched, tracker, monkeypatch
):
    _, watch = watched
    show, calls, looking = Tracker.show, [], threading.Event()

    def shown(self, *given):
        calls.append(given)
        if len(calls) == at:
            looking.set()
            assert watch.over.wait(60), "nobody stops"
        return show(self, *given)

    monkeypatch.setattr(Tracker, "show", shown)
    thread = threading.Thread(target=watch.look)
    thread.start()
    assert looking.wait(60)
    watch.leave()
    thread.join()
    assert [one.info.status for one in runs_of(tracker)] == ["KILLED"] * at
    watch.look()
    assert len(calls) == at


@pytest.fixture
def quick(few_digits, store, tmp_path, without_pictures, monkeypatch):
    """The words of a command with a new store, which looks so often that tiny trainings are seen."""
    shutil.copy(store, tmp_path / "mlflow.db")
    monkeypatch.setattr(live, "SECONDS", 0.05)
    monkeypatch.setattr(training_loop, "HISTORY_SECONDS", 0.0)
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0.0)
    return [f"results={tmp_path}", "launcher=serial"]


@pytest.mark.thorough
def test_a_whole_grid_has_one_run_a_cell_and_each_point_once(quick, tmp_path, monkeypatch):
    seen = []
    show = Tracker.show
    monkeypatch.setattr(Tracker, "show", lambda self, one, *rest: seen.append(one.tags) or show(self, one, *rest))
    words = [*WORDS, *RUNGS, *quick]
    assert run.main(words) == 0
    assert {tags["cell_id"] for tags in seen}
    found = tracker_in(tmp_path, "seen")
    assert len(runs_of(found)) == 2
    for one in runs_of(found):
        assert (one.info.status, one.data.tags["status"]) == ("FINISHED", "finished")
        assert Counter(steps(found, one)) == Counter([20, 40, 60])
        assert Counter(steps(found, one, "nll/val")) == Counter([20, 40, 60])
    assert run.main(words) == 0
    assert len(runs_of(found)) == 2
    of_store, of_files = read_store(found.uri, "seen"), read_folder(tmp_path / "seen")
    assert of_store.runs.equals(of_files.runs)


LATENTS = ["space=latents", "space.kl_weight=1", "space.width=8", "space.steps=60", "space.batch=32"]
LATENTS += ["space.learning_rate=0.005", "sampler.steps=4", "evaluation.sets=1"]


@pytest.mark.slow
def test_an_autoencoder_that_cells_share_is_one_run_from_its_training_to_its_reconstructions(
    quick, tmp_path, monkeypatch
):
    monkeypatch.setattr(written, "WRITE_SECONDS", 0.0)
    monkeypatch.setattr(written, "REST", 0.0)
    shown, looked, show, learn = {}, threading.Event(), Tracker.show, autoencoder.learn

    def seen(self, one, *rest):
        found = show(self, one, *rest)
        if one.tags["kind"] == "autoencoder":
            shown.setdefault(one.tags["cell_id"], []).append(self.runs[key_of(one.tags)].run_id)
            looked.set()
        return found

    def waited(*given, **more):
        learned = learn(*given, **more)
        assert looked.wait(60), "nobody has looked"
        return learned

    monkeypatch.setattr(Tracker, "show", seen)
    monkeypatch.setattr(autoencoder, "learn", waited)
    words = over([word for word in WORDS if not word.startswith("schedule")], *LATENTS)
    assert run.main([*words, *quick]) == 0
    found = tracker_in(tmp_path, "seen")
    (one,) = runs_of(found, "autoencoder")
    assert {run_id for ids in shown.values() for run_id in ids} == {one.info.run_id}
    assert (one.info.status, one.data.tags["status"]) == ("FINISHED", "finished")
    assert steps(found, one, "train/autoencoder") == [50, 60]
    assert steps(found, one, "psnr/val") == steps(found, one, "psnr/test") == [0]
    images = [file.path for file in found.client.list_artifacts(one.info.run_id, "images")]
    assert "images/reconstructions+step+60+timestamp+0+sheet.png" in images


def tracked(*at, **metrics):
    tags = {"kind": "cell", "cell_id": "0" * 12, "seed": "0", "status": "finished"}
    curve = [{"curve": LOSS, "x": str(step), "y": "0.5"} for step in at]
    return Tracked(tags, {"cell": "baseline"}, metrics, curve, "", None)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (tracked(20, 40, a=1.0), tracked(20, 40, a=1.0, b=2.0), True),
        (tracked(20, a=1.0), tracked(20, 40, a=1.0), True),
        (tracked(20, 40, a=1.0), tracked(20, 40, a=1.5), False),
        (tracked(20, 40, a=1.0, b=2.0), tracked(20, 40, a=1.0), False),
        (tracked(40, a=1.0), tracked(20, 40, a=1.0), True),
    ],
    ids=["a further metric", "a further point", "another value", "a metric less", "a point between"],
)
def test_a_run_that_lacks_what_came_later_is_completed_and_any_other_replaced(before, after, kept, tracker):
    ids = []
    for one in (before, after):
        assert tracker._publish(one)
        assert not again(tracker)._publish(one)
        (found,) = runs_of(tracker)
        ids.append(found.info.run_id)
        assert {name: value for name, value in found.data.metrics.items() if name != LOSS} == one.metrics
        assert steps(tracker, found, "a") == [0]
        assert steps(tracker, found) == [int(line["x"]) for line in one.curves]
    assert (ids[0] == ids[1]) == kept


@pytest.mark.slow
def test_a_store_that_goes_away_ends_the_looking_alone(quick, tmp_path, monkeypatch):
    def gone(self, *given):
        raise TrackingError("gone")

    monkeypatch.setattr(Tracker, "show", gone)
    assert run.main([*WORDS, *quick]) == 0
    assert len(runs_of(tracker_in(tmp_path, "seen"))) == 2


def test_a_machine_is_read_by_the_names_that_mlflow_gives():
    machine = System()
    machine.now()
    found = machine.now()
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= found.keys()
    assert 0 < found["system/system_memory_usage_percentage"] < 100


def test_what_another_command_has_delivered_since_is_not_delivered_again(tracker):
    other = again(tracker)
    assert other.runs == {}, "it knows of none"
    assert tracker._publish(tracked(20, 40, a=1.0))
    assert not other._publish(tracked(20, 40, a=1.0))
    (found,) = runs_of(tracker)
    assert steps(tracker, found) == [20, 40]


def test_runs_that_two_commands_made_at_once_are_one_again(tracker, monkeypatch):
    """Neither sees the other's where it looks: both are there until the store is asked anew."""
    second = again(tracker)
    assert (tracker.runs, second.runs) == ({}, {})
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_store, "find", lambda client, experiment, tags: None)
        assert tracker._publish(tracked(20, a=1.0))
        assert second._publish(tracked(20, a=1.0))
    first, _ = sorted(runs_of(tracker), key=lambda one: (one.info.start_time, one.info.run_id))
    for one in (tracker, second):
        one.forget()
        assert not one._publish(tracked(20, a=1.0))
        assert [run.info.run_id for run in runs_of(tracker)] == [first.info.run_id]


def test_a_cell_on_which_two_drivers_work_is_shown_by_the_one_whose_stage_comes_first(watched, journal, tracker):
    made, watch = watched
    item = made.planned[0]
    training, later = item.stages[0], item.stages[-1]
    second = live.Live(again(tracker), watch.data, watch.question, watch.views, watch.watched, system=Machine())
    second.note(Event("started", later))
    with leased(journal.folder(training.id)):
        second.look()
        assert runs_of(tracker) == []
        watch.look()
        reported(journal, item, 20, 40)
        watch.look()
    assert len(runs_of(tracker)) == 2
    # Its training is over: the second goes on with its run, whose points are there.
    watch.note(Event("ended", training, 1.0, "finished"))
    watch.look()
    second.look()
    second.look()
    (found,) = [one for one in runs_of(tracker) if one.data.tags["cell_id"] == item.cell_id]
    assert steps(tracker, found) == [20, 40]
    assert len(steps(tracker, found, "system/cpu_utilization_percentage")) == 4
    with leased(journal.folder(later.id)):
        watch.leave()
    assert {one.info.status for one in runs_of(tracker) if one.info.run_id == found.info.run_id} == {"RUNNING"}


def test_an_experiment_that_two_commands_make_at_once_is_one(tracker, monkeypatch):
    expected, real, looks = tracker.experiment_id, MlflowClient.get_experiment_by_name, [None]
    found = MlflowClient, "get_experiment_by_name"
    monkeypatch.setattr(*found, lambda *given: looks.pop() if looks else real(*given))
    assert again(tracker).experiment_id == expected
    assert looks == []
