"""Numbers near the ends of float64 are drawn, at the end of what an axis can be made for; others as they are."""

import json

import numpy as np
import pytest

from analysis.figures import LEAST, MOST, draw_search, drawable, drawable_search
from analysis.figures.drawing import Drawn
from analysis.read.search import read_search
from analysis.words.search import value_text
from tests.analysis.conftest import FID, NLL, answers_of, build, rows
from tests.analysis.figures.conftest import files_written
from tests.analysis.searches import one_objective
from tests.axes import thinned


def changed(name, value):
    """The rows, with this value in the first."""
    return [row | ({} if i else {name: value}) for i, row in enumerate(rows())]


EXTREMES = [(name, value) for value in ("5e-324", "1e308", "-1e308") for name in (FID, NLL)]


@pytest.mark.parametrize(("name", "value"), thinned(EXTREMES, 6, [f"{name}-{value}" for name, value in EXTREMES]))
def test_figures_of_extreme_numbers_are_drawn(name, value, tmp_path, quick):
    assert files_written(build(tmp_path / "g", changed(name, value)))


def test_numbers_are_moved_to_where_an_axis_can_be_made(tmp_path):
    answers = answers_of(build(tmp_path / "g", changed(FID, "1e308")))
    moved = drawable(answers).grid.runs[FID]
    assert moved.max() == MOST
    np.testing.assert_array_equal(moved[1:], answers.grid.runs[FID][1:])
    answers = answers_of(build(tmp_path / "h", changed(FID, "5e-324")))
    assert drawable(answers).grid.runs[FID].min() == LEAST


def test_answers_that_can_be_drawn_are_the_same(shared_folder, tmp_path):
    answers = answers_of(shared_folder)
    assert drawable(answers) is answers
    search = read_search(one_objective(tmp_path / "s", 5))
    assert drawable_search(search) is search


@pytest.mark.parametrize("change", [{"low": 5e-324}, {"high": 1e308}])
def test_a_search_of_an_extreme_range_is_drawn(change, tmp_path, monkeypatch):
    folder = one_objective(tmp_path / "s", 16)
    head = json.loads((folder / "grid.json").read_text())
    head["search"]["parameters"][0].update(change)
    (folder / "grid.json").write_text(json.dumps(head))
    monkeypatch.setattr("analysis.figures.as_png", lambda figure: figure.draw_without_rendering() or Drawn(b"", (1, 1)))
    assert draw_search(read_search(folder))


def test_a_default_that_is_no_number_is_said_as_it_is(tmp_path):
    search = read_search(one_objective(tmp_path / "s", 5))
    assert value_text(search.head.parameters[0], "abc") == "abc"
