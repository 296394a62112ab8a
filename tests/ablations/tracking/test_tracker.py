"""Runs of a results folder in MLflow: each there once and whole, however often and brokenly it is delivered."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image

from ablations.tracking.runs import tracked_runs
from ablations.tracking.store import TrackingError
from ablations.tracking.tracker import Tracker
from tests.ablations.conftest import runs_of
from tests.analysis.folders import make_folder

LOSS, RUNG, NLL, VAL = "train/network", "rung/nll/val", "nll/test", "nll/val"
KEY = ("μ", "0")
CURVES = [("μ", 0, LOSS, 20.0, 0.5), ("μ", 0, LOSS, 40.0, 0.25), ("μ", 0, RUNG, 20.0, 3.5)]


def told(place, nll=2.5, **more):
    """A results folder of μ, which has a rung and a sheet of samples, and of ε, which has none, at a seed."""
    values = {"μ": [{NLL: nll, VAL: 2.25}], "ε": [{NLL: 2.75, VAL: 2.3}]}
    more = {"curves": [*CURVES, ("ε", 0, LOSS, 40.0, 0.3)], "question": "Which?", "relevant": {"nll": 0.01}} | more
    folder = make_folder(place / "tiny", values, metrics=(NLL, VAL), name="tiny", **more)
    (folder / "samples").mkdir(exist_ok=True)
    Image.new("L", (73, 37), 200).save(folder / "samples" / "μ-0.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return told(tmp_path)


@pytest.fixture
def tracker(store, tmp_path):
    shutil.copy(store, tmp_path / "mlflow.db")
    return Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", "tiny", tmp_path / ".artifacts")


def again(tracker):
    """The tracker of a later command."""
    return Tracker(tracker.uri, tracker.experiment, tracker.artifacts)


def points_of(tracker, found, name):
    history = tracker.client.get_metric_history(found.info.run_id, name)
    return sorted((point.step, point.value) for point in history)


def is_whole(tracker, folder):
    """Each row of runs.csv is one run that is over, with every number of the row, and each point of its curves once."""
    found = {(run.data.tags["cell_id"], run.data.tags["seed"]): run for run in runs_of(tracker)}
    with (folder / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(runs_of(tracker)) == len(found) == len(rows)
    for row in rows:
        run = found[row["cell_id"], row["seed"]]
        assert (run.info.status, run.data.tags["status"], run.data.tags["grid"]) == ("FINISHED", "finished", "tiny")
        assert {name: run.data.metrics[name] for name in (NLL, VAL)} == {name: float(row[name]) for name in (NLL, VAL)}
    own = found[KEY]
    assert points_of(tracker, own, LOSS) == [(20, 0.5), (40, 0.25)]
    assert points_of(tracker, own, VAL) == [(20, 3.5), (40, 2.25)], "rungs, and at the end the final value"
    assert points_of(tracker, found["ε", "0"], VAL) == [(40, 2.3)], "where the lines of others end"
    assert [step for step, _ in points_of(tracker, own, NLL)] == [0], "MLflow draws bars of these alone"
    return own.info.run_id


def test_what_is_delivered_is_there_once_and_what_has_changed_is_made_anew(tracker, folder, tmp_path):
    assert tracker.publish(folder) == 2
    before = is_whole(tracker, folder)
    for later in (tracker, again(tracker)):
        assert later.publish(folder) == 0
    assert is_whole(tracker, folder) == before
    told(tmp_path, nll=2.0)
    assert again(tracker).publish(folder) == 1
    assert is_whole(tracker, folder) != before
    assert tracker.client.get_run(before).info.lifecycle_stage == "deleted"
    Image.new("L", (73, 37), 100).save(folder / "samples" / "μ-0.png")
    assert again(tracker).publish(folder) == 1, "a picture is content too"


@pytest.mark.parametrize("at", ["log_batch", "log_image", "set_tag"])
def test_of_a_delivery_that_is_cut_one_run_is_made_anew(at, tracker, folder, monkeypatch):
    def cut(*given, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, at, cut)
        with pytest.raises(KeyboardInterrupt):
            tracker.publish(folder)
    assert len(runs_of(tracker)) == 1
    assert again(tracker).publish(folder) == 2
    is_whole(tracker, folder)


def test_a_store_that_refuses_is_one_line_and_publishing_later_delivers_the_rest(tracker, folder, monkeypatch):
    def refused(*given, **named):
        raise MlflowException("disk full\nTraceback")

    assert tracker.publish(folder) == 2
    told(folder.parent, nll=2.0)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", refused)
        with pytest.raises(TrackingError, match=r"^the tracking store sqlite:.* does not answer: disk full$"):
            again(tracker).publish(folder)
    assert again(tracker).publish(folder) == 1
    is_whole(tracker, folder)


def live(folder, **tags):
    """The run of μ while it is under way."""
    run = next(run for run in tracked_runs(folder) if run.tags["cell_id"] == "μ")
    return replace(run, tags=run.tags | {"status": "running"} | tags)


def test_a_run_that_was_shown_is_the_one_that_is_delivered(tracker, folder):
    assert tracker.show(live(folder), {LOSS: ([20.0], [0.5])})
    assert tracker.show(live(folder), {LOSS: ([20.0, 40.0], [0.5, 0.25]), RUNG: ([20.0], [3.5])})
    (shown,) = runs_of(tracker)
    assert (shown.info.status, shown.data.metrics[LOSS], shown.data.metrics[VAL]) == ("RUNNING", 0.25, 3.5)
    assert tracker.publish(folder) == 2
    assert is_whole(tracker, folder) == shown.info.run_id
    assert not again(tracker).show(live(folder), {}), "it is over"


def test_a_run_that_was_left_is_made_anew_by_another_command(tracker, folder):
    """Its training went on from a checkpoint before the last report."""
    assert tracker.show(live(folder), {LOSS: ([20.0, 40.0], [0.5, 0.7])})
    tracker.leave()
    (left,) = runs_of(tracker)
    assert (left.info.status, left.data.tags["status"]) == ("KILLED", "interrupted")
    later, table = again(tracker), folder / "runs.csv"
    assert later.show(live(folder), {LOSS: ([20.0], [0.5])})
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("finished,", "interrupted,the command was stopped", 1), encoding="utf-8")
    assert later.publish(folder) == 1, "what files call interrupted is left while it runs again"
    assert Counter(run.info.status for run in runs_of(tracker)) == {"RUNNING": 1, "FINISHED": 1}
    table.write_text(text, encoding="utf-8")
    assert later.publish(folder) == 1
    assert is_whole(tracker, folder) != left.info.run_id


def test_samples_are_images_over_steps_each_pixel_a_square(tracker, folder):
    assert tracker.publish(folder) == 2
    tracker.show_samples(KEY, folder / "samples" / "μ-0.png", 20)
    (found,) = [run for run in runs_of(tracker) if run.data.tags["cell_id"] == "μ"]
    names = sorted(file.path for file in tracker.client.list_artifacts(found.info.run_id, "images"))
    assert [name.split("+")[:3] for name in names[::2]] == [["images/samples", "step", str(at)] for at in (20, 40)]
    with Image.open(tracker.client.download_artifacts(found.info.run_id, names[-1])) as large:
        assert large.size == (7 * 73, 7 * 37)


def summary_of(tracker):
    (found,) = runs_of(tracker, "summary")
    return found


def note_of(tracker):
    return tracker.client.get_experiment(tracker.experiment_id).tags["mlflow.note.content"]


def test_the_experiment_says_its_question_and_later_the_answer_and_has_one_summary(tracker, folder):
    evil = Tracker(tracker.uri, "evil", tracker.artifacts)
    head = {"name": "tiny", "seeds": [0], "metrics": [{"name": NLL}]}
    evil.introduce({"question": "<img src=http://a.b> ![x](http://a.b) *bold*", **head}, 0)
    assert note_of(evil).startswith(r"**&lt;img src=http://a.b> !\[x\](http://a.b) \*bold\***")
    tracker.introduce(head | {"question": "Which?"}, 0)
    assert note_of(tracker).startswith(f"**Which?**\n\n[grid](#{tracker.summarise(folder).partition('#')[2]})")
    folder = make_folder(
        folder, {"μ": [2.1, 2.2, 2.0], "ε": [2.5, 2.6, 2.4]}, question="Which?", relevant={"nll": 0.01}
    )
    tracker.summarise(folder)
    answered = note_of(tracker)
    assert answered.startswith("**Which?**\n\n- NLL: μ is the best of 2")
    again(tracker).introduce(head, 0)
    assert note_of(tracker) == answered, "it stays while more is run"
    found = summary_of(tracker)
    assert found.data.tags["mlflow.note.content"] == answered
    files = {item.path for item in tracker.client.list_artifacts(found.info.run_id)}
    assert files == {"grid.json", "runs.csv", "curves.parquet"}
    again(tracker).summarise(folder)
    assert summary_of(tracker).info.run_id == found.info.run_id
    (folder / "table.md").write_text("| NLL |")
    again(tracker).summarise(folder)
    assert summary_of(tracker).info.run_id != found.info.run_id
