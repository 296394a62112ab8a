"""What a command says before it trains, and a dry run instead of it: the plan, what makes no sense, minutes."""

from __future__ import annotations

import pytest

from ablations.driver import estimate
from ablations.driver.estimate import JUDGE, estimated_seconds, key_of
from ablations.driver.execute import NAMED, opening_lines
from ablations.driver.plan import Looks
from ablations.engine.journal import Journal
from ablations.tracking.tracker import Tracker, how_to_see
from tests.ablations.conftest import TINY, over, plan_of


def test_a_plan_is_told_in_a_line(tmp_path):
    found = plan_of(*TINY, "parameterization=v,epsilon", "seeds=5", "name=mine")
    line = "mine: 2 cells × 5 seeds: 10 trainings, 10 of them new, on 1 worker"
    assert opening_lines(found, None, Journal(tmp_path)) == [line]
    found = plan_of(*TINY, "parameterization=v,epsilon", "seeds=auto", "seeds.max=8", "name=mine")
    lines = opening_lines(found, Looks.of(found), Journal(tmp_path))
    assert "2 cells × 3 seeds: 6 trainings, 6 of them new" in lines[0]


def test_what_makes_no_sense_is_named_with_its_reason_and_of_much_the_first(tmp_path):
    refused = ("schedule=learned", "timesteps=uniform,importance", "objective=vlb")
    found = plan_of(*TINY, *refused, "seeds=2")
    (reason,) = {item.refusal for item in found.runs if item.refusal}
    assert opening_lines(found, None, Journal(tmp_path))[1:] == [f"incompatible: importance: {reason}"]
    found = plan_of(*TINY, *refused, "parameterization=v,epsilon,x0", "variance=beta,beta_tilde", "seeds=1")
    told = opening_lines(found, None, Journal(tmp_path))[1:]
    assert len(told) == NAMED + 1
    assert told[-1] == "incompatible: 1 more, in the table"


def test_where_the_experiment_is_and_how_it_is_seen_is_said_without_passwords(tmp_path):
    place = tmp_path / "b.db"
    assert how_to_see(Tracker(f"sqlite:///{place}", "mine", tmp_path)) == [
        f"MLflow   experiment mine in sqlite:///{place}",
        f"         opens once this runs: mlflow ui --backend-store-uri sqlite:///{place}",
    ]
    assert how_to_see(None) == []
    remote = Tracker("http://me:secret@host:5000", "mine", tmp_path)
    assert how_to_see(remote) == ["MLflow   experiment mine in http://host:5000"]


@pytest.mark.parametrize(
    "words",
    [
        ("schedule=learned", "objective=vlb", "sampler.steps=5"),
        ("space=latents", "space.f=2", "space.steps=10"),
        ("data=mixture2d", "network=mlp"),
        ("conditioning=class",),
    ],
    ids=" ".join,
)
def test_every_kind_of_pass_is_timed_and_so_is_judging(words):
    tiny = TINY if "network=mlp" not in words else [word for word in TINY if not word.startswith("network.")]
    stages = plan_of(*tiny, *words).stages()
    each = estimate.seconds_per_pass(stages, ["cpu"], 1)
    assert each.keys() == {JUDGE, *(key_of(stage) for stage in stages if stage.passes()[1])}
    assert all(seconds > 0 for seconds in each.values())


def test_passes_count_at_the_seconds_of_their_own_kind_and_are_shared_by_workers(tmp_path, monkeypatch):
    seconds = {"training": 1.0, "scoring": 0.1, "sampling": 0.01}
    times = {}

    def timed(stages, devices, most):
        times.update({key_of(stage): seconds[stage.passes()[0]] for stage in stages})
        return {JUDGE: 0.25, **times}

    monkeypatch.setattr(estimate, "seconds_per_pass", timed)
    found = plan_of(*over(TINY, "network.channels=8,16", "seeds=2"))
    # 4 trainings of 60 steps of 16 images at 3 passes each, and 4 cells' draws and samples.
    trained = 4 * 60 * 16 * 3
    stages = found.stages()
    rest = sum(times_of * seconds[kind] for kind, times_of in (s.passes() for s in stages) if kind in seconds)
    whole = estimated_seconds(found.runs, stages, ["cpu"], 1)
    assert whole > trained
    expected = rest + sum(estimate.STAGE + 0.25 * stage.sets for stage in stages)
    assert whole == pytest.approx(expected + estimate.COMMAND)
