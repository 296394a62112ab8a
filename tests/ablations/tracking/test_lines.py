"""Metrics of runs are lines over steps that end at the end: however often a run is delivered, its rows are the same."""

from __future__ import annotations

import getpass
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from ablations.results.csv_text import number
from ablations.tracking.mlflow_origin import source_of, user_of
from ablations.tracking.mlflow_runs import Tracked, tracked_runs
from ablations.tracking.mlflow_store import Tracker
from analysis.frames import read_curves, write_curves
from analysis.schema import CURVES

LOSS = "train/network"
ROWS = """
select metrics.key, step, metrics.value from metrics join runs using (run_uuid)
where lifecycle_stage = 'active' order by 1, 2, 3
"""


@pytest.fixture
def tracker_at(store, tmp_path):
    """Makes the tracker of a new store."""

    def made(name):
        shutil.copy(store, tmp_path / f"{name}.db")
        return Tracker(f"sqlite:///{tmp_path / name}.db", "tiny", tmp_path / ".artifacts")

    return made


def rows_in(tracker):
    """The names, steps and values of all numbers that the runs of a store have, as often as its tables hold them."""
    with closing(sqlite3.connect(tracker.uri.removeprefix("sqlite:///"))) as database:
        return database.execute(ROWS).fetchall()


def cell(*lines, status="finished", **metrics):
    tags = {"kind": "cell", "cell_id": "0" * 12, "seed": "0", "status": status}
    curve = [(LOSS, x, float(number(y))) for x, y in lines]
    return Tracked(tags, {"cell": "baseline"}, metrics, curve)


POINTS = [(20, 1 / 3), (40, 2 / 7)]


def test_what_was_shown_while_it_ran_is_what_is_delivered(tracker_at):
    shown, delivered = tracker_at("shown"), tracker_at("delivered")
    assert shown.show(cell(status="running"), {LOSS: POINTS[:1]}, {})
    for tracker in (shown, delivered):
        assert tracker._publish(cell(*POINTS, a=1.0))
    assert rows_in(shown) == rows_in(delivered) != []


def test_steps_that_a_training_came_to_twice_are_there_once(tracker_at):
    """It was stopped at step 40, and went on from a checkpoint at step 20."""
    tracker = tracker_at("stopped")
    assert tracker.show(cell(status="running"), {LOSS: POINTS}, {})
    tracker.leave(("0" * 12, "0"))
    for again in (tracker, Tracker(tracker.uri, "tiny", tracker.artifacts)):
        assert again.show(cell(status="running"), {LOSS: POINTS}, {})
    assert tracker._publish(cell(*POINTS, (60, 0.25)))
    assert [step for _, step, _ in rows_in(tracker)] == [20, 40, 60]


RUNGS = [("rung/nll/val", 20.0, 3.5)]
NLL = {"nll/val": 2.25, "nll/test": 2.5}


def scored(**tags):
    """A run whose bound was taken at step 20 of 40."""
    run = cell(*POINTS, **NLL)
    return replace(run, curves=[*run.curves, *RUNGS], tags=run.tags | tags)


def lines_in(tracker):
    """The names, steps and values of all numbers but the loss."""
    return [row for row in rows_in(tracker) if row[0] != LOSS]


SCORED = [("nll/test", 0, 2.5), ("nll/val", 20, 3.5), ("nll/val", 40, 2.25)]


def test_a_metric_with_rungs_is_one_line_that_ends_at_the_end(tracker_at):
    shown, delivered = tracker_at("shown"), tracker_at("delivered")
    assert shown.show(cell(status="running"), {LOSS: POINTS[:1], "rung/nll/val": [(20.0, 3.5)]}, {})
    for tracker in (shown, delivered):
        assert tracker._publish(scored())
        assert not tracker._publish(scored())
        assert lines_in(tracker) == SCORED
        (found,) = tracker.client.search_runs([tracker.experiment_id])
        assert found.data.metrics["nll/val"] == 2.25
    assert rows_in(shown) == rows_in(delivered)


def without_rungs(**tags):
    """A cell of the same grid that shares its training and has no rungs, as analytic variances."""
    run = cell(*POINTS, **NLL)
    return replace(run, tags=run.tags | {"cell_id": "1" * 12} | tags, lines=frozenset({"nll/val"}))


ENDED = [("nll/test", 0, 2.5), ("nll/val", 40, 2.25)]


def test_a_cell_without_rungs_ends_where_the_lines_of_others_end(tracker_at):
    tracker = tracker_at("ends")
    for again in (tracker, Tracker(tracker.uri, "tiny", tracker.artifacts)):
        assert again._publish(without_rungs()) == (again is tracker)
        assert lines_in(tracker) == ENDED


def test_a_cell_that_trains_nothing_has_its_numbers_at_step_0(tracker_at):
    tracker = tracker_at("untrained")
    assert tracker._publish(replace(cell(**NLL), lines=frozenset({"nll/val"})))
    assert [step for _, step, _ in lines_in(tracker)] == [0, 0]


