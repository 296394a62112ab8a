"""What is said of a search, on its page and in a terminal; its optimism by hand."""

import pytest

from analysis.answers import read
from analysis.errors import InputError
from analysis.search import best, read_search, terminal_search
from tests.analysis.folders import FID, METRICS
from tests.analysis.report.folders import OBJECTIVE, build, confirmation, search
from tests.analysis.report.pages import page_of


def test_a_search_alone_has_a_page(tmp_path):
    page = page_of(search(tmp_path / "search-s"), drawn=True)
    assert list(page.parts) == ["search", "legend"]
    assert len(page.all("figure")) == 3, "history, slices, parallel coordinates"
    told = "Searched β_1 and schedule for NLL in 4 trials by tpe (3 finished, 1 pruned), on validation data at seed 0."
    assert f"{told} Pruning (median) saved 12 % of the steps." in page.parts["search"]
    table = page.table("search")
    assert table[0] == ["Trial", "β_1", "schedule", "NLL (bits/dim) ↓"]
    assert table[1] == ["1 (found by search)", "0.0002", "cosine", "2.310"]
    assert table[3][0] == "0 (default)"
    assert ["schedule", "75 %"] in table
    assert "What was found is not confirmed at fresh seeds here." in page.parts["search"]
    assert page.texts("a", href="trials.csv") == ["trials.csv"]


def test_the_optimism_of_a_winner_by_hand(tmp_path):
    # 2.32, 2.36, 2.31 have the SD √0.0007 and the half-width 4.302653 · SD/√3; with one seed in the search, twice
    told = ["Found by search, NLL", "2.31", "2.33 ± 0.07", "3", "0.02 ± 0.13", "2.38 ± 0.07"]
    assert told in page_of(confirmation(tmp_path / "g")).table("search")


def test_a_seed_that_the_search_has_used_is_not_fresh(tmp_path):
    assert read(confirmation(tmp_path / "g", seeds=[2, 3])).optimism["n"].tolist() == ["1"]
    assert read(confirmation(tmp_path / "h", seeds=[1, 2, 3])).optimism.empty


def test_the_best_trials_of_two_objectives_are_those_that_none_beats_in_both(tmp_path):
    trials = {"nll/val": [2.0, 2.1, 2.2, 2.3], "fid/val": [30, 20, 25, 10], "status": "finished"}
    objectives = [OBJECTIVE, METRICS[FID] | {"name": "fid/val"}]
    found = read_search(search(tmp_path / "search-s", trials, objectives=objectives))
    assert best(found)["Trial"].tolist() == ["0 (default)", "1 (found by search)", "3"]


def test_a_terminal_says_the_same_as_it_was_written(tmp_path):
    evil = "[red]<b>β</b>"
    folder = search(tmp_path / "a", winners=[], default={"schedule": "linear"}, question=evil)
    told = terminal_search(read_search(folder))
    assert evil in told
    assert "No trial has finished, so nothing was found." in told
    assert "(default)" not in told
    assert page_of(folder).texts("h1") == [evil]


def test_damaged_searches_end_in_one_line(tmp_path):
    (search(tmp_path / "a") / "trials.csv").unlink()
    search(tmp_path / "b", objectives="few")
    build(tmp_path / "c")
    for name, fault in {"a": "cannot be read", "b": "objectives: .*valid tuple", "c": "holds no search"}.items():
        with pytest.raises(InputError, match=fault):
            read_search(tmp_path / name)
