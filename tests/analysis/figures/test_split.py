"""The shares of the bound's terms, on cells whose terms are round numbers."""

from __future__ import annotations

import pytest

from analysis.figures.drawing import save, styled
from analysis.figures.metrics import estimate_figure
from analysis.figures.split import split_figure
from analysis.findings.bits import shares_of
from analysis.findings.cells import cells_of
from analysis.read.runs import read_folder
from tests.analysis.conftest import build, write_csv

AXIS = {"name": "schedule", "label": "Schedule", "levels": [{"name": name, "label": name} for name in "abc"]}
# L_0 of the curve, and nll/test_L0, which an offset of −4 makes another; L_t, L_T. Of b nothing is known per t.
TERMS = {"a": (2.0, -2.0, 5.0, 1.0), "b": (2.0, 2.0, 3.0, 0.0), "c": (1.0, 1.0, 3.0, 0.0)}


@pytest.fixture
def grid(tmp_path):
    table, lines = [], []
    for name, (start, first, middle, last) in TERMS.items():
        for seed, shift in ((0, -0.5), (1, 0.5)):
            terms = {"nll/test_L0": first + shift, "nll/test_Lt": middle - shift, "nll/test_LT": last}
            row = {"cell_id": name, "training_id": name, "seed": seed, "status": "finished", "reason": ""}
            table.append(row | {"axis.schedule": name, "nll/test": sum(terms.values())} | terms)
            if name != "b":
                values = (start + shift, 0.4, 0.2)
                lines += [(name, seed, "bound_per_t", t, value) for t, value in enumerate(values, 1)]
    build(tmp_path / "results" / "grid", table, axes=[AXIS], layout="general", seeds=[0, 1], baseline={})
    write_csv(tmp_path / "results" / "grid" / "curves.csv", ("cell_id", "seed", "curve", "x", "y"), lines)
    return read_folder(tmp_path / "results" / "grid")


def test_shares_are_those_of_the_values_the_network_sees(grid):
    a, b, c = cells_of(grid)
    assert shares_of(grid, a) == pytest.approx((2 / 8, 5 / 8, 1 / 8))
    assert shares_of(grid, b) is None
    assert shares_of(grid, c) == pytest.approx((1 / 4, 3 / 4, 0))


def test_bars_are_as_long_as_the_shares_and_say_so(grid):
    with styled():
        axes = split_figure(grid).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([2 / 8, 5 / 8, 1 / 8, 1 / 4, 3 / 4, 0])
    said = [text.get_text() for text in axes.texts]
    assert said[:6] == ["25 %", "62 %", "12 %", "25 %", "75 %", "0 %"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "c"]


def test_drawn_twice_is_drawn_alike(grid, tmp_path):
    with styled():
        first, second = (save(split_figure(grid), tmp_path / name) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_variance_of_the_estimate_has_a_figure_of_its_own_beside_nll_and_fid(tmp_path):
    metrics = [
        {"name": name, "label": name, "direction": "min"} for name in ("nll/test", "fid/train/x", "bound_variance/test")
    ]
    for name, shown in (("three", metrics), ("two", [metrics[0], metrics[2]])):
        table = [
            {
                "cell_id": level,
                "training_id": training,
                "seed": 0,
                "status": "finished",
                "reason": "",
                "axis.schedule": level,
            }
            | {one["name"]: value for one in shown}
            for level, training, value in (("a", "1", 4.0), ("b", "2", 2.0), ("c", "2", 2.0))
        ]
        build(tmp_path / name, table, axes=[AXIS], layout="general", seeds=[0], baseline={}, metrics=shown, floors={})
    assert estimate_figure(read_folder(tmp_path / "two")) is None
    with styled():
        (axes,) = estimate_figure(read_folder(tmp_path / "three")).axes
    marks = [line for line in axes.lines if line.get_marker() in "os^D" and line.get_markersize() > 4]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [float(line.get_xdata()[0]) for line in marks] == [4.0, 2.0]


def test_no_figure_without_the_terms(shared_folder):
    assert split_figure(read_folder(shared_folder)) is None
