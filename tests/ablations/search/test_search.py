"""A search from the command to its verdict; killed and continued; and what the house has of it afterwards."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ablations import export, run
from ablations.data.tensors import read_tensors
from ablations.driver.trained import find
from ablations.driver.wanted import wanted_by
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.grids.grid import make
from ablations.launchers.local import Local, Processes
from ablations.record import check_over
from ablations.results.folder import finished_in
from ablations.search import __main__ as search
from ablations.search import results as search_results
from ablations.search.confirmation import confirmation, noted
from ablations.search.finalists import Finalist
from ablations.search.loop import Searcher
from ablations.search.optimizer import Optimizer
from ablations.search.plan import plan_search
from ablations.search.study import make as make_study
from ablations.settings import grammar
from ablations.settings.arguments import parse_run, parse_search
from ablations.settings.identity import cell_id, parameters
from ablations.stages import rung as rung_stage
from ablations.stages.artifacts import WEIGHTS
from ablations.stages.graph import stages_of
from ablations.stages.rung import rung_of
from ablations.stages.training import TrainingStage
from ablations.tracking.mlflow_runs import tracked_runs
from ablations.tracking.mlflow_views import view_of_search
from analysis.errors import InputError
from analysis.folders import search_alone
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from tests.ablations.conftest import HERE
from tests.ablations.search.conftest import POINTS
from tests.ablations.settings.test_grammar import one_line_error


def rows_of(path):
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def trials_of(folder):
    return [row for row in rows_of(folder / "runs.csv") if row["trial"]]


def cells_of(folder):
    return [row for row in rows_of(folder / "runs.csv") if not row["trial"]]


def trials_in(results):
    """What a search tried and got, without its seconds and bytes."""
    return [
        {key: value for key, value in row.items() if value and not key.startswith("cost/")}
        for row in trials_of(results / "found")
    ]


def folder_of(done):
    return done.results / "found"


def assert_same_search(results, others):
    """They tried the same, got the same and found the same."""
    assert trials_in(results) == trials_in(others)
    assert read_search(results / "found").head.winners == read_search(others / "found").head.winners


def test_it_ends_well_and_says_what_it_found(searched):
    assert searched.code == 0
    said = " ".join(searched.printed.split())
    trial = read_search(folder_of(searched)).head.winners[0].trial
    assert f"{trial} (found by search" in said
    assert "0 (default)" not in said.split("Searched")[0] or trial != 0
    assert "at 2 fresh seeds" in said
    assert f"optuna-dashboard sqlite:///{searched.results}/optuna.db" in said
    assert "python -m ablations.export search=found name=NAME" in said


def test_every_trial_has_its_row_and_the_best_one_wins(searched):
    here = read_search(folder_of(searched))
    assert list(here.trials["trial"]) == list(range(9))
    assert set(here.trials["status"]) <= {"finished", "pruned"}
    assert (here.trials["status"] == "pruned").any(), "or nothing is shown of pruning"
    best = here.finished.loc[here.finished["nll/val"].idxmin(), "trial"]
    assert [winner.trial for winner in here.head.winners] == [best]
    assert here.head.full_steps == 9 * 80
    assert here.head.trained_steps == here.trials["cost/steps"].sum() < 9 * 80


def test_values_are_those_of_the_stages_themselves(searched):
    """A trial's value is the bound on validation that its stage left."""
    journal = Journal(searched.results / ".stages")
    nlls = [json.loads(path.read_text())["metrics"].get("nll/val") for path in journal.root.glob("*/result.json")]
    for row in trials_of(folder_of(searched)):
        if row["status"] == "finished":
            assert any(nll is not None and f"{nll:.7g}" == row["nll/val"] for nll in nlls)


def test_nothing_but_the_confirmation_reads_test_data(searched):
    """As many stages scored test points as the confirmation has rows."""
    results = [json.loads(path.read_text()) for path in (searched.results / ".stages").glob("*/result.json")]
    tested = [result for result in results if "nll/test" in result["metrics"]]
    assert len(tested) == len(cells_of(folder_of(searched))) == 4


