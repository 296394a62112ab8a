"""Figures of a grid of more cells than they have room for."""

import pytest

from analysis import figures
from analysis.figures import MOST_CELLS
from analysis.figures.drawing import styled
from tests.analysis.conftest import answers_of
from tests.analysis.many import many
from tests.sampling import sampled

CELLS = 60
WORDS = f"Shown are the {MOST_CELLS} best of {CELLS} cells by NLL and the baseline; table.csv has all."


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return answers_of(many(tmp_path_factory.mktemp("many") / "grid", CELLS))


def drawn(answers, name):
    """A figure as it is saved, laid out."""
    with styled():
        figure = figures.makers(answers)[name]()
        figure.draw_without_rendering()
    return figure


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", sampled(["samples", "metrics", "differences", "training", "bound"], 4))
def test_a_figure_of_many_cells_fits_a_page_and_says_what_it_leaves_out(answers, name):
    figure = drawn(answers, name)
    assert WORDS in [text.get_text().replace("\n", " ") for text in figure.texts]
    assert figure.get_size_inches()[1] < 12
    (words,) = [text for text in figure.texts if text.get_text().startswith(WORDS[:9])]
    assert max(axes.get_tightbbox().y1 for axes in figure.axes) < words.get_window_extent().y0


def test_rows_are_of_the_best_in_the_grids_order_and_of_the_baseline(answers):
    labels = [text.get_text() for text in drawn(answers, "metrics").axes[0].get_yticklabels()]
    assert labels == [f"level {i:03}" for i in (*range(MOST_CELLS), CELLS - 1)]
    pairs = [text.get_text() for text in drawn(answers, "differences").axes[0].get_yticklabels()]
    assert pairs == labels[:-1]


def test_nothing_is_said_where_all_are_shown(shared_folder):
    assert drawn(answers_of(shared_folder), "metrics").texts == []
