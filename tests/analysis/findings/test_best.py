"""Of a large grid the best cells are kept, with what the whole grid says of them."""

import numpy as np
import pytest

from analysis.findings.answers import Answers
from analysis.findings.best import Best, best
from tests.analysis.findings.test_costs import costed
from tests.analysis.findings.test_verdicts import grid_of

CELLS = 64
NUMBERS = np.random.default_rng(0).permutation(CELLS)
"""The rank of each cell by NLL."""


def many(**changes):
    """A grid of 64 cells, whose baseline is the first of its own order."""
    noise = np.random.default_rng(1)
    values = {
        f"level {i:02}": (list(2 + 0.02 * rank + 0.004 * noise.normal(size=4)), list(20 + noise.normal(size=4)))
        for i, rank in enumerate(NUMBERS)
    }
    return grid_of(values, **changes)


@pytest.fixture(scope="module")
def answers():
    return Answers.of(many())


def test_a_grid_that_fits_is_left_as_it_is(answers):
    assert best(answers, CELLS) is answers
    assert (answers.cells_shown, answers.left_out()) == ("64 cells", "")


def test_a_grid_of_which_the_baseline_alone_would_be_left_out_is_left_as_it_is():
    values = {f"level {i}": ([2.0 + 0.1 * (i == 0), 2.01], [20.0, 20.1]) for i in range(3)}
    answers = Answers.of(grid_of(values))
    assert best(answers, 2) is answers


def test_the_best_are_kept_in_the_grids_order_and_the_baseline_with_them(answers):
    cut = best(answers, 10)
    assert isinstance(cut, Best)
    expected = [cell for cell, rank in zip(answers.cells, NUMBERS, strict=True) if rank < 10]
    assert NUMBERS[0] >= 10
    assert cut.cells == [answers.cells[0], *expected]
    assert cut.baseline is answers.cells[0]
    assert [level.name for level in cut.axes[0].levels] == [cell.levels[0] for cell in cut.cells]
    assert set(cut.grid.runs["axis.schedule"]) == {cell.levels[0] for cell in cut.cells}
    assert cut.cells_shown == "the 10 best of 64 cells by NLL and the baseline"
    assert cut.left_out("runs.csv") == "Shown are the 10 best of 64 cells by NLL and the baseline; runs.csv has all."


def test_what_is_said_of_them_is_what_the_whole_grid_says(answers):
    cut = best(answers, 10)
    for here, whole in zip(cut.findings, answers.findings, strict=True):
        known = {pair.a.levels: pair for pair in whole.pairs}
        assert len(here.pairs) == 10
        assert all(pair is known[pair.a.levels] for pair in here.pairs)
        assert {here.cells[i] for i in here.leading} == {whole.cells[i] for i in whole.leading} & set(cut.cells)
        assert [here.estimates[i].mean for i in here.ranked] == sorted(one.mean for one in here.estimates)
    assert cut.summary.rounding == answers.summary.rounding
    alike = ["metrics", "claims", "effects", "parameters", "varied", "changes"]
    for name in [*alike, "weight_check", "draw_errors", "held_out_errors"]:
        assert getattr(cut, name) is getattr(answers, name)


def test_costs_and_fronts_are_those_of_the_whole_grid():
    values = {f"level {i:02}": ([2.0 + 0.01 * i], [20.0]) for i in range(CELLS)}
    answers = Answers.of(costed(values, **{name: CELLS - i for i, name in enumerate(values)}))
    cut = best(answers, 5)
    assert cut.cells_shown == "the 5 best of 64 cells by NLL"
    for here, whole in zip(cut.purchases, answers.purchases, strict=True):
        assert here.front == whole.front[:5]
        assert here.cost.values == whole.cost.values[:5]
        assert here.answer.cells == cut.cells


def test_without_a_metric_that_decides_the_first_are_kept():
    nothing = {f"level {i:02}": ([np.nan], [np.nan]) for i in range(CELLS)}
    cut = best(Answers.of(many(metrics=[])), 10)
    assert cut.cells == cut.whole.cells[:10]
    assert cut.cells_shown == "the first 10 of 64 cells"
    assert best(Answers.of(grid_of(nothing)), 10).cells_shown == "the first 10 of 64 cells"
