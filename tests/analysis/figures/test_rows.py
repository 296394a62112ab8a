"""Rows: their numbers are worked out by hand; Student's 97.5 % point is 4.302653 at two degrees of freedom."""

import math

import numpy as np
import pytest

from tests.analysis.figures.drawing import drawn, texts
from tests.analysis.folders import NLL, make_folder

HALF = 4.302653 * 0.1 / math.sqrt(3)
"""The half-width of 2.4, 2.5, 2.6."""


def lines(axes, at):
    """The x values of each line of a row: the interval, the seeds below it, the mean."""
    own = [line for line in axes.lines if set(np.round(line.get_ydata(), 6)) in ({at}, {round(at + 0.3, 6)})]
    return [np.asarray(line.get_xdata(), dtype=float).tolist() for line in own]


@pytest.fixture
def grid(tmp_path):
    """Three cells: b is much worse, and a seed of c diverged as all of d did."""
    values = {"a": [2.4, 2.5, 2.6], "b": [9.1, 9.2, 9.3], "c": [2.45, 2.5, None], "d": [None, None, None]}
    known = {NLL: [{"label": "a code", "value": 3.0}, {"label": "far", "value": 99.0}]}
    return make_folder(tmp_path / "g", values, metrics={NLL: {"relevant": 0.5}}, baselines=known)


def test_metrics_show_seeds_mean_interval_place_and_known_values(grid):
    (axes,) = drawn("metrics", grid).axes
    interval, seeds, mean = lines(axes, 0.0)
    assert interval == pytest.approx([2.5 - HALF, 2.5 + HALF], abs=1e-6)
    assert (seeds, mean) == ([2.4, 2.5, 2.6], [2.5])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c", "d"]
    faces = {line.get_ydata()[0]: line.get_markerfacecolor() for line in axes.lines if line.get_zorder() == 4}
    assert {at for at, face in faces.items() if face == "white"} == {1.0}
    assert "no value" in texts(axes)
    assert {line.get_xdata()[0] for line in axes.lines if line.is_dashed()} == {3.0, 99.0}
    assert {"a code: 3.00", "far: 99.0 ▸"} <= set(texts(axes))


def test_differences_show_seeds_interval_margin_and_verdict(grid):
    (axes,) = drawn("differences", grid).axes
    assert [text.get_text() for text in axes.get_yticklabels()][:2] == ["a | b", "a | c"]
    interval, seeds, mean = lines(axes, 0.0)
    assert [*seeds, *mean, *interval] == pytest.approx([-6.7] * 6, abs=1e-6)
    (band,) = [patch for patch in axes.patches if patch.get_width()]
    assert (band.get_x(), band.get_width()) == (-0.5, 1.0)
    assert {"better", "◂ first is better", "first is worse ▸"} <= set(texts(axes))


def test_declared_comparisons_come_first(tmp_path):
    values = {(a, b): [2.0 + i + s / 10 for s in range(3)] for i, (a, b) in enumerate(("px", "py", "qx", "qy"))}
    primary = [{"compare": {"a": "q"}, "to": {"a": "p"}, "at": {"b": ["y"]}}]
    (axes,) = drawn("differences", make_folder(tmp_path / "g", values, primary=primary)).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert (labels[0], len(labels)) == ("y: q | p", 4)


def test_many_comparisons_are_cut_to_the_declared_and_first_ones(tmp_path):
    values = {f"cell {i}": [2.0 + i / 10, 2.1 + i / 10, 2.3 + i / 10] for i in range(30)}
    figure = drawn("differences", make_folder(tmp_path / "g", values))
    assert len(figure.axes[0].get_yticklabels()) == 24
    assert figure.get_suptitle() == "24 of 29 comparisons, declared ones first"


def test_without_values_or_differences_there_is_no_figure(tmp_path):
    assert drawn("metrics", make_folder(tmp_path / "g", {"a": [None], "b": [None]})) is None
    assert drawn("differences", make_folder(tmp_path / "h", {"a": [2.0, 2.1], "b": [2.0, 2.1]})) is None
