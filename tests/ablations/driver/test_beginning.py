"""What a command says before it trains: its plan by rounds with minutes, what makes no sense, where MLflow is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ablations.driver import estimates
from ablations.driver.beginning import NAMED, beginning
from ablations.driver.more_seeds import Declared
from ablations.driver.rounds import beforehand, planned
from ablations.driver.watch import Watch, where
from ablations.engine.journal import Journal, Result
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.sqlite_file import experiment_in
from tests.ablations.conftest import TINY, plan_of


@pytest.fixture
def unmeasured(monkeypatch):
    """Every part takes a second less than a tenth of a thousandth."""
    monkeypatch.setattr(estimates, "_seconds", lambda *given: 0.01)


def test_a_plan_is_told_by_rounds_with_minutes(tmp_path, unmeasured):
    found = plan_of(*TINY, "parameterization=v,epsilon", "seeds=5", "evaluation.rungs=2", "name=mine")
    lines, known = beginning(planned(found), Journal(tmp_path))
    assert lines[0].startswith("mine: 2 cells × 5 seeds, 10 trainings to run, about ")
    assert lines[0].endswith(" on 1 worker")
    assert [line.split(":")[0] for line in lines[1:]] == [f"  round {n} of 3" for n in (1, 2, 3)]
    assert "trainings to their first rung (20 of 60 steps), 3 seeds" in lines[1]
    assert known.each


def test_looks_are_told_up_to_the_first(tmp_path, unmeasured):
    found = plan_of(*TINY, "parameterization=v,epsilon", "seeds=auto", "seeds.max=8")
    lines, _ = beginning(beforehand(found, Declared.of(found)), Journal(tmp_path))
    assert "2 cells × 3 seeds, 6 trainings to run" in lines[0]


def test_what_makes_no_sense_is_named_with_its_reason_and_of_much_the_first(tmp_path, unmeasured):
    refused = ("schedule=learned", "timesteps=uniform,importance", "objective=vlb")
    found = plan_of(*TINY, *refused, "seeds=2")
    (reason,) = {item.refusal for item in found.planned if item.refusal}
    lines, _ = beginning(planned(found), Journal(tmp_path))
    assert [line for line in lines if "incompatible" in line] == [f"incompatible: importance: {reason}"]
    found = plan_of(*TINY, *refused, "parameterization=v,epsilon,x0", "variance=beta,beta_tilde", "seeds=1")
    told = [line for line in beginning(planned(found), Journal(tmp_path))[0] if "incompatible" in line]
    assert len(told) == NAMED + 1
    assert told[-1] == "incompatible: 1 more, in the table"


def test_a_round_that_is_over_is_there_already_and_begins_nothing(tmp_path, unmeasured):
    found, journal = plan_of(*TINY, "parameterization=v,epsilon", "seeds=5", "evaluation.rungs=2"), Journal(tmp_path)
    rounds = planned(found)
    for stage in rounds[0].plan.stages():
        journal.write_result(stage.id, Result("finished", "", {"nll/val": 2.0}, {}, {}))
    told = beginning(rounds, journal)[0]
    assert told[1].endswith(": there already")
    assert not any("there already" in line for line in told[2:])


def test_a_limit_of_hours_is_told(tmp_path, unmeasured):
    told = beginning(planned(plan_of(*TINY, "seeds=1")), Journal(tmp_path), hours=0.01)[0]
    assert told[-1] == "it ends once all its commands have taken 36 seconds (hours=0.01)"


def test_nothing_is_said_of_what_is_all_there(tmp_path, unmeasured):
    found, journal = plan_of(*TINY, "seeds=1"), Journal(tmp_path)
    for stage in found.stages():
        journal.write_result(stage.id, Result("finished", "", {"nll/test": 2.0}, {}, {}))
    assert beginning(planned(found), journal)[0] == []


def test_a_new_store_is_said_to_be_one_and_an_experiment_that_is_there_linked_at_once(store, tmp_path):
    place = tmp_path / "b.db"
    new = Tracker(f"sqlite:///{place}", "mine", tmp_path)
    assert where(new) == [
        "MLflow   experiment mine, a new store",
        f"         opens once this runs: mlflow ui --backend-store-uri sqlite:///{place}",
    ]
    place.write_bytes(store.read_bytes())
    assert where(new)[0] == "MLflow   experiment mine"
    known = Tracker(f"sqlite:///{place}", "Default", tmp_path)
    assert experiment_in(place, "Default") == "0"
    assert where(known)[0].startswith("MLflow   http://127.0.0.1:5000/#/experiments/0/runs?")
    assert where(None) == []
    assert where(Tracker("http://me:secret@host:5000", "mine", tmp_path)) == [
        "MLflow   experiment mine, http://host:5000"
    ]


def test_the_link_is_told_once_the_store_is_open(store, tmp_path):
    place = tmp_path / "b.db"
    place.write_bytes(store.read_bytes())
    tracker = Tracker(f"sqlite:///{place}", "mine", tmp_path / ".artifacts")
    watch, shown = Watch.of(tracker), SimpleNamespace(lines=[])
    shown.write = shown.lines.append
    watch.tell(shown)
    assert shown.lines == []
    assert tracker.experiment_id
    for _ in range(2):
        watch.tell(shown)
    assert shown.lines == [f"MLflow   {where(tracker)[0].split()[1]}"]
    assert Watch.of(tracker).announced