def test_the_confirmation_is_at_seeds_that_the_search_has_not_seen(searched):
    grid = read_folder(folder_of(searched))
    assert set(grid.runs["seed"]) == {1, 2}
    assert [level.name for level in grid.meta.axes[0].levels] == ["default", "found"]
    assert grid.meta.baseline == {"choice": "default"}
    found_cell = grid.runs[grid.runs["axis.choice"] == "found"]["cell_id"].iloc[0]
    head = read_search(folder_of(searched)).head
    row = next(r for r in trials_of(folder_of(searched)) if r["trial"] == str(head.winners[0].trial))
    assert row["cell_id"] == found_cell


def test_curves_of_a_trial_stand_whatever_is_watched_and_though_its_training_was_damaged_since(again):
    """It has its value, and is not trained again."""
    before = (again.results / "found" / "curves.csv").read_bytes()
    stages = again.results / ".stages"
    for path in stages.glob("*/metrics.jsonl"):
        path.write_text(path.read_text().replace("train/network", "train/oetwork"))
    assert search.main([*again.arguments, "device=cpu"]) == 0
    assert (again.results / "found" / "curves.csv").read_bytes() == before
    results = [path for path in stages.glob("*/result.json") if "train/network" in path.read_text()]
    assert len(results) > 5
    for path in results:
        path.write_text("{")
    assert search.main([*again.arguments, "device=cpu"]) == 0
    assert (again.results / "found" / "curves.csv").read_bytes() == before


@pytest.mark.thorough
def test_run_again_it_starts_nothing_and_more_trials_continue_it(again, capsys):
    before, command = trials_in(again.results), read_search(again.results / "found").head.command
    stages = set((again.results / ".stages").iterdir())
    assert search.main([*again.arguments, "device=cpu"]) == 0
    assert set((again.results / ".stages").iterdir()) == stages
    assert trials_in(again.results) == before
    assert read_search(again.results / "found").head.command == command, "which made it"
    assert search.main([word.replace("trials=9", "trials=4") for word in again.arguments]) == 0
    assert trials_in(again.results) == before
    captured = capsys.readouterr()
    assert "found has 9 trials already, so that trials=4 asks for none" in captured.out
    assert "of 4" not in captured.err
    longer = [word.replace("trials=9", "trials=11") for word in again.arguments]
    assert search.main(longer) == 0
    after = trials_in(again.results)
    assert len(after) == 11
    assert after[:9] == before
    head = read_search(again.results / "found").head
    confirmed = set(read_folder(again.results / "found").meta.cells)
    rows = trials_of(again.results / "found")
    assert {rows[0]["cell_id"], rows[head.winners[0].trial]["cell_id"]} == confirmed


def test_a_confirmation_of_another_winner_is_taken_away(again, monkeypatch):
    """As a longer search would leave it behind if it were stopped before its own; the trials stay."""
    folder = again.results / "found"

    def files():
        return [(folder / name).read_bytes() for name in ("grid.json", "runs.csv", "curves.csv")]

    before, trials = files(), trials_in(again.results)
    monkeypatch.setattr(search, "confirm", lambda *given: 0)
    assert search.main([*again.arguments, "device=cpu"]) == 0
    assert files() == before
    monkeypatch.setattr(search_results, "cells_of", lambda *given: {"another"})
    assert search.main([*again.arguments, "device=cpu"]) == 0
    assert (cells_of(folder), trials_in(again.results)) == ([], trials)
    assert search_alone(folder)
    assert not list(folder.glob("images.csv"))


def test_all_that_a_search_has_run_is_needed_pruned_trials_and_their_rungs_too(searched):
    journal = Journal(searched.results / ".stages")
    assert {folder.name for folder in journal.root.iterdir()} <= wanted_by(searched.results / "found")


