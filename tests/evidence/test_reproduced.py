"""How a cell that is run again is asked for, and compared."""

from __future__ import annotations

import pytest

from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from evidence.reproduced import chosen, compared, words_of

OLD = {"training_id": "a", "machine": "another · kind", "nll/test": "2.5", "fid/train/x": "10", "cost/s": "1"}


@pytest.mark.parametrize(
    ("new", "told"),
    [
        pytest.param({}, (1, 2, 2, "0"), id="equal"),
        pytest.param({"cost/s": "2"}, (1, 2, 2, "0"), id="costs are not compared"),
        pytest.param({"nll/test": "2.499", "fid/train/x": "11"}, (1, 2, 0, "0.001"), id="both"),
        pytest.param({"fid/train/x": ""}, (1, 1, 1, "0"), id="what only one has is not compared"),
        pytest.param({"training_id": "b"}, (0, 0, 0, "–"), id="another training"),
    ],
)
def test_numbers_are_compared_as_text(new, told):
    assert compared("g", [(OLD, OLD | new)])[2:] == told


@pytest.mark.parametrize("grid", ["horizon", "steps", "guidance-fashion"])
def test_a_cell_is_a_grid_of_one_cell(grid):
    assert [len(make(parse_run(words_of(grid, row))).points) for row in chosen(grid)] == [1, 1, 1]


def test_a_search_has_no_cells_to_run_again():
    assert chosen("search-schedule") == []


def test_a_cell_is_asked_for_alone_with_what_its_grid_was_told():
    words = words_of("guidance-fashion", chosen("guidance-fashion")[0])
    assert words[:2] == ["grid=guidance", "data=fashion_mnist"]
    assert {"guide=none", "guidance.scale=1", "evaluation.sets=1", "seeds=1", "evaluation.n=500"} < set(words)
    assert not {"seeds=8", "guide=none,class,interval,cell"} & set(words)
