"""How a cell that is run again is asked for, and compared."""

from __future__ import annotations

import re

import pytest

from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from evidence.reproduced import INTRODUCTION, as_row, chosen, put

OLD = {
    "training_id": "a",
    "seed": "3",
    "machine": "another · kind",
    "nll/test": "2.5",
    "fid/train/x": "10",
    "cost/s": "1",
}


@pytest.mark.parametrize(
    ("new", "told"),
    [
        pytest.param({}, "| 2 | 2 | – | – |", id="equal, whatever it cost"),
        pytest.param({"cost/s": "2"}, "| 2 | 2 | – | – |", id="costs are not compared"),
        pytest.param({"nll/test": "2.499", "fid/train/x": "11"}, "| 2 | 0 | 0.001 | 10.00% |", id="both"),
        pytest.param({"fid/train/x": ""}, "| 1 | 1 | – | – |", id="what only one has is not compared"),
        pytest.param({"training_id": "b"}, "| other settings than its file has today | | | | |", id="another training"),
    ],
)
def test_numbers_are_compared_as_text(new, told):
    assert as_row("g", {"axis": "level"}, OLD, OLD | new).endswith(told)


def test_a_page_keeps_the_parts_of_other_commands(tmp_path):
    page = tmp_path / "page.md"
    first, other, again = (f"## `{name}`\n\n| grid |\n|---|\n| {row} |" for name, row in ("a1", "b2", "a3"))
    for part in (first, other, again):
        put(page, part)
    assert page.read_text() == f"{INTRODUCTION.strip()}\n\n{other}\n\n{again}\n"


def test_rows_of_a_grid_that_another_command_ran_anew_are_dropped(tmp_path):
    page = tmp_path / "page.md"
    put(page, "## `a`\n\n| grid | seed |\n|---|---|\n| x | 1 |\n| xy | 1 |")
    put(page, "## `b`\n\n| grid | seed |\n|---|---|\n| x | 2 |")
    assert [row for row in page.read_text().splitlines() if row.startswith("| x")] == ["| xy | 1 |", "| x | 2 |"]
    put(page, "## `c`\n\n| grid | seed |\n|---|---|\n| xy | 3 |")
    assert re.findall(r"^## .*", page.read_text(), re.MULTILINE) == ["## `b`", "## `c`"]


@pytest.mark.parametrize("grid", ["horizon", "steps", "guidance-fashion", "search-schedule"])
def test_a_cell_is_a_grid_of_one_cell(grid):
    assert [len(make(parse_run(cell.words)).points) for cell in chosen(grid)] == [1] * len(chosen(grid))


def test_a_search_has_no_cells_to_run_again():
    assert chosen("search-schedule") == []
    assert len(chosen("steps")) == 3


def test_a_cell_is_asked_for_alone_with_what_its_grid_was_told():
    first, middle, last = chosen("guidance-fashion")
    assert first.words[:2] == ["grid=guidance", "data=fashion_mnist"]
    assert {"guide=none", "guidance.scale=1", "evaluation.sets=1", "seeds=1", "evaluation.n=500"} < set(first.words)
    assert not {"seeds=8", "guide=none,class,interval,cell"} & set(first.words)
    assert first.levels != middle.levels != last.levels
