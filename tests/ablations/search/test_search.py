"""A search from the command to its verdict; killed and continued; and what the house has of it afterwards."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil

import pytest
from mlflow import MlflowClient

from ablations import clean
from ablations.driver import run
from ablations.driver.trained_cells import find
from ablations.engine.journal import results_lock
from ablations.search import __main__ as search
from ablations.search.optimizer import Optimizer
from ablations.search.search import Search
from ablations.stages.bound import BoundStage
from analysis.errors import InputError
from analysis.reading import read_results
from analysis.search import optimism, read_search
from tests.ablations.conftest import said
from tests.ablations.search.conftest import POINTS
from tests.stored import downloaded

CONFIRMED = "found-confirmed"


def rows_of(results, name="found/trials.csv"):
    with (results / name).open() as file:
        return list(csv.DictReader(file))


def trials_in(results):
    """What a search tried and got, without what it cost."""
    return [{key: text for key, text in row.items() if not key.startswith("cost/")} for row in rows_of(results)]


def given(again, **words):
    """The command with other words."""
    names = {name.replace("__", "."): value for name, value in words.items()}
    kept = [word for word in again.arguments if word.partition("=")[0] not in names]
    return [*kept, *(f"{name}={value}" for name, value in names.items())]


def test_it_ends_well_and_says_what_it_found(searched):
    assert searched.code == 0
    said = " ".join(searched.printed.split())
    trial = read_search(searched.results / "found").head.winners[0].trial
    assert f"{trial} (found by search" in said
    assert "At fresh seeds n Optimistic by" in said
    assert f"optuna-dashboard sqlite:///{searched.results}/optuna.db" in said


def test_every_trial_has_its_row_and_the_best_one_wins(searched):
    here = read_search(searched.results / "found")
    assert list(here.trials["trial"]) == list(range(9))
    assert set(here.trials["status"]) == {"finished", "pruned"}
    best = here.finished.loc[here.finished["nll/val"].idxmin(), "trial"]
    assert [winner.trial for winner in here.head.winners] == [best]
    assert here.head.full_steps == 9 * 20
    assert here.head.trained_steps == here.trials["cost/steps"].sum() < 9 * 20


def test_nothing_but_the_confirmation_reads_test_data(searched):
    """As many stages scored test points as the confirmation has rows."""
    results = [json.loads(path.read_text()) for path in (searched.results / ".stages").glob("*/result.json")]
    tested = [result for result in results if "nll/test" in result["metrics"]]
    assert len(tested) == len(rows_of(searched.results, f"{CONFIRMED}/runs.csv")) == 4


def test_the_confirmation_is_a_grid_at_seeds_that_the_search_has_not_seen(searched):
    grid = read_results(searched.results / CONFIRMED)
    assert set(grid.runs["seed"]) == {1, 2}
    assert [level.name for level in grid.meta.axes[0].levels] == ["default", "found"]
    assert grid.meta.baseline == {"choice": "default"}
    head = read_search(searched.results / "found").head
    row = next(row for row in rows_of(searched.results) if row["trial"] == str(head.winners[0].trial))
    assert row["cell_id"] == grid.runs[grid.runs["axis.choice"] == "found"]["cell_id"].iloc[0]
    assert any(line.startswith("The search before it took") for line in grid.meta.footnotes)
    found = optimism(read_search(searched.results / CONFIRMED), grid).iloc[0]
    assert float(found["In the search"]) == pytest.approx(float(row["nll/val"]), abs=0.006)
    assert found["n"] == "2"


def test_what_summary_runs_carry_gives_the_answers_of_search_and_confirmation(searched, tmp_path):
    for name in ("found", CONFIRMED):
        carried = downloaded(f"sqlite:///{searched.results}/mlflow.db", name, tmp_path / name)
        assert said(carried).replace(str(tmp_path), str(searched.results)) == said(searched.results / name)


@pytest.mark.thorough
def test_run_again_it_starts_nothing_and_more_trials_continue_it(again, capsys):
    before, stages = trials_in(again.results), set((again.results / ".stages").iterdir())
    for trials in (9, 4):
        assert search.main(given(again, trials=trials)) == 0
        assert trials_in(again.results) == before
    assert set((again.results / ".stages").iterdir()) == stages
    assert "0 of 4 trials to run" in capsys.readouterr().out
    assert search.main(given(again, trials=11)) == 0
    after = trials_in(again.results)
    assert len(after) == 11
    assert after[:9] == before
    winner = read_search(again.results / "found").head.winners[0].trial
    confirmed = set(read_results(again.results / CONFIRMED).meta.cells)
    assert {after[0]["cell_id"], after[winner]["cell_id"]} == confirmed


@pytest.mark.thorough
def test_new_winners_take_the_place_of_earlier_ones_and_the_second_look_is_said(again, monkeypatch):
    best = read_search(again.results / "found").head.winners[0].trial
    others = [trial for trial in rows_of(again.results) if trial["status"] == "finished"]
    other = next(int(trial["trial"]) for trial in others if int(trial["trial"]) not in (0, best))
    monkeypatch.setattr(Optimizer, "winners", lambda self: [("found", "found by search", self.trials()[other])])
    assert search.main(again.arguments) == 0
    grid = read_results(again.results / CONFIRMED)
    assert rows_of(again.results)[other]["cell_id"] in grid.meta.cells
    assert any(line.startswith("Exploratory: the search was continued") for line in grid.meta.footnotes)


def test_all_that_a_search_has_run_is_needed_pruned_trials_and_their_rungs_too(again, capsys):
    stages = {folder.name for folder in (again.results / ".stages").iterdir()}
    assert clean.main([f"results={again.results}", "yes=true"]) == 0
    assert {folder.name for folder in (again.results / ".stages").iterdir()} == stages


def test_its_folders_belong_to_it(again):
    """No grid and no other search takes them, and one command at a time works there."""
    for name in ("found", CONFIRMED):
        with pytest.raises(InputError, match="holds the results of"):
            run.main(["data=mixture2d", "network=mlp", f"name={name}", f"results={again.results}"])
        with pytest.raises(InputError, match=r"holds the results of other choices.*name=…"):
            search.main(given(again, study__seed=5, name=name))
    with results_lock(again.results / "found"), pytest.raises(InputError, match=f"process {os.getpid()}"):
        search.main(again.arguments)
    pruned = next(row for row in rows_of(again.results) if row["status"] == "pruned")
    with pytest.raises(InputError, match="no cell"):
        find(again.results, pruned["cell_id"], 0)


def test_interrupted_at_once_it_says_so_and_goes_on_later(store, tmp_path, monkeypatch, capsys, without_pictures):
    def stop(self):
        self.optimizer.ask()
        raise KeyboardInterrupt

    shutil.copy(store, tmp_path / "mlflow.db")
    monkeypatch.setattr(Search, "run", stop)
    assert search.main([*POINTS, f"results={tmp_path}"]) == 130
    assert "interrupted after 0 trials: they are kept, the same command continues" in capsys.readouterr().out
    assert [row["status"] for row in rows_of(tmp_path)] == ["running"]


def test_every_trial_is_a_flat_run_with_its_parameters_and_the_study_tag(searched):
    client, counts = MlflowClient(f"sqlite:///{searched.results}/mlflow.db"), {}
    rows = {row["trial"]: row for row in rows_of(searched.results)}
    for name in ("found", CONFIRMED):
        experiment = client.get_experiment_by_name(name)
        runs = client.search_runs([experiment.experiment_id], "tags.kind != 'summary'", max_results=100)
        counts[name] = len(runs)
        assert all(logged.data.tags["study"] == "found" for logged in runs)
        for logged in (logged for logged in runs if logged.data.tags["kind"] == "trial"):
            row = rows[logged.data.tags["trial"]]
            assert (logged.info.status, logged.data.tags["status"]) == ("FINISHED", row["status"])
            assert logged.data.params["schedule.gamma_min"] == row["schedule.gamma_min"]
            if row["status"] == "finished":
                assert logged.data.metrics["nll/val"] == pytest.approx(float(row["nll/val"]))
    assert counts == {"found": 9, CONFIRMED: 4}


def test_a_dry_run_says_what_is_searched_and_starts_nothing(tmp_path, capsys):
    words = ["sampler.steps=interval(5,20)", "schedule=linear,log_snr_linear", "horizon=30", "dry_run=true"]
    kept = [word for word in POINTS if not word.startswith(("schedule=", "horizon=", "sampler."))]
    assert search.main([*kept, *words, f"results={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert "schedule.gamma_min       -14 to -2" in printed
    assert "sampler.steps            5 to 20; the default is None" in printed
    assert re.search(r"9 trials \(tpe, pruner median, by nll/val\): about \d+ ", printed)
    assert not (tmp_path / "found").exists()


def test_an_accident_stops_the_search_with_what_to_do(again, monkeypatch, capsys):
    """Three trials fail by accident, and no more are asked for; the same command takes them up again."""

    def full(self, *rest):
        raise OSError(28, "No space left on device")

    before = len(rows_of(again.results))
    with monkeypatch.context() as patch:
        patch.setattr(BoundStage, "result", full)
        assert search.main(given(again, trials=15)) == 1
    printed = capsys.readouterr().out
    assert "No space left on device" in printed
    assert "mend this, and the same command continues" in printed
    lost = rows_of(again.results)[before:]
    assert [row["status"] for row in lost] == ["running"] * 3
    assert search.main(given(again, trials=12)) == 0
    after = rows_of(again.results)[before:]
    assert [row["cell_id"] for row in after] == [row["cell_id"] for row in lost], "their values are tried again"
    assert {row["status"] for row in after} <= {"finished", "pruned"}
