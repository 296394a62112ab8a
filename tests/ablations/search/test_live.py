"""Trials in MLflow while they run: one run each, through stops, as publishing makes them, and each point once."""

from __future__ import annotations

import shutil
import threading
from collections import Counter

import pytest

from ablations import publish
from ablations.driver import live
from ablations.engine.journal import Journal, Result
from ablations.engine.stage import Event
from ablations.launchers.serial import Serial
from ablations.search import __main__ as search
from ablations.search.plan import plan_search
from ablations.search.study import make
from ablations.search.watched import WatchedTrial
from ablations.settings.arguments import parse_search
from ablations.stages import training_loop
from ablations.stages.artifacts import write_history
from ablations.stages.rung import rung_of
from ablations.stages.training import TrainingStage
from ablations.tracking.mlflow_runs import key_of
from ablations.tracking.mlflow_store import Tracker
from tests.ablations.driver.test_live import LOSS, Machine, runs_of, steps
from tests.ablations.search.conftest import POINTS

RUNG_CURVE = "rung/nll/val"
REPORTS = list(range(10, 81, 10))
FEW = [word for word in POINTS if not word.startswith(("trials=", "study."))]
FEW += ["study.pruner=halving", "study.sampler=random", "trials=2"]


@pytest.fixture
def quick(monkeypatch):
    """A look so often that tiny trainings are seen."""
    monkeypatch.setattr(live, "SECONDS", 0.05)
    monkeypatch.setattr(training_loop, "HISTORY_SECONDS", 0.0)
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0.0)


@pytest.fixture
def words(store, tmp_path, without_pictures):
    shutil.copy(store, tmp_path / "mlflow.db")
    shutil.copy(store, tmp_path / "other.db")
    return [*FEW, f"results={tmp_path}", "launcher=serial"]


def opened(tmp_path, name="mlflow"):
    return Tracker(f"sqlite:///{tmp_path / name}.db", "found", tmp_path)


@pytest.mark.thorough
def test_a_trial_is_a_run_while_it_runs_and_the_one_that_publishing_makes(quick, words, tmp_path, monkeypatch):
    seen = []
    show = Tracker.show
    monkeypatch.setattr(Tracker, "show", lambda self, one, *rest: seen.append(one.tags) or show(self, one, *rest))
    assert search.main(words) == 0
    shown = {tags["trial"] for tags in seen if tags["kind"] == "trial"}
    assert shown
    assert publish.main(["grid=found", f"results={tmp_path}", f"tracking.uri=sqlite:///{tmp_path}/other.db"]) == 0
    here, there = opened(tmp_path), opened(tmp_path, "other")
    of_publishing = {one.data.tags["trial"]: one for one in runs_of(there, "trial")}
    states = Counter()
    for one in runs_of(here, "trial"):
        other = of_publishing.pop(one.data.tags["trial"])
        assert (one.info.status, one.data.params) == (other.info.status, other.data.params)
        assert one.info.status == "FINISHED"
        assert mine(one.data.tags) == mine(other.data.tags)
        metrics = {name: value for name, value in one.data.metrics.items() if not name.startswith("system/")}
        assert metrics == pytest.approx(other.data.metrics, rel=1e-5)
        took = int(one.data.metrics["cost/steps"])
        assert steps(here, one) == steps(there, other) == [step for step in REPORTS if step <= took]
        assert Counter(steps(here, one, "nll/val")) == Counter(steps(there, other, "nll/val"))
        assert max(Counter(steps(here, one, "nll/val")).values()) == 1
        states[one.data.tags["status"]] += 1
    assert not of_publishing
    assert set(states) == {"finished", "pruned"}


def mine(tags):
    return {name: value for name, value in tags.items() if not name.startswith("mlflow.")}


@pytest.mark.thorough
def test_a_search_that_is_stopped_and_goes_on_keeps_its_runs(quick, words, tmp_path, monkeypatch):
    real, shown, show = training_loop.write_checkpoint, threading.Event(), Tracker.show

    def seen(self, *given):
        found = show(self, *given)
        shown.set()
        return found

    def stop(*given):
        real(*given)
        shown.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(Tracker, "show", seen)
    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "write_checkpoint", stop)
        assert search.main(words) == 130
    (stopped,) = runs_of(opened(tmp_path), "trial")
    assert (stopped.info.status, stopped.data.tags["status"]) == ("KILLED", "interrupted")
    assert search.main(words) == 0
    found = opened(tmp_path)
    ended = runs_of(found, "trial")
    assert [one.data.tags["trial"] for one in ended if one.info.run_id == stopped.info.run_id] == ["0"]
    assert sorted(one.data.tags["trial"] for one in ended) == ["0", "1"]
    for one in ended:
        assert (one.info.status, one.data.tags["status"]) == ("FINISHED", one.data.tags["status"])
        assert "reported" not in one.data.tags
        assert steps(found, one) == [step for step in REPORTS if step <= int(one.data.metrics["cost/steps"])]


@pytest.fixture
def of_two_seeds(tmp_path):
    """A trial at two seeds, and the trainings that it waits for."""
    plan = plan_search(make(parse_search([*FEW, "seeds=2"])), Serial(), ["cpu"])
    planned = plan.planned(plan.study.default)
    journal = Journal(tmp_path / ".stages")
    one = WatchedTrial(plan.study, plan.identity, 3, plan.study.default, planned, journal, tmp_path / "found")
    return plan, one, [stage for item in planned for stage in item.stages if isinstance(stage, TrainingStage)]


def test_each_seed_has_its_curves_and_rungs_are_of_the_first(of_two_seeds):
    _, one, (first, second) = of_two_seeds
    assert one.points() == {}
    write_history(folder_of(one, first), [{"step": 10, "seconds": 1.0, LOSS: 0.5, "schedule/gamma_0": -3.0}])
    write_history(folder_of(one, second), [{"step": 10, "seconds": 1.0, LOSS: 0.25}])
    folder_of(one, rung_of(first, 10))
    one.journal.write_result(rung_of(first, 10).id, Result("finished", "", {"nll/val": 2.5}, {}, {}))
    assert one.points() == {
        LOSS: [(10, 0.5)],
        "schedule/gamma_0": [(10, -3.0)],
        f"{LOSS} seed 1": [(10, 0.25)],
        RUNG_CURVE: [(10, 2.5)],
    }


def folder_of(one, stage):
    folder = one.journal.folder(stage.id)
    folder.mkdir(parents=True)
    return folder


def test_a_trial_is_watched_once_a_stage_that_it_waits_for_has_started(of_two_seeds, words, tmp_path):
    plan, one, (first, second) = of_two_seeds
    tracker = opened(tmp_path)
    tracker.begin()
    watch = live.Live(tracker, plan.here.data, "Why?", {}, system=Machine())
    watch.expect(one, [first, second])
    watch.look()
    assert runs_of(tracker, "trial") == []
    watch.note(Event("started", first))
    watch.look()
    (found,) = runs_of(tracker, "trial")
    assert one.key == key_of(found.data.tags) == key_of(one.run().tags)
    assert (found.info.status, found.info.run_name) == ("RUNNING", "trial 3")
    assert found.data.metrics == {"system/cpu_utilization_percentage": 50.0}
    assert tracker.client.get_experiment(tracker.experiment_id).tags["mlflow.note.content"] == "**Why?**"