def test_trials_are_no_cells_to_whoever_reads_runs_csv(again):
    """They are recorded whatever became of them, delivered once they are over, and none is found as a trained cell."""
    folder = again.results / "found"
    confirmed = {row["cell_id"] for row in cells_of(folder)}
    pruned = next(row for row in trials_of(folder) if row["status"] == "pruned" and row["cell_id"] not in confirmed)
    with pytest.raises(InputError, match="no cell"):
        find(again.results, pruned["cell_id"], 0)
    assert finished_in(folder) == len(cells_of(folder))
    kinds = Counter(one.tags["kind"] for one in tracked_runs(folder))
    assert kinds == {"trial": 9, "cell": 4}
    path = folder / "runs.csv"
    for before, status in (("pruned", "failed"), ("failed", "running")):
        path.write_text(path.read_text().replace(f",{before},", f",{status},", 1))
        check_over(folder)
    assert Counter(one.tags["kind"] for one in tracked_runs(folder)) == {"trial": 8, "cell": 4}


def test_a_grid_does_not_overwrite_a_search(again):
    with pytest.raises(InputError, match="holds the results of a search"):
        run.main(["data=mixture2d", "network=mlp", "name=found", f"results={again.results}"])


def test_no_trial_is_begun_once_the_hours_are_over(again, capsys):
    words = [word for word in again.arguments if not word.startswith(("trials", "name"))]
    assert search.main([*words, "hours=1e-9", "name=none"]) == 0
    assert "nothing was found" in capsys.readouterr().out
    assert trials_of(again.results / "none") == []


def test_another_search_does_not_overwrite_it(again):
    with pytest.raises(InputError, match=r"holds the results of other choices.*name=…"):
        search.main([*(word for word in again.arguments if word != "study.seed=4"), "study.seed=5"])
    assert trials_in(again.results)


@pytest.mark.thorough
def test_a_trial_that_equals_a_finished_cell_costs_nothing(again):
    """The same points by a search of another name, whose storage is new, find every stage in the journal."""
    stages = set((again.results / ".stages").iterdir())
    # By as many workers as the first: who waits for whom decides what a search knows when it asks.
    words = [word for word in again.arguments if word != "launcher=serial"]
    arguments = [word.replace("name=found", "name=twice") for word in words]
    assert search.main(arguments) == 0
    assert set((again.results / ".stages").iterdir()) == stages
    twice = [row["param.schedule.gamma_min"] for row in trials_of(again.results / "twice")]
    assert twice == [row["param.schedule.gamma_min"] for row in trials_of(again.results / "found")]


def test_a_training_by_rungs_is_the_unbroken_one_bit_by_bit(searched):
    """Every complete trial went by rungs; the first one's training is repeated whole."""
    study = make_study(parse_search(POINTS))
    row = next(r for r in trials_of(folder_of(searched)) if r["status"] == "finished")
    params = {name: float(row[f"param.{name}"]) for name in study.parameters}
    cell = study.cell(params, 0)
    data = cell.data.load()
    training = stages_of(cell, data.digest, HERE, None)[0]
    assert isinstance(training, TrainingStage)
    by_rungs = Journal(searched.results / ".stages")
    assert by_rungs.result(training.id) is not None
    assert all(by_rungs.result(rung_of(training, step).id) for step in study.rungs(cell))
    whole = Journal(searched.results / ".whole")
    assert perform(training, whole, "cpu") == "finished"
    left, right = (read_tensors(journal.folder(training.id) / WEIGHTS)[0] for journal in (by_rungs, whole))
    assert left.keys() == right.keys()
    assert all(bool((left[name] == right[name]).all()) for name in left)
    shutil.rmtree(whole.root)


