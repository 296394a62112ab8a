"""Points of runs lie at the times of their trainings: however often a run is delivered, its rows are the same."""

from __future__ import annotations

import getpass
import multiprocessing
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from PIL import Image

from ablations.engine.journal import Journal
from ablations.results import clock
from ablations.results.csv_text import curve_rows
from ablations.stages.artifacts import CLOCK, clock_of
from ablations.tracking.mlflow_origin import source_of, user_of
from ablations.tracking.mlflow_runs import Tracked, tracked_runs
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_stored import points_of
from analysis.errors import InputError
from tests.forked import forked

LOSS = "train/network"
ROWS = """
select cell.value, seed.value, runs.start_time, runs.end_time, metrics.key, timestamp, step, metrics.value
from metrics join runs using (run_uuid)
join tags cell on cell.run_uuid = runs.run_uuid and cell.key = 'cell_id'
join tags seed on seed.run_uuid = runs.run_uuid and seed.key = 'seed'
where lifecycle_stage = 'active' order by 1, 2, 5, 7, 6
"""


@pytest.fixture
def tracker_at(store, tmp_path):
    """Makes the tracker of a new store."""

    def made(name):
        shutil.copy(store, tmp_path / f"{name}.db")
        return Tracker(f"sqlite:///{tmp_path / name}.db", "tiny", tmp_path / ".artifacts")

    return made


def rows_in(tracker):
    """All numbers of the runs that a store has, as its tables hold them."""
    with closing(sqlite3.connect(tracker.uri.removeprefix("sqlite:///"))) as database:
        return database.execute(ROWS).fetchall()


def test_a_run_and_its_points_have_the_times_of_their_training(tiny):
    journal = Journal(tiny.results / ".stages")
    tracker = Tracker(f"sqlite:///{tiny.results}/mlflow.db", "tiny", tiny.results)
    row = {(run.tags["cell_id"], run.tags["seed"]): run.tags["training_id"] for run in tracked_runs(tiny.folder)}
    assert 1 < len(set(row.values())) < len(row), "cells share trainings, and not all the same"
    for (cell_id, seed), training in row.items():
        steps, times = journal.result(training).curves[CLOCK]
        query = f"tags.cell_id = '{cell_id}' and tags.seed = '{seed}'"
        (run,) = tracker.client.search_runs([tracker.experiment_id], query)
        points = tracker.client.get_metric_history(run.info.run_id, LOSS)
        expected = list(zip(steps[1:], [round(1000 * time) for time in times[1:]], strict=True))
        assert sorted((point.step, point.timestamp) for point in points) == expected
        assert run.info.end_time == expected[-1][1]
        # It had ended when its result was written.
        assert 0 <= (journal.folder(training) / "result.json").stat().st_mtime - times[-1] < 600
        assert times[-1] - times[0] == pytest.approx(journal.result(training).metrics["cost/train_seconds"], abs=0.002)


def test_two_processes_that_deliver_the_same_runs_leave_the_rows_of_one(tiny, tracker_at, tmp_path):
    alone, shared, met = tracker_at("alone"), tracker_at("shared"), multiprocessing.Barrier(2)

    copies = [shutil.copytree(tiny.folder, tmp_path / name / "tiny") for name in ("a", "b")]

    def deliver(folder):
        assert shared.runs == {}
        met.wait(60)
        shared.publish(folder)
        return 0

    commands = [forked(partial(deliver, folder), tmp_path / "log") for folder in copies]
    assert [command.finish() for command in commands] == [0, 0], (tmp_path / "log").read_text()
    assert alone.publish(copies[0]) == 4
    assert rows_in(shared) == rows_in(alone) != []
    assert shared.publish(copies[0]) == 0
    assert rows_in(shared) == rows_in(alone)


def cell(*lines, status="finished", clock=None, **metrics):
    tags = {"kind": "cell", "cell_id": "0" * 12, "seed": "0", "status": status}
    curve = [{"curve": LOSS, "x": str(x), "y": f"{y:.7g}"} for x, y in lines]
    return Tracked(tags, {"cell": "baseline"}, metrics, curve, clock=clock or {})


POINTS = [(20, 1 / 3), (40, 2 / 7)]
TIMES = {0: 1_700_000_000.0, 20: 1_700_000_002.345, 40: 1_700_000_004.5}


def test_what_was_shown_while_it_ran_is_what_is_delivered(tracker_at):
    shown, delivered = tracker_at("shown"), tracker_at("delivered")
    under_way = dict(list(TIMES.items())[:2])
    assert shown.show(cell(status="running", clock=under_way), {LOSS: POINTS[:1]}, {})
    for tracker in (shown, delivered):
        assert tracker._publish(cell(*POINTS, clock=TIMES, a=1.0))
    assert rows_in(shown) == rows_in(delivered)
    assert [row[5] for row in rows_in(shown) if row[4] == LOSS] == [1_700_000_002_345, 1_700_000_004_500]


def test_steps_that_a_training_came_to_twice_are_there_once(tracker_at):
    """It was stopped at step 40, and went on from a checkpoint at step 20."""
    tracker = tracker_at("stopped")
    assert tracker.show(cell(status="running", clock=TIMES), {LOSS: POINTS}, {})
    tracker.leave(("0" * 12, "0"))
    later = {0: TIMES[0], 20: TIMES[20], 40: TIMES[40] + 0.5, 60: TIMES[40] + 2}
    for again in (tracker, Tracker(tracker.uri, "tiny", tracker.artifacts)):
        assert again.show(cell(status="running", clock=later), {LOSS: POINTS}, {})
    assert tracker._publish(cell(*POINTS, (60, 0.25), clock=later))
    assert [row[6] for row in rows_in(tracker)] == [20, 40, 60]


