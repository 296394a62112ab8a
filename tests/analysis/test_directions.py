"""A search by a metric of which more is better, and one of two directions: what is best, said and drawn follows."""

from pathlib import Path

import numpy as np
import pytest

from analysis.figures.drawing import styled
from analysis.figures.search import SEARCH_FIGURES, study_of
from analysis.findings.search import best_trials, front_of_trials, optimism
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from analysis.report.files import Files
from analysis.report.search import search_report
from analysis.tables.search import search_table, terminal_search
from analysis.words.search import optimism_sentence, search_sentences
from tests.analysis.searches import (
    NLL_OBJECTIVE,
    NLL_VAL,
    PRECISION_OBJECTIVE,
    PRECISION_VAL,
    climbing,
    confirmation,
    few,
    two_directions,
)


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    return read_search(climbing(tmp_path_factory.mktemp("up")))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return read_search(two_directions(tmp_path_factory.mktemp("both")))


def drawn(search, name):
    with styled():
        figure = SEARCH_FIGURES[name](search)
        figure.draw_without_rendering()
    return figure


def test_the_best_trials_have_the_largest_values_and_equal_ones_stand_by_their_numbers(tmp_path):
    search = read_search(few(tmp_path / "s", 0.5, 0.7, 0.6, 0.7, objectives=(PRECISION_OBJECTIVE,)))
    assert best_trials(search, 3)["trial"].tolist() == [1, 3, 2]
    assert front_of_trials(search)["trial"].tolist() == [1, 3]


@pytest.mark.parametrize("turned", [False, True])
def test_the_front_of_less_and_more_begins_with_the_best_in_the_first(tmp_path, turned):
    points = [(2.0, 0.3), (2.1, 0.5), (2.2, 0.4), (2.3, 0.9), (2.0, 0.2), (2.4, 0.9)]
    order = slice(None, None, -1 if turned else 1)
    objectives = (NLL_OBJECTIVE, PRECISION_OBJECTIVE)[order]
    search = read_search(few(tmp_path / "s", *(point[order] for point in points), objectives=objectives))
    assert front_of_trials(search)["trial"].tolist() == ([3, 1, 0] if turned else [0, 1, 3])


def test_the_table_and_the_terminal_have_the_largest_first(up, both):
    first = best_trials(up, 1).iloc[0]
    table = search_table(up)
    assert table.rows[0].stub[0].startswith(f"{first['trial']} (best precision")
    assert "Precision ↑" in terminal_search(up)
    winners = {winner.trial for winner in both.head.winners}
    shown = best_trials(both, 5)
    assert winners <= set(shown["trial"])
    assert shown[NLL_VAL].is_monotonic_increasing


@pytest.mark.parametrize(
    ("fresh", "said"),
    [
        ((0.60, 0.62, 0.61), "0.61 ± 0.02 on validation, 0.70 in the search: the search's best value was optimistic"),
        ((0.70, 0.71, 0.72), "not optimistic here (fresh seeds are better by 0.01"),
        ((0.66, 0.70, 0.71), "looks optimistic by 0.01 ± 0.13, which so few seeds cannot tell from 0"),
    ],
)
def test_a_search_is_optimistic_by_what_fresh_seeds_have_less(tmp_path, fresh, said):
    folder = confirmation(tmp_path / "s", {"default": (0.4, 0.5, 0.45), "found": fresh}, metric=PRECISION_VAL)
    few(folder, 0.5, 0.70, objectives=(PRECISION_OBJECTIVE,), winner_of=1)
    (found,) = optimism(read_search(folder), read_folder(folder))
    assert found.gap == pytest.approx(0.70 - np.mean(fresh))
    assert said in optimism_sentence(found)
    assert optimism_sentence(found) in search_sentences(read_search(folder), [found])


def test_history_climbs_and_what_is_far_below_is_beyond_the_scale(up):
    (axes,) = drawn(up, "history").axes
    values = up.finished[PRECISION_VAL].to_numpy()
    best = next(line for line in axes.lines if line.get_label() == "Best Value")
    assert best.get_ydata()[-1] == values.max()
    low, high = axes.get_ylim()
    assert high > values.max()
    assert axes.get_title() == f"{(values < low).sum()} trial beyond the scale"


def test_the_front_of_two_directions_is_the_one_of_the_table(both):
    assert {trial.number for trial in study_of(both).best_trials} == set(front_of_trials(both)["trial"])


def test_the_report_of_such_a_search(up):
    page = search_report(up, {}, Files(Path()))
    assert "Precision ↑" in page
    assert f"Precision {up.head.winners[0].values[PRECISION_VAL]:.2f} on validation" in page
