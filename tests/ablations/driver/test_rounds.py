"""Rounds: what is run in which order, what is said to be shown, and that no number depends on them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import pytest

from ablations import run
from ablations.driver import pages, showing
from ablations.driver.rounds import at_first_rung, planned
from ablations.engine.dispatch import Dispatch
from ablations.engine.folder_lock import FolderLock
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.stages.artifacts import average_at
from ablations.stages.rung import RungStage
from ablations.stages.training import TrainingStage
from ablations.tracking import mlflow_store
from analysis.schema import RUNG
from tests.ablations.conftest import TINY, NoDrawing, head, over, plan_of, rows, said
from tests.axes import thinned

SCORED = [*TINY, "parameterization=v,x0", "variance=beta,beta_tilde", "evaluation.rungs=2", "launcher=serial"]
BOUNDS = [
    *["data=mixture2d", "network=mlp", "network.width=16", "network.layers=1", "horizon=25", "training.steps=60"],
    *["training.warmup=10", "training.report_every=20", "evaluation.strata=2", "evaluation.rungs=2"],
    *["parameterization=v,x0", "seeds=4", "name=rounds", "evaluation.quality=[]", "launcher=serial"],
]
"""Two cells whose bounds alone are taken: a training and two bounds at a seed, after two rungs."""
FID = "fid/train/digits-cnn"


def scored(*words):
    """The words of four cells that are scored on their way, some of them others."""
    return over(SCORED, *words)


def of_rounds(*words):
    return [(one.seeds, one.rung, one.preliminary) for one in planned(plan_of(*words))]


def numbers(results):
    """The rows of a grid, without what they cost, and when they were made."""
    own = ("cost/", "code", "first_result")
    return [{name: text for name, text in row.items() if not name.startswith(own)} for row in rows(results / "rounds")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("seeds=1", [(1, True, True), (1, False, False)]),
        ("seeds=5", [(3, True, True), (3, False, True), (5, False, False)]),
        ("seeds=9", [(3, True, True), (3, False, True), (5, False, True), (8, False, True), (9, False, False)]),
        ("seeds=5 evaluation.rungs=0", [(3, False, True), (5, False, False)]),
        ("seeds=2 evaluation.rungs=0", [(2, False, False)]),
    ],
)
def test_rounds_are_fixed_before_the_first(words, expected):
    assert of_rounds(*scored(*words.split())) == expected


def test_a_cell_alone_has_nothing_to_be_compared_with():
    assert of_rounds(*TINY, "evaluation.rungs=2", "seeds=5") == [(5, False, False)]


def test_several_devices_that_share_a_training_take_it_to_its_end():
    assert at_first_rung(plan_of(*SCORED)) is not None
    shared = plan_of(*SCORED)
    assert at_first_rung(replace(shared, here=replace(shared.here, devices=["cuda:0+cuda:1"]))) is None


def test_the_first_round_takes_each_training_to_its_first_rung_once():
    """Of four cells two share each training: one stage leads, and the others wait for it."""
    early = at_first_rung(plan_of(*SCORED, "seeds=4").first(dict.fromkeys(_ids(), 3)))
    stages = early.stages()
    rungs = [stage for stage in stages if isinstance(stage, RungStage)]
    assert not [stage for stage in stages if isinstance(stage, TrainingStage)]
    assert {stage.step for stage in rungs} == {min(stage.step for stage in rungs)}
    leads = [stage for stage in rungs if stage.leads]
    assert len({stage.training.id for stage in leads}) == len(leads) == 2 * 3
    by_training = {stage.training.id: stage.id for stage in leads}
    assert all(by_training[stage.training.id] in stage.needs for stage in rungs if not stage.leads)
    # Each variance has a bound and samples of its own.
    assert len(rungs) == 4 * 2 * 3


def _ids():
    return {item.cell_id for item in plan_of(*SCORED).planned}


def test_later_seeds_are_not_judged_on_their_way_unless_that_is_asked_for():
    def judged(*words):
        return {
            (item.cell.seed, stage.step)
            for item in plan_of(*SCORED, "seeds=4", *words).planned
            for stage in item.stages
            if isinstance(stage, RungStage) and stage.scores == "samples"
        }

    first, last = sorted({step for _, step in judged("evaluation.judged_rungs=2")})
    assert judged() == {(seed, first) for seed in range(3)}
    assert judged("evaluation.judged_rungs=1") == {(seed, first) for seed in range(3)} | {(n, last) for n in range(4)}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What a grid found whose rounds were run in one go, and what the terminal said."""
    results, told = tmp_path_factory.mktemp("unbroken"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(told):
        patch.setattr(mlflow_store, "open_tracker", lambda *place: None)
        patch.setattr(pages, "write_pages", said)
        patch.setattr(showing, "Drawing", NoDrawing)
        assert run.main([*BOUNDS, f"results={results}"]) == 0
    return results, told.getvalue()


def test_what_is_shown_is_said_after_each_round_and_numbers_are_those_of_one_go(unbroken, tmp_path, alone):
    results, told = unbroken
    assert [line for line in told.splitlines() if line.startswith("round ")] == ["round 1", "round 2"]
    assert "next     round 2 of 3: whole trainings, 3 seeds" in told
    this = head(results / "rounds")["round"]
    assert (this["number"], this["of"], this["seeds"], this["preliminary"]) == (3, 3, 4, False)
    assert (this["finished"], this["trainings"]) == (8, 8)
    assert run.main([*over(BOUNDS, "evaluation.rungs=0"), f"results={tmp_path}"]) == 0
    with_rounds, without = (
        [{**row, "evaluation.rungs": ""} for row in numbers(place)] for place in (results, tmp_path)
    )
    assert with_rounds == without


@pytest.mark.parametrize("ended", thinned([14, 1, 6, 32], 4, ["14", "1", "6", "32"]))
def test_a_command_that_is_stopped_in_any_round_shows_the_last_one_and_ends_as_it_would_have(
    ended, unbroken, alone, tmp_path, monkeypatch, capsys
):
    """Stopped after so many stages: the first 6 are of the first round, the next 24 of the second."""
    real, seen = Dispatch._over, []

    def ends(self, stage, status):
        if len(seen) == ended:
            raise KeyboardInterrupt
        seen.append(stage)
        return real(self, stage, status)

    words = [*BOUNDS, f"results={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(Dispatch, "_over", ends)
        assert run.main(words) == 130
    shown = head(tmp_path / "rounds")["round"]["number"]
    told = capsys.readouterr().out
    assert shown == (0 if ended < 6 else 1 if ended < 30 else 2)
    assert (shown == 0) == ("nothing to show yet" in told)
    assert shown == 0 or "rounds/ shows round" in told
    assert head(tmp_path / "rounds")["round"]["preliminary"]
    assert run.main(words) == 0
    assert numbers(tmp_path) == numbers(unbroken[0])
    assert head(tmp_path / "rounds")["continued"] is False


def test_an_error_lets_the_folder_go_whose_pages_are_being_drawn(tmp_path, alone, monkeypatch):
    real, calls = Dispatch.run, []

    def broken(self):
        calls.append(self)
        if len(calls) > 1:
            raise OSError("the disk is full")
        yield from real(self)

    monkeypatch.setattr(Dispatch, "run", broken)
    with pytest.raises(OSError, match="the disk is full"):
        run.main([*BOUNDS, f"results={tmp_path}"])
    with FolderLock(tmp_path / "rounds").held(wait=False) as held:
        assert held is not None


@pytest.mark.slow
def test_what_a_first_rung_found_is_in_the_files_of_what_is_not_over(tmp_path, alone, monkeypatch):
    words = [*scored("seeds=2"), "name=rounds", f"results={tmp_path}"]
    real = Dispatch.run

    def run_rungs(self):
        if any(isinstance(one.stage, TrainingStage) for one in self.queue.waiting.values()):
            raise KeyboardInterrupt
        yield from real(self)

    monkeypatch.setattr(Dispatch, "run", run_rungs)
    assert run.main(words) == 130
    assert {row["status"] for row in numbers(tmp_path)} == {"interrupted"}
    found = rows(tmp_path / "rounds", "curves.csv")
    for name in (f"{RUNG}nll/val", f"{RUNG}{FID}"):
        assert len({(row["cell_id"], row["seed"]) for row in found if row["curve"] == name}) == 4 * 2


def test_an_average_that_turns_out_damaged_is_made_anew_though_it_was_led_there(tmp_path):
    stages = at_first_rung(plan_of(*SCORED)).stages()
    rungs = [stage for stage in stages if isinstance(stage, RungStage)]
    lead = next(stage for stage in rungs if stage.leads)
    other = next(stage for stage in rungs if lead.id in stage.needs)
    assert perform(lead, Journal(tmp_path), "cpu") == "finished"
    path = Journal(tmp_path).folder(lead.training.id) / average_at(lead.step)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert perform(other, Journal(tmp_path), "cpu") == "damaged"
    assert perform(other, Journal(tmp_path), "cpu") == "finished"
    assert len(path.read_bytes()) == len(whole)