def test_without_a_clock_steps_are_spread_over_what_the_training_took():
    points = points_of(cell(*POINTS, **{"cost/train_seconds": 10.0}), 1000)
    assert [(point.key, point.step, point.timestamp) for point in points] == [
        (LOSS, 20, 6000),
        (LOSS, 40, 11_000),
        ("cost/train_seconds", 0, 11_000),
    ]


def test_a_step_between_those_of_a_long_clock_is_between_their_times():
    (point,) = points_of(cell((30, 1.0), clock=TIMES), 0)
    assert point.timestamp == round(1000 * (TIMES[20] + TIMES[40]) / 2)


def test_a_long_clock_has_the_steps_of_its_curves():
    steps = [float(step) for step in range(1, 1001)]
    curves = {("0" * 12, 0): {CLOCK: ([0.0, *steps], [5.0, *steps]), LOSS: (steps, steps)}}
    of_curve = [row["x"] for row in curve_rows({key: {LOSS: named[LOSS]} for key, named in curves.items()})]
    assert [row["step"] for row in clock.rows(curves)] == ["0", *of_curve]


def test_a_journal_of_an_earlier_version_has_no_clock():
    assert clock_of([{"step": 20.0, "seconds": 1.5}]) == clock_of([]) == {}


@pytest.mark.parametrize("line", ["{key},-1,5.0", "{key},20,inf", "{key},20,soon", "{key},20,"])
def test_a_clock_that_is_damaged_is_named(line, tiny, tmp_path):
    folder = shutil.copytree(tiny.folder, tmp_path / "tiny")
    path = folder / clock.TABLE
    key = ",".join(path.read_text().splitlines()[1].split(",")[:2])
    path.write_text(f"{','.join(clock.COLUMNS)}\n{line.format(key=key)}\n")
    with pytest.raises(InputError, match=r"clock.csv holds a time that is none"):
        tracked_runs(folder)


def test_a_run_that_was_delivered_at_other_times_is_completed_and_not_doubled(tracker_at):
    tracker = tracker_at("earlier")
    assert tracker._publish(cell(POINTS[0], a=1.0))
    assert tracker._publish(cell(*POINTS, clock=TIMES, a=1.0, b=2.0))
    assert [(row[4], row[6]) for row in rows_in(tracker)] == [("a", 0), ("b", 0), (LOSS, 20), (LOSS, 40)]


RUNGS = [{"curve": "rung/nll/val", "x": "20", "y": "3.5"}]
NLL = {"nll/val": 2.25, "nll/test": 2.5}


def scored(**tags):
    """A run whose bound was taken at step 20 of 40."""
    run = cell(*POINTS, clock=TIMES, **NLL)
    return replace(run, curves=[*run.curves, *RUNGS], tags=run.tags | tags)


def lines_in(tracker):
    """The names, steps and values of all numbers but the loss."""
    return [(key, step, value) for *_, key, _, step, value in rows_in(tracker) if key != LOSS]


SCORED = [("nll/test", 0, 2.5), ("nll/val", 20, 3.5), ("nll/val", 40, 2.25)]


def test_a_metric_with_rungs_is_one_line_that_ends_at_the_end(tracker_at):
    shown, delivered = tracker_at("shown"), tracker_at("delivered")
    assert shown.show(cell(status="running", clock=TIMES), {LOSS: POINTS[:1], "rung/nll/val": [(20.0, 3.5)]}, {})
    for tracker in (shown, delivered):
        assert tracker._publish(scored())
        assert not tracker._publish(scored())
        assert lines_in(tracker) == SCORED
        (found,) = tracker.client.search_runs([tracker.experiment_id])
        assert found.data.metrics["nll/val"] == 2.25
    assert rows_in(shown) == rows_in(delivered)


def without_rungs(**tags):
    """A cell of the same grid that shares its training and has no rungs, as analytic variances."""
    run = cell(*POINTS, clock=TIMES, **NLL)
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
    """One of them has a rung, and the others are delivered as cells that are charted beside its line."""
    folder, tracker = shutil.copytree(tiny.folder, tmp_path / "tiny"), tracker_at("folder")
    (cell_id, seed), *_ = sorted({(run.tags["cell_id"], run.tags["seed"]) for run in tracked_runs(folder)})
    with (folder / "curves.csv").open("a") as curves:
        curves.write(f"{cell_id},{seed},rung/nll/val,1,9.5\n")
    assert tracker.publish(folder) == 4
    last = {row[:2]: row[6] for row in rows_in(tracker) if row[4] == LOSS}
    ends = [(row[:2], row[6]) for row in rows_in(tracker) if row[4] == "nll/val" and row[7] != 9.5]
    assert dict(ends) == last
    assert tracker.publish(folder) == 0


def test_where_a_training_ends_at_a_rung_its_own_value_counts(tracker_at):
    """Of a trial at several seeds the rung is of the first, and the end of all."""
    tracker = tracker_at("ended")
    assert tracker.show(cell(status="running", clock=TIMES), {"rung/nll/val": [(40.0, 2.0)]}, {})
    assert tracker._publish(replace(scored(), curves=[{"curve": "rung/nll/val", "x": "40", "y": "2.0"}]))
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
