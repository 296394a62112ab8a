"""The figures of a search, of trials whose numbers are few and known."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis.grid_json import MetricInfo
from analysis.search import Search, SearchedParameter, SearchMeta
from tests.analysis.figures.drawing import drawn, labelled, legend_of, title

NLL = MetricInfo("nll/val", "NLL", "min", decides="likelihood")
IS = MetricInfo("is/val", "IS", "max")
RATE = SearchedParameter("rate", "learning rate", "float", log=True)
KIND = SearchedParameter("kind", "schedule", "choice")


@pytest.fixture
def search():
    """Six trials, of which one was pruned and one has a value far off the rest."""
    nll = [3.0, 2.0, 2.5, 1.9, float("nan"), 90.0]
    trials = pd.DataFrame({"trial": range(6), "status": ["finished"] * 4 + ["pruned", "finished"], "nll/val": nll})
    trials["is/val"] = [1.0, 2.0, 5.0, 3.0, float("nan"), 4.0]
    trials["param.rate"] = [1e-3, 1e-2, 1e-3, 5e-3, 1e-4, 2e-3]
    trials["param.kind"] = ["linear", "cosine", "", "cosine", "linear", "linear"]
    head = SearchMeta("s", "?", "digits", (NLL, IS), (RATE, KIND), "tpe", (0,))
    return Search(head, trials)


def test_history_has_a_panel_per_objective_with_the_best_so_far(search):
    figure = drawn("history", search)
    nll, score = map(labelled, figure.axes)
    assert sorted(legend_of(figure)) == ["best so far", "trial"]
    assert nll["best so far"].tolist() == [[0, 3], [1, 2], [2, 2], [3, 1.9], [5, 1.9]]
    assert score["best so far"][:, 1].tolist() == [1, 2, 5, 5, 5]
    assert nll["trial"].tolist() == [[0, 3], [1, 2], [2, 2.5], [3, 1.9], [5, 90]]
    assert (title(figure.axes[0]), figure.axes[0].get_ylim()[1] < 4) == ("1 trial beyond the scale", True)


def test_slices_show_the_trials_that_have_a_parameter(search):
    figure = drawn("slices", search)
    rate, kind = figure.axes[:2]
    assert rate.collections[0].get_offsets().tolist() == [[1e-3, 3], [1e-2, 2], [1e-3, 2.5], [5e-3, 1.9], [2e-3, 90]]
    assert [text.get_text() for text in kind.get_xticklabels()] == ["cosine", "linear"]
    assert kind.collections[0].get_offsets().tolist() == [[0, 2], [0, 1.9], [1, 3], [1, 90]]
    assert (rate.get_xscale(), rate.get_xlabel()) == ("log", "learning rate")


def test_the_front_has_the_trials_that_none_is_better_than_in_both(search):
    (axes,) = drawn("pareto", search).axes
    assert labelled(axes)["none is better in both"].tolist() == [[2.5, 5.0], [1.9, 3.0]]
    assert len(labelled(axes)["trial"]) == 5
    assert [text.get_text().strip() for text in axes.texts] == ["2", "3"]


def test_a_search_without_values_has_no_figures(search):
    nothing = replace(search, trials=search.trials[:0])
    assert [drawn(name, nothing) for name in ("history", "slices", "pareto")] == [None] * 3
    alone = replace(search, head=replace(search.head, objectives=(NLL,)))
    assert drawn("pareto", alone) is None