def test_a_rung_that_was_cut_off_before_its_bound_is_scored_from_its_checkpoint(tmp_path, monkeypatch):
    """Killed between the checkpoint and the bound, as unbroken."""
    study = make_study(parse_search(POINTS))
    cell = study.cell({"schedule.gamma_min": -6.0, "schedule.gamma_max": 3.0}, 0)
    training = stages_of(cell, cell.data.load().digest, HERE, None)[0]
    assert isinstance(training, TrainingStage)
    rung = rung_of(training, 20)
    with monkeypatch.context() as patch:
        patch.setattr(rung_stage, "bound_of", lambda *given: 1 / 0)
        assert perform(rung, Journal(tmp_path / "cut"), "cpu") == "failed"
    found = []
    for name in ("cut", "whole"):
        assert perform(rung, Journal(tmp_path / name), "cpu") == "finished"
        found.append(Journal(tmp_path / name).result(rung.id).metrics["nll/val"])
    assert found[0] == found[1]


def test_interrupted_at_once_it_says_so_and_goes_on_later(store, tmp_path, monkeypatch, capsys, without_pictures):
    def stop(self):
        self.optimizer.ask()
        raise KeyboardInterrupt

    shutil.copy(store, tmp_path / "mlflow.db")
    monkeypatch.setattr(Searcher, "run", stop)
    assert search.main([*POINTS, f"results={tmp_path}"]) == 130
    assert "interrupted after 0 trials: they are kept, the same command continues" in capsys.readouterr().out
    assert [row["status"] for row in trials_of(tmp_path / "found")] == ["running"]


def test_a_second_look_at_test_data_is_said(again):
    plan = plan_search(make_study(parse_search(POINTS)), Local(), ["cpu"])
    optimizer = Optimizer(plan.study, plan.identity, plan.objectives, f"sqlite:///{again.results}/optuna.db", 1)
    best = read_search(again.results / "found").head.winners[0].trial
    others = [trial for trial in optimizer.trials() if trial.number not in (0, best)]
    told = read_folder(again.results / "found").meta.footnotes
    assert any(line.startswith("The search before it took") for line in told)
    assert not any("continued after" in line for line in told)
    for looks, trial in enumerate(others[:2], start=1):
        grid = confirmation(plan, [Finalist("found", "found by search", trial)])
        assert grid is not None
        ids = [plan.here.id_of(point.cell) for point in grid.points]
        before = optimizer.confirmed(ids)
        assert optimizer.confirmed(ids) == before, "the same cells again are no other look"
        note = noted(grid, 9, 100.0, before).file.footnotes[-1]
        assert f"continued after {looks} look{'s' * (looks > 1)} at test data with an earlier winner" in note


