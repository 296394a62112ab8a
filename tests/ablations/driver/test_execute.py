"""A command at work: seeds in order, pages after whole seeds, one command a folder, and what Ctrl-C leaves."""

from __future__ import annotations

import shutil

import pytest

from ablations.driver import execute, run
from ablations.engine.workers import ThisProcess
from ablations.stages.training import TrainingStage
from analysis import pages
from tests.ablations.conftest import head, over, rows, said, tracker_in
from tests.ablations.driver.conftest import NLL, WORDS


@pytest.fixture
def drawn(monkeypatch):
    """The entries of grid.json about its seeds, at each drawing of pages, which takes no time."""
    entries = []
    monkeypatch.setattr(execute, "DRAWN", 0.0)
    monkeypatch.setattr(execute, "SHARE", 0)
    monkeypatch.setattr(pages, "write_pages", lambda folder: entries.append(head(folder)["round"]) or said(folder))
    return entries


def words(results, *more):
    return over(WORDS, f"results={results}", *more)


def test_a_page_after_each_whole_seed_says_how_many_there_are_and_gives_no_verdict(scored, drawn, tmp_path, capsys):
    assert run.main(words(tmp_path, "seeds=4")) == 0
    assert [entry["seeds"] for entry in drawn] == [1, 2, 3, 4]
    assert [entry["preliminary"] for entry in drawn] == [True, True, True, False]
    assert {entry["of"] for entry in drawn} == {4}
    printed = capsys.readouterr().out
    assert "2 of 4 seeds; no verdict yet" in printed
    assert "is the best of" not in printed.split("3 of 4 seeds")[0]
    trainings = [stage.cell.seed for stage in scored if isinstance(stage, TrainingStage)]
    assert trainings == sorted(trainings)


def test_pages_that_would_slow_the_command_down_are_left_out(scored, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "SHARE", 10)
    monkeypatch.setattr(execute, "DRAWN", 60.0)
    assert run.main(words(tmp_path, "seeds=4")) == 0
    assert [entry["seeds"] for entry in drawn] == [4]


def test_looks_have_pages_with_verdicts_and_grid_json_names_each_stage_before_it_starts(
    scored, drawn, tmp_path, monkeypatch
):
    """So that no cleaning frees a stage that is under way; seeds between two looks have no pages."""
    named, submit = [], ThisProcess.submit

    def begun(self, stages, device):
        known = set(head(tmp_path / "auto")["stages"])
        named.extend(stage.id in known for stage in stages)
        submit(self, stages, device)

    monkeypatch.setattr(ThisProcess, "submit", begun)
    assert run.main(words(tmp_path, "seeds=auto")) == 0
    assert [entry["seeds"] for entry in drawn] == [1, 2, 3, 5, 8]
    assert [entry["preliminary"] for entry in drawn] == [True, True, False, False, False]
    assert [(drawn[i]["number"], drawn[i]["of"]) for i in (2, 4)] == [(3, 12), (8, 8)]
    assert len(named) > 36
    assert all(named)


def test_a_stopped_command_draws_nothing_and_says_what_there_is(scored, drawn, tmp_path, capsys):
    scored.stop = 17
    assert run.main(words(tmp_path, "seeds=3")) == 130
    assert [entry["seeds"] for entry in drawn] == [1]
    printed = capsys.readouterr().out
    assert "5 of 12 runs finished" in printed
    assert printed.endswith("interrupted: finished stages are kept, the same command continues\n")
    assert head(tmp_path / "auto")["round"]["seeds"] == 1
    scored.stop = None
    assert run.main(words(tmp_path, "seeds=3")) == 0
    assert len({stage.id for stage in scored}) == len(scored) == 3 * 4 * 3


def test_what_the_store_lacks_of_a_stopped_command_is_delivered_by_the_same(
    scored, drawn, tmp_path, store, monkeypatch
):
    shutil.copy(store, tmp_path / "mlflow.db")
    monkeypatch.setattr("ablations.driver.execute.open_tracker", lambda *given: tracker_in(tmp_path, "auto"))
    monkeypatch.setattr(execute, "SHARE", 1e6)
    monkeypatch.setattr(execute, "DRAWN", 1.0)
    scored.stop = 14
    assert run.main(words(tmp_path, "seeds=2")) == 130
    scored.stop = None
    assert run.main(words(tmp_path, "seeds=2")) == 0
    assert len(tracker_in(tmp_path, "auto").runs) == 8 + 1, "with the summary"


def test_a_failed_cell_is_named_and_keeps_no_seed_from_being_whole(scored, drawn, tmp_path, monkeypatch, capsys):
    whole = NLL["v"]
    monkeypatch.setitem(NLL, "v", lambda seed: "failed" if seed == 0 else whole(seed))
    assert run.main(words(tmp_path, "seeds=2")) == 1
    assert [entry["seeds"] for entry in drawn] == [1, 2]
    assert "failed: v, seed 0: it was said so" in capsys.readouterr().out
    assert [row["status"] for row in rows(tmp_path / "auto")].count("failed") == 1
