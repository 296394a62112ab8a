"""The figures of differences and of costs show what the verdicts and fronts say."""

import math

import numpy as np
import pytest
from matplotlib.colors import same_color, to_rgb

from analysis.figures.cost import cost_figure
from analysis.figures.differences import LOOKS, differences_figure
from analysis.figures.drawing import GREY
from tests.analysis.conftest import build, lost_rows
from tests.analysis.figures.conftest import drawn, texts
from tests.analysis.findings.test_costs import costed
from tests.analysis.findings.test_verdicts import VALUES, grid_of


def at(axes, height):
    """What stands in a row: x of every line there."""
    lines = [line for line in axes.lines if set(np.atleast_1d(line.get_ydata())) == {height}]
    return [np.atleast_1d(line.get_xdata()).astype(float) for line in lines]


def test_every_pair_has_its_seeds_its_interval_and_its_verdict():
    axes = drawn(differences_figure, grid_of()).axes[0]
    assert [text for text in texts(axes) if text in LOOKS] == ["worse", "worse", "cannot tell"]
    assert axes.get_yticklabels()[0].get_text() == "linear | cosine"
    difference = np.subtract(VALUES["linear"][0], VALUES["cosine"][0])
    # t_{0.975, 3} = 3.182446
    half = 3.182446 * difference.std(ddof=1) / 2
    ends = [x for line in at(axes, 0.0) for x in line]
    assert min(ends) == pytest.approx(difference.mean() - half, abs=1e-6)
    assert max(ends) == pytest.approx(difference.mean() + half, abs=1e-6)
    np.testing.assert_allclose(np.sort(at(axes, 0.3)[0]), np.sort(difference))
    assert {"◂ first is better", "second is better ▸"} <= set(texts(axes))
    assert axes.get_xlim()[0] < 0 < axes.get_xlim()[1]


def test_what_cannot_be_told_is_hollow_and_grey():
    axes = drawn(differences_figure, grid_of()).axes[0]
    markers = {line.get_ydata()[0]: line for line in axes.lines if len(line.get_ydata()) == 1 and line.get_marker()}
    assert same_color(markers[2.0].get_markerfacecolor(), "white")
    assert same_color(markers[2.0].get_markeredgecolor(), to_rgb(GREY))
    assert same_color(markers[0.0].get_markerfacecolor(), LOOKS["worse"].color)
    assert markers[0.0].get_marker() != markers[2.0].get_marker()


def test_against_a_baseline_every_other_cell_has_a_row_finished_or_not(shared_folder):
    figure = drawn(differences_figure, shared_folder)
    for axes in figure.axes:
        assert "diverged" in texts(axes)
        assert sum(text in LOOKS for text in texts(axes)) == 9
    assert figure.axes[0].get_xlabel().replace("\n", " ").startswith("NLL minus that of")


def test_a_far_difference_is_an_arrow_with_its_number():
    close = {name: ([2.0 + 0.01 * i, 2.1 + 0.01 * i, 2.2], [10.0, 11.0, 12.0]) for i, name in enumerate("abcd")}
    far = {**close, "far": ([9.0, 9.1, 9.2], [10.0, 11.0, 12.0]), "e": close["a"], "f": close["b"]}
    axes = drawn(differences_figure, grid_of(far)).axes[0]
    assert axes.get_xlim()[1] < 1
    assert any(text.endswith("▸") and text.startswith("7.00") for text in texts(axes))


def test_no_interval_no_figure(tmp_path):
    assert drawn(differences_figure, grid_of({name: ([2.0], [9.0]) for name in "ab"})) is None
    assert drawn(differences_figure, grid_of({"a": ([2.0, 2.1], [9.0, 9.1])})) is None
    assert drawn(differences_figure, build(tmp_path / "g", lost_rows("diverged", "x"))) is None


def test_the_front_is_filled_and_named_and_joined():
    axes = drawn(cost_figure, costed(linear=9, cosine=2, learned=3)).axes[0]
    assert [text for text in texts(axes) if text in VALUES] == ["cosine", "learned"]
    assert axes.get_xlabel() == "training (FLOPs)"
    markers = [line for line in axes.lines if line.get_marker() in ("o", "s", "D") and len(line.get_xdata()) == 1]
    hollow = [line for line in markers if same_color(line.get_markerfacecolor(), "white")]
    # 3 × 9 FLOPs a pass × 10 steps × a batch of 2
    assert [(line.get_xdata()[0], pytest.approx(line.get_ydata()[0])) for line in hollow] == [(540.0, 2.5)]
    (steps,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    # Means are 2.40 and 2.4025: the dearer one dominates nothing.
    assert steps.get_xdata()[0] == 120.0
    assert list(steps.get_ydata()) == pytest.approx([2.4, 2.4])


def test_where_more_are_on_the_front_than_can_be_named_those_on_its_line_are():
    """Twenty cells that cannot be told apart, the dearer the better by a hair in every second."""
    cells = [f"cell {i:02}" for i in range(20)]
    nlls = [3 - 0.01 * i + 0.02 * (i % 2) + np.roll([1, -1, 0], i) for i in range(20)]
    values = {name: (list(nll), [9.0, 9.1, 9.2]) for name, nll in zip(cells, nlls, strict=True)}
    axes = drawn(cost_figure, costed(values, **{name: 2 + i for i, name in enumerate(cells)})).axes[0]
    assert axes.get_title(loc="left") == "filled: the front; named: its best means"
    assert {text for text in texts(axes) if text in cells} == {name for i, name in enumerate(cells) if i % 2 == 0}


def test_where_those_on_its_line_are_more_than_can_be_named_some_are():
    cells = [f"cell {i:02}" for i in range(40)]
    values = {name: ([3 - 0.01 * i], [9.0]) for i, name in enumerate(cells)}
    axes = drawn(cost_figure, costed(values, **{name: 2 + i for i, name in enumerate(cells)})).axes[0]
    assert axes.get_title(loc="left") == "filled: the front; named: some of its best means"
    named = [cells.index(text) for text in texts(axes) if text in cells]
    assert (named[0], named[-1]) == (0, 39)
    assert 8 < len(named) < 20
    assert set(np.diff(named)) <= {39 // (len(named) - 1), 39 // (len(named) - 1) + 1}


def test_costs_far_apart_are_on_a_logarithmic_axis():
    assert drawn(cost_figure, costed(linear=1, cosine=2, learned=100)).axes[0].get_xscale() == "log"
    assert drawn(cost_figure, costed(linear=2, cosine=2, learned=3)).axes[0].get_xscale() == "linear"


def test_without_costs_or_with_one_cell_no_figure():
    assert drawn(cost_figure, grid_of()) is None
    one = {"a": ([2.0, 2.1], [9.0, 9.1])}
    assert drawn(cost_figure, costed(one, a=3)) is None
    nothing = {name: ([math.nan] * 2, [math.nan] * 2) for name in "ab"}
    assert drawn(cost_figure, costed(nothing, a=3, b=4)) is None