WITHOUT_PICTURES = """
import sys
from ablations import run
from ablations.search import __main__ as search
run.write_pages = search.write_pages = lambda folder: None
raise SystemExit(search.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_killed_at_random_points_it_ends_as_the_unbroken_search(searched, store, tmp_path):
    """SIGKILL to the driver twice: the same trials, values and winner."""
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(store, results / "mlflow.db")
    command = [sys.executable, "-c", WITHOUT_PICTURES, *POINTS, f"results={results}"]
    moments = random.Random(int(time.time()))
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while not (results / "optuna.db").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(moments.uniform(0.2, 5.0))
            os.kill(process.pid, signal.SIGKILL)
    # Workers of a driver that is gone end within a second, and let its locks go.
    time.sleep(2.0)
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert_same_search(results, searched.results)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_on_ray_it_tries_prunes_and_finds_what_it_does_by_local_workers(
    real_ray, searched, store, tmp_path, without_pictures
):
    shutil.copy(store, tmp_path / "mlflow.db")
    assert search.main([*POINTS, f"results={tmp_path}", "launcher=ray", "launcher.address=local"]) == 0
    assert_same_search(tmp_path, searched.results)
    assert any(row["status"] == "pruned" for row in trials_in(tmp_path))


def test_every_trial_is_a_flat_run_with_its_parameters_and_the_study_tag(searched):
    client = MlflowClient(f"sqlite:///{searched.results}/mlflow.db")
    experiment = client.get_experiment_by_name("found")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'", max_results=100)
    rows = {row["trial"]: row for row in trials_of(folder_of(searched))}
    assert {run.data.tags["trial"] for run in runs} == set(rows)
    for logged in runs:
        row = rows[logged.data.tags["trial"]]
        assert logged.data.tags["study"] == "found"
        assert logged.data.tags["status"] == row["status"]
        assert "mlflow.parentRunId" not in logged.data.tags
        assert logged.data.params["schedule.gamma_min"] == row["schedule.gamma_min"]
        if row["status"] == "finished":
            assert logged.data.metrics["nll/val"] == pytest.approx(float(row["nll/val"]))
    cells = client.search_runs([experiment.experiment_id], "tags.kind = 'cell'")
    assert len(cells) == 4
    assert all(run.data.tags["study"] == "found" for run in cells)


def test_the_view_of_the_ui_shows_parameters_and_objectives():
    head = {"objectives": [{"name": "nll/val"}], "parameters": [{"name": "schedule.s"}, {"name": "training.ema"}]}
    (page,) = view_of_search(head).values()
    charts = page["compareRunCharts"]
    assert [chart["type"] for chart in charts] == ["PARALLEL", "SCATTER", "SCATTER"]
    assert charts[0]["selectedParams"] == ["schedule.s", "training.ema"]


def test_what_was_found_is_a_schedule_of_any_grid_and_the_same_cell(searched, configs, capsys):
    assert export.main(["search=found", "name=mine", f"results={searched.results}"]) == 0
    assert "schedule=linear,cosine,saved/mine" in capsys.readouterr().out
    line = grammar.options_of("schedule")["saved/mine"]
    assert re.match(r"found by found on mixture2d at T=20, trial \d+ \(nll/val 1\.\d+\)", line)
    words = [word for word in POINTS if "=" in word and not re.match(r"schedule|study|trials|confirm|name", word)]
    grid = make(parse_run([*words, "schedule=linear,saved/mine", "schedule.rescale=false"]))
    cells = [point.cell for point in grid.at_seeds() if point.levels["schedule"] == "saved/mine"]
    head = read_search(folder_of(searched)).head
    row = next(r for r in trials_of(folder_of(searched)) if r["trial"] == str(head.winners[0].trial))
    assert parameters(cells[0])["schedule.gamma_min"] == row["schedule.gamma_min"]
    runs = read_folder(folder_of(searched)).runs
    data = cells[0].data.load()
    assert cell_id(cells[0], data.digest, HERE) == runs[runs["axis.choice"] == "found"]["cell_id"].iloc[0]


WRONG_EXPORT = {
    "search=found": "name= is missing",
    "name=x": "cell= is missing, or search=: give one of them",
    "search=found cell=a name=x": "cell= is given, and search= too: give one of them",
    "search=fond name=x": "holds no search",
    "search=found name=x winner=best": "no winner called 'best': there are found",
}


@pytest.mark.parametrize("words", WRONG_EXPORT)
def test_a_wrong_call_of_export_is_one_line(words, searched, configs, capsys, monkeypatch):
    arguments = [*words.split(), f"results={searched.results}"]
    assert WRONG_EXPORT[words] in one_line_error(export.main, arguments, capsys, monkeypatch)


def test_a_search_for_no_schedule_has_none_to_keep(again, configs, capsys, monkeypatch):
    path = again.results / "found" / "grid.json"
    head = json.loads(path.read_text())
    head["search"]["parameters"] = [{"name": "training.ema"}]
    path.write_text(json.dumps(head))
    arguments = ["search=found", "name=x", f"results={again.results}"]
    line = one_line_error(export.main, arguments, capsys, monkeypatch)
    assert "was for training.ema, and not for a schedule" in line


@pytest.mark.thorough
def test_divergence_is_a_failed_trial_and_the_search_goes_on(store, tmp_path, capsys, without_pictures):
    """At a learning rate of 10^30 the loss is not finite; the paper's 0.002 wins, and nothing is confirmed."""
    shutil.copy(store, tmp_path / "mlflow.db")
    words = [w for w in POINTS if not re.match(r"schedule\.|training\.learning|study|trials", w)]
    words += ["training.learning_rate=0.002,1e30", "study.sampler=random", "trials=4", f"results={tmp_path}"]
    assert search.main(words) == 0
    rows = trials_of(tmp_path / "found")
    failed = [row for row in rows if row["status"] == "failed"]
    assert failed
    assert all("not finite" in row["reason"] for row in failed)
    assert {row["param.training.learning_rate"] for row in failed} == {"1e+30"}
    printed = " ".join(capsys.readouterr().out.split())
    assert "No trial has beaten the default: there is nothing to confirm" in printed
    assert search_alone(tmp_path / "found")