def test_a_cell_that_an_earlier_version_charted_at_step_0_is_made_anew(tracker_at):
    """Its numbers are the same, and so is what an earlier version took for its content."""
    tracker, run = tracker_at("old"), without_rungs()
    content = replace(run, lines=frozenset()).content
    old = tracker.client.create_run(tracker.experiment_id, tags=run.tags | {"content": content})
    for name, value in NLL.items():
        tracker.client.log_metric(old.info.run_id, name, value, step=0)
    tracker.client.set_terminated(old.info.run_id)
    assert tracker._publish(run)
    assert lines_in(tracker) == ENDED
    assert not tracker._publish(run)


def test_all_cells_of_a_folder_know_which_metrics_are_lines(tiny, tracker_at, tmp_path):
    """One of them has a rung, and the others are charted beside its line, at the end of their 60 steps."""
    folder, tracker = shutil.copytree(tiny.folder, tmp_path / "tiny"), tracker_at("folder")
    first = tracked_runs(folder)[0].tags
    rung = pd.DataFrame([(first["cell_id"], int(first["seed"]), "rung/nll/val", 1, 9.5)], columns=CURVES)
    write_curves(folder, pd.concat([read_curves(folder), rung]))
    assert tracker.publish(folder) == 4
    assert {step for name, step, value in rows_in(tracker) if name == "nll/val" and value != 9.5} == {60}
    assert tracker.publish(folder) == 0


def test_where_a_training_ends_at_a_rung_its_own_value_counts(tracker_at):
    """Of a trial at several seeds the rung is of the first, and the end of all."""
    tracker = tracker_at("ended")
    assert tracker.show(cell(status="running"), {"rung/nll/val": [(40.0, 2.0)]}, {})
    assert tracker._publish(replace(scored(), curves=[("rung/nll/val", 40.0, 2.0)]))
    (found,) = tracker.client.search_runs([tracker.experiment_id])
    assert found.data.metrics["nll/val"] == 2.25


@pytest.mark.parametrize("of_then", [[("rung/nll/val", 3.5, 20)], []], ids=["of an earlier version", "without rungs"])
def test_a_run_whose_metric_was_no_line_is_made_anew_and_not_added_to(of_then, tracker_at):
    tracker = tracker_at("old")
    old = tracker.client.create_run(tracker.experiment_id, tags=scored().tags | {"content": "of then"})
    for name, value, step in [*of_then, *((name, value, 0) for name, value in NLL.items())]:
        tracker.client.log_metric(old.info.run_id, name, value, step=step)
    tracker.client.set_terminated(old.info.run_id)
    assert tracker._publish(scored())
    assert lines_in(tracker) == SCORED
    assert not tracker._publish(scored())
    assert tracker.client.get_run(old.info.run_id).info.lifecycle_stage == "deleted"


def test_samples_are_images_over_steps_whose_names_are_the_same_at_each_delivery(tracker_at, tmp_path):
    sheet = tmp_path / "sheet.png"
    Image.new("L", (73, 37), 200).save(sheet)
    tracker = tracker_at("pictures")
    names = [f"images/samples+step+40+timestamp+0+sheet{end}" for end in ("+compressed.webp", ".png")]
    for more in ({}, {"traceback": "a tag more"}):
        assert tracker._publish(replace(scored(**more), sheet=sheet))
        (found,) = tracker.client.search_runs([tracker.experiment_id])
        assert [file.path for file in tracker.client.list_artifacts(found.info.run_id, "images")] == names
        assert found.data.tags["mlflow.loggedImages"] == "True"
    with Image.open(tracker.client.download_artifacts(found.info.run_id, names[1])) as large:
        assert large.size == (7 * 73, 7 * 37)
    sheet.write_text("cut")
    assert tracker._publish(replace(scored(), sheet=sheet))
    assert "sheet.png" in [file.path for file in tracker.client.list_artifacts(found.info.run_id)]


def test_a_run_says_who_made_it_of_what(tracker_at, monkeypatch):
    tracker = tracker_at("origin")
    tags = source_of("ablations.run", "0.1.0+7e149618-dirty, 0.1.0+b96c5a75") | {"data_digest": "cc25a67fcab6"}
    for user, more in (("ada", {}), ("bob", {"traceback": "a tag more"})):
        monkeypatch.setattr(getpass, "getuser", lambda name=user: name)
        assert tracker._publish(replace(scored(**tags, **more), params={"cell": "baseline", "data": "digits"}))
        (found,) = tracker.client.search_runs([tracker.experiment_id])
        of_mlflow = {name.removeprefix("mlflow."): value for name, value in found.data.tags.items()}
        assert (of_mlflow["user"], of_mlflow["source.name"]) == ("ada", "ablations.run")
        assert (of_mlflow["source.git.commit"], of_mlflow["source.git.dirty"]) == ("7e149618", "True")
        assert [(one.dataset.name, one.dataset.digest) for one in found.inputs.dataset_inputs] == [
            ("digits", "cc25a67fcab6")
        ]


def test_a_user_without_a_name_is_none(monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert user_of({}) == {}
    assert user_of({"mlflow.user": "ada"}) == {"mlflow.user": "ada"}
