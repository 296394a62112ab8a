"""Trainings that are scored on their way: the same networks as shorter trainings end in, and nothing else changes."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from ablations import run
from ablations.data.tensors import read_tensors
from ablations.driver import pages
from ablations.engine import stage as engine_stage
from ablations.engine.journal import Journal, Result
from ablations.engine.perform import perform
from ablations.results.records import record
from ablations.settings.budget import rungs
from ablations.stages import rung as on_the_way
from ablations.stages import samples as sampling
from ablations.stages import training, training_loop
from ablations.stages.artifacts import WEIGHTS, average_at
from ablations.stages.graph import once
from ablations.stages.rung import RungStage, rung_of
from ablations.stages.training import TrainingStage
from analysis.errors import InputError
from diffusion_core.trainer import part
from diffusion_core.training import Training
from tests.ablations.conftest import TINY, over, plan_of, result_of, rows, said
from tests.ablations.search.conftest import POINTS
from tests.made_once import made_once

ASKED = ["evaluation.rungs=2", "evaluation.judged_rungs=1"]
FID = "fid/train/digits-cnn"
ON_POINTS = [word for word in POINTS if word.split("=")[0] in ("data", "horizon", "schedule")]
ON_POINTS += [word for word in POINTS if word.startswith(("network", "training", "evaluation"))]


def rungs_of(stages):
    return [stage for stage in stages if isinstance(stage, RungStage)]


def training_of(stages):
    (training,) = [stage for stage in stages if isinstance(stage, TrainingStage)]
    return training


def test_what_scoring_on_the_way_takes_is_not_the_trainings(tmp_path, monkeypatch):
    """A clock that stands still but where a rung is scored: an hour."""
    now = [0.0]
    for module in (training_loop, engine_stage):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0]))
    monkeypatch.setattr(training, "perform", lambda *given: now.append(now.pop() + 3600.0))
    stage = training_of(plan_of(*TINY, "evaluation.rungs=2").planned[0].stages)
    assert len(stage.rungs) == 2
    assert result_of(stage, tmp_path).metrics["cost/train_seconds"] == 0.0
    assert now == [7200.0]


@pytest.fixture(scope="module")
def scored(tmp_path_factory, store):
    """The tiny grid with its rungs, by workers: 60 steps, of which 20 and 40 are reports."""
    words = ["parameterization=v", "variance=beta,beta_tilde", "name=tiny", *TINY, *ASKED]

    def make(results):
        shutil.copy(store, results / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "write_pages", said)
            assert run.main([*words, f"results={results}"]) == 0
        return words, results

    return made_once(tmp_path_factory, "rungs", make)


def curve(results, name):
    found = [row for row in rows(results / "tiny", "curves.csv") if row["curve"] == name]
    return {(row["cell_id"], row["seed"], int(row["x"])): float(row["y"]) for row in found}


@pytest.mark.parametrize(
    ("plan_", "count", "expected"),
    [
        (Training(steps=400, report_every=50, warmup=50), 3, [50, 100, 200]),
        (Training(steps=400, report_every=50, warmup=100), 3, [100, 200]),
        (Training(steps=500, report_every=50, warmup=100), 2, [100, 250]),
        (Training(steps=60, report_every=20, warmup=10), 2, [20, 40]),
        (Training(steps=60, report_every=60, warmup=10), 2, []),
        (Training(steps=400, report_every=50, warmup=50), 0, []),
    ],
)
def test_rungs_are_halves_of_the_steps_at_reports(plan_, count, expected):
    assert rungs(plan_, count) == expected


def test_they_change_no_cell_and_no_other_stage():
    plain, asked = plan_of(*TINY, "seeds=2"), plan_of(*TINY, "seeds=2", *ASKED)
    assert [item.cell_id for item in asked.planned] == [item.cell_id for item in plain.planned]
    ids = {stage.id: stage for stage in asked.stages()}
    more = [ids[stage_id] for stage_id in ids.keys() - {stage.id for stage in plain.stages()}]
    assert sorted((stage.cell.seed, stage.step, stage.scores) for stage in more) == [
        (seed, *rung) for seed in (0, 1) for rung in ((20, "bound"), (40, "bound"), (40, "samples"))
    ]
    assert not {need for stage in asked.stages() for need in stage.needs} & {stage.id for stage in more}


def test_cells_that_share_a_training_share_its_rungs_and_it_leaves_what_any_of_them_reads():
    with_two, with_one = plan_of(*TINY, "evaluation.rungs=2").stages(), plan_of(*TINY, "evaluation.rungs=1").stages()
    found = training_of(once([*plan_of(*TINY).stages(), *with_one, *with_two]))
    assert sorted(rung.step for rung in found.scored) == [20, 40]
    ids = [stage.id for stage in rungs_of(plan_of("variance=beta,beta_tilde", *TINY, "evaluation.rungs=2").stages())]
    # Each cell's samples are its own at the first rung, and the bound of each at both.
    assert len(ids) == len(set(ids)) == 6


@pytest.mark.thorough
def test_a_rung_ends_in_the_network_of_a_training_of_so_many_steps(scored, tmp_path):
    """The rates of this trainer do not look ahead, so a shorter training is the beginning of a longer one."""
    words, results = scored
    long, short = (training_of(plan_of(*over(words, *more)).planned[0].stages) for more in ([], ["training.steps=40"]))
    result_of(short, tmp_path)
    kept, _ = read_tensors(results / ".stages" / long.id / average_at(40))
    ended = part(read_tensors(tmp_path / short.id / WEIGHTS)[0], "average")
    assert kept.keys() == ended.keys()
    assert all(bool((kept[name] == ended[name]).all()) for name in kept)


@pytest.mark.thorough
def test_and_scores_what_that_one_scores(scored, tmp_path, without_pictures):
    words, results = scored
    # A rung takes a quarter of the strata, and one set.
    few = over(TINY, "training.steps=40", "evaluation.strata=1", "evaluation.sets=1")
    alone = ["parameterization=v", "variance=beta", "name=tiny", *few, f"results={tmp_path}"]
    assert run.main([*alone, "launcher=serial"]) == 0
    (row,) = rows(tmp_path / "tiny")
    (cell,) = {item.cell_id for item in plan_of(*words).planned if item.levels == {"variance": "beta"}}
    assert curve(results, "rung/nll/val")[cell, "0", 40] == pytest.approx(float(row["nll/val"]), rel=1e-6)
    assert curve(results, f"rung/{FID}")[cell, "0", 40] == pytest.approx(float(row[FID]), rel=1e-6)


@pytest.mark.thorough
def test_every_cell_has_its_curves_and_nothing_is_a_metric(scored):
    _, results = scored
    steps = [step for *_, step in curve(results, "rung/nll/val")]
    assert (steps.count(20), steps.count(40)) == (2, 2)
    # The first is judged for the first answer, the last since it was asked for.
    assert [step for *_, step in curve(results, f"rung/{FID}")] == [20, 40] * 2
    names = [name for name in rows(results / "tiny")[0] if "rung" in name and not name.startswith("evaluation.")]
    assert names == ["cost/rung_seconds"]


@pytest.mark.slow
def test_killed_after_a_rung_it_leaves_the_same_average(goes_on):
    """Cut at every report: what was left before is left again, and what comes after is left at all."""
    goes_on(training_of(plan_of(*TINY, *ASKED).stages()), cuts=2)


def test_a_rung_at_the_first_report_is_scored_on_the_way(tmp_path):
    training = training_of(plan_of(*TINY, *ASKED).stages())
    assert perform(training, Journal(tmp_path), "cpu") == "finished"
    results = [Journal(tmp_path).result(rung.id) for rung in training.scored]
    assert [result and result.status for result in results] == ["finished"] * len(training.scored)
    assert all(result.metrics["cost/train_seconds"] > 0 for result in results)
    assert all(result.metrics["cost/rung_seconds"] > 0 for result in results)


@pytest.mark.slow
def test_a_training_that_was_over_before_says_nothing_of_its_way(tmp_path, without_pictures):
    words = [*TINY, "name=late", f"results={tmp_path}", "launcher=serial"]
    assert run.main(words) == 0
    assert run.main([*words, *ASKED]) == 0
    (row,) = rows(tmp_path / "late")
    assert row["status"] == "finished"
    assert row["notes"].splitlines() == [f"trained beyond step {step} before it was judged there" for step in (20, 40)]
    assert "rung/" not in (tmp_path / "late" / "curves.csv").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_rung_that_breaks_leaves_its_cell_as_it_is(tmp_path, monkeypatch, capsys, without_pictures):
    words = [*TINY, *ASKED, "name=broken", f"results={tmp_path}", "launcher=serial"]
    with monkeypatch.context() as patch:
        patch.setattr(on_the_way, "deciding_scores", lambda *given: 1 / 0)
        assert run.main(words) == 1
    assert "samples at step 40 was not measured: ZeroDivisionError" in capsys.readouterr().out
    assert [row["status"] for row in rows(tmp_path / "broken")] == ["finished"]
    assert run.main(words) == 0
    assert f"rung/{FID}" in (tmp_path / "broken" / "curves.csv").read_text(encoding="utf-8")


def test_samples_that_are_not_finite_are_no_score(tmp_path):
    found = plan_of(*TINY, *ASKED)
    journal = Journal(tmp_path)
    for stage in found.stages():
        status = "diverged" if isinstance(stage, RungStage) and stage.scores == "samples" else "finished"
        metrics = {"nll/test": 2.0}
        if isinstance(stage, RungStage):
            metrics = {"nll/val": float(stage.step), "cost/rung_seconds": 1.5, "cost/train_seconds": 8.0}
        journal.write_result(stage.id, Result(status, "", metrics if status == "finished" else {}, {}, {}))
    known = record(found.planned[0], journal)
    assert (known.status, known.unmeasured) == ("finished", ())
    assert known.curves == {"rung/nll/val": ([20, 40], [20.0, 40.0])}
    # The seconds of both rungs, and none of those that the training took to get there.
    assert known.metrics == {"nll/test": 2.0, "cost/total_flops": 0.0, "cost/rung_seconds": 3.0}


def test_a_bound_at_a_rung_that_is_not_finite_is_no_score(tmp_path, monkeypatch):
    rung = rung_of(training_of(plan_of(*ON_POINTS).stages()), 20)
    monkeypatch.setattr(on_the_way, "bound_of", lambda *given: SimpleNamespace(total=torch.tensor([math.nan])))
    assert perform(rung, Journal(tmp_path), "cpu") == "diverged"
    assert Journal(tmp_path).result(rung.id).reason == "nll/val at step 20: not finite"


def test_a_search_reads_the_average_that_a_grid_left(tmp_path):
    training = training_of(plan_of(*ON_POINTS, "evaluation.rungs=2").stages())
    assert [rung.step for rung in training.scored] == [20, 40]
    result_of(training, tmp_path / "grid")
    rung = rung_of(replace(training, scored=()), 40)
    of_grid, of_search = (result_of(rung, tmp_path / name).metrics for name in ("grid", "search"))
    assert of_grid["nll/val"] == of_search["nll/val"]
    assert of_grid["cost/train_seconds"] > 0


def test_a_rung_whose_score_is_lost_is_scored_again_though_the_training_is_beyond_it(tmp_path):
    training, journal = training_of(plan_of(*ON_POINTS).stages()), Journal(tmp_path)
    scores = []
    for _ in range(2):
        scores.append([result_of(rung_of(training, step), tmp_path).metrics["nll/val"] for step in (20, 40)])
        result_of(training, tmp_path)
        for step in (20, 40):
            journal.forget_result(rung_of(training, step).id)
    assert scores[0] == scores[1]


@pytest.mark.parametrize("beyond", [False, True])
def test_an_average_that_was_altered_is_made_anew_for_a_search(beyond, tmp_path):
    training, journal = training_of(plan_of(*ON_POINTS).stages()), Journal(tmp_path)
    first, second = (rung_of(training, step) for step in (20, 40))
    for rung in (first, second) if beyond else (first,):
        assert perform(rung, Journal(tmp_path), "cpu") == "finished"
    score = journal.result(first.id).metrics["nll/val"]
    path = journal.folder(training.id) / average_at(20)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    journal.forget_result(first.id)
    assert perform(first, Journal(tmp_path), "cpu") == "damaged"
    assert perform(first, Journal(tmp_path), "cpu") == "finished"
    assert journal.result(first.id).metrics["nll/val"] == score


@pytest.mark.parametrize(
    "words",
    ["variance=analytic", "spacing=optimal evaluation.horizon=5", "space=latents space.f=2 horizon=0"],
    ids=["a variance is fitted to the whole training", "so is a spacing", "an autoencoder alone"],
)
def test_what_has_no_bound_on_its_way_has_no_rungs(words):
    assert rungs_of(plan_of(*over(TINY, *words.split(), "evaluation.rungs=2")).stages()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluation.rungs=1", "evaluation.judged_rungs=2"], "no more than there are"),
        (["evaluation.rungs=-1"], "must be 0 or more"),
        (["evaluation.rungs=2", "evaluation.judged_rungs=1", "evaluation.quality=[]"], "leave one of them out"),
        (
            ["data=mixture2d", "network=mlp", "evaluation.rungs=2", "evaluation.judged_rungs=1"],
            "held against test points",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        plan_of(*words)


def test_no_test_image_enters_a_judged_rung(monkeypatch, tmp_path):
    """Images that were not there could not be read."""
    item = plan_of(*TINY, *ASKED).planned[0]
    data = item.cell.data.load()
    n = len(data.images["test"])
    blank = replace(data, images={**data.images, "test": torch.zeros_like(data.images["test"])})
    monkeypatch.setattr(sampling, "draw_samples", lambda *given: data.images["train"][: 2 * n])
    for seen in (data, blank):
        scores = sampling.deciding_scores(item.cell, None, seen, tmp_path, lambda share: None)
        assert scores.keys() == {FID}
        assert math.isfinite(scores[FID])
    assert json.dumps(sampling.deciding_scores(item.cell, None, data, tmp_path, print)) == json.dumps(scores)
