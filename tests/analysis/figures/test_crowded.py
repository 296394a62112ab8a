"""Figures of committed grids that have too much to show at once: few combinations, lone lines, one vast value."""

from pathlib import Path

import pytest
from matplotlib.text import Text

from analysis.figures.bits import elbo_figure, split_figure, split_sentence
from analysis.figures.budget import budget_figure
from analysis.figures.curves import bound_figure, weights_figure, weights_sentence
from analysis.figures.distinct import parts_of
from analysis.figures.drawing import styled, wrapped
from analysis.figures.samples import samples_figure
from tests.analysis.conftest import answers_of

COMMITTED = Path(__file__).parents[3] / "results/committed"


def of(make, grid):
    """The answers of a committed grid, and its figure."""
    answers = answers_of(COMMITTED / grid)
    with styled():
        return answers, make(answers)


def test_the_lines_of_panels_are_the_axis_that_leaves_few_panels():
    """Deck has 13 views of a chain: one line each by schedule, many by view."""
    _, figure = of(bound_figure, "deck")
    titles = [axes.get_title(loc="left").replace("$", "") for axes in figure.axes]
    assert [title.split(",")[0] for title in titles] == ["linear", "linear", "cosine", "learned"]
    assert "10 steps" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("grid", ["deck", "latent"])
def test_cells_of_few_combinations_stand_side_by_side_each_with_its_name(grid):
    answers, figure = of(samples_figure, grid)
    assert len(figure.axes) == len(answers.cells) + 1
    assert all(axes.get_title() for axes in figure.axes)
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == 4


def test_a_vast_bar_is_cut_and_says_its_length():
    answers, figure = of(elbo_figure, "looseness")
    (axes,) = figure.axes
    assert max(bar.get_x() + bar.get_width() for bar in axes.patches) < 12
    vast = max((bits for bits in answers.bits if bits), key=lambda bits: bits.total)
    assert vast.total > 10_000
    assert {f"{vast.total:.0f}", f"{vast.parts['L_1 to L_T']:.0f}"} <= {text.get_text() for text in axes.texts}
    assert sum(line.get_marker() == ">" for line in axes.lines) == 4


def test_equal_shares_and_flat_weights_are_a_sentence():
    answers, figure = of(split_figure, "guidance")
    low, high = (100 * end(shares[1] for shares in answers.shares if shares) for end in (min, max))
    assert figure is None
    assert high - low < 5
    assert split_sentence(answers).startswith("In every bound ")
    # Chains of other lengths have other t, and all of them the same weight.
    answers, figure = of(weights_figure, "deck")
    assert figure is None
    assert weights_sentence(answers) == "All cells give ‖ε − ε̂‖² one constant weight in training."


def test_of_many_lines_the_best_by_each_metric_have_a_name():
    answers, figure = of(budget_figure, "parameterization")
    named = [text.get_text() for text in figure.findobj(Text)]
    for answer in answers.findings:
        assert wrapped(", ".join(parts_of(answer.cells[answer.best])), 18) in named