def test_a_search_says_what_it_runs_before_its_trials_and_before_it_confirms(searched):
    assert "9 trials (tpe after 3 trials at random, pruner median, by nll/val): about " in searched.printed
    assert "then, on test data, the winner and the default at 2 fresh seeds: about " in searched.printed
    assert "confirmation on test data, 2 cells × 2 seeds: about " in searched.printed
    assert "MLflow   " in searched.printed.partition("confirmation")[0]


def test_a_dry_run_says_what_is_searched_and_starts_nothing(tmp_path, capsys):
    assert search.main([*POINTS, "dry_run=true", f"results={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert "schedule.gamma_min       -14 to -2; the default is -13.3" in printed
    assert "9 trials (tpe after 3 trials at random, pruner median, by nll/val)" in printed
    assert not (tmp_path / "found").exists()


def test_a_dry_run_names_choices_that_make_no_sense_beside_the_defaults(tmp_path, capsys):
    words = ["variance=beta,learned", "schedule=cosine,linear", "schedule.s=interval(0.001,0.1)"]
    assert search.main([*words, "dry_run=true", "name=found", f"results={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert "learned makes no sense beside the other defaults: objective=simple teaches no variance" in printed
    assert printed.count("makes no sense") == 1


def test_a_default_that_is_no_number_stays_one_in_a_dry_run(tmp_path, capsys):
    """Every step is sampled where sampler.steps is null."""
    words = ["sampler.steps=interval(5,50)", "schedule=linear,cosine", "study.objective=fid", "horizon=100"]
    assert search.main([*words, "dry_run=true", "name=found", f"results={tmp_path}"]) == 0
    assert "sampler.steps            5 to 50; the default is None" in capsys.readouterr().out


def test_fewer_trials_than_a_sampler_needs_are_called_random(tmp_path, capsys):
    words = ["study.startup=9" if word.startswith("study.startup") else word for word in POINTS]
    assert search.main([*words, "dry_run=true", f"results={tmp_path}"]) == 0
    assert "9 trials (tpe after 9 trials, and so all at random, pruner" in capsys.readouterr().out


@pytest.mark.slow
def test_an_accident_stops_the_search_with_what_to_do(again, monkeypatch, capsys):
    """Workers that cannot write their journal: three trials in a row fail, and no more are asked for."""

    def fails(self, stage, device):
        future = Future()
        future.set_exception(OSError(28, "No space left on device"))
        return future

    monkeypatch.setattr(Processes, "submit", fails)
    longer = [word.replace("trials=9", "trials=30") for word in again.arguments if word != "launcher=serial"]
    assert search.main(longer) == 1
    printed = capsys.readouterr().out
    assert "No space left on device" in printed
    assert "mend this, and the same command continues" in printed
    monkeypatch.undo()
    shorter = [word.replace("trials=9", "trials=10") for word in again.arguments]
    assert search.main(shorter) == 0
    ended = [row for row in trials_of(again.results / "found") if row["status"] != "failed"]
    assert len(ended) >= 10
