"""The shares of the bound's terms, on cells whose terms are round numbers."""

import pytest

from analysis.figures.bits import split_figure
from analysis.figures.metrics import estimate_figure
from tests.analysis.conftest import build, row_of
from tests.analysis.figures.conftest import drawn
from tests.analysis.findings.test_bits import AXIS, with_terms


def test_bars_are_as_long_as_the_shares_and_say_so(tmp_path):
    axes = drawn(split_figure, with_terms(tmp_path / "g")).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([2 / 8, 5 / 8, 1 / 8, 1 / 4, 3 / 4, 0])
    said = [text.get_text() for text in axes.texts]
    assert said[:6] == ["25 %", "62 %", "12 %", "25 %", "75 %", "0 %"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "c"]


METRICS = [
    {"name": name, "label": name, "direction": "min"} for name in ("nll/test", "fid/train/x", "bound_variance/test")
]


def with_estimate(folder, shown=METRICS):
    """A results folder of three cells, of which the last two share a training."""
    rows = (("a", "1", 4.0), ("b", "2", 2.0), ("c", "2", 2.0))
    table = [
        row_of(level, 0, training_id=training) | {"axis.schedule": level} | {metric["name"]: value for metric in shown}
        for level, training, value in rows
    ]
    return build(folder, table, axes=[AXIS], layout="general", seeds=[0], baseline={}, metrics=shown, floors={})


def test_the_variance_of_the_estimate_has_a_figure_of_its_own_beside_nll_and_fid(tmp_path):
    assert drawn(estimate_figure, with_estimate(tmp_path / "two", [METRICS[0], METRICS[2]])) is None
    (axes,) = drawn(estimate_figure, with_estimate(tmp_path / "three")).axes
    marks = [line for line in axes.lines if line.get_marker() in "os^D" and line.get_markersize() > 4]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [float(line.get_xdata()[0]) for line in marks] == [4.0, 2.0]


def test_no_figure_without_the_terms(shared_folder):
    assert drawn(split_figure, shared_folder) is None
