"""What grids that ship take is said alike wherever it is said: by the table, `--help`, README.md and docs/grids.md."""

from __future__ import annotations

import math
import re

import pytest

from ablations.settings.grammar import options_of
from analysis.errors import InputError
from benchmarks.minutes import FIRST_LINE, HERE, TABLE, names, rewrite

ROWS = {
    grid: tuple(map(int, numbers))
    for grid, *numbers in re.findall(
        r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE
    )
}
"""Cells, seeds, trainings and minutes by the grid's name."""


def test_every_grid_that_ships_is_in_the_table():
    assert list(ROWS) == names()


@pytest.mark.parametrize("grid", ROWS)
def test_the_first_line_of_a_grid_says_its_minutes(grid):
    said, (n_cells, n_seeds, _, minutes) = options_of("grid")[grid], ROWS[grid]
    assert re.findall(r"about (\d+) minutes?$", said) == [str(minutes)]
    cells = re.findall(r"((?:\d+ x )*\d+) cells", said)
    seeds = re.findall(r"cells(?: \([^)]*\))? x (\d+) seeds", said)
    assert [math.prod(map(int, found.split(" x "))) for found in cells] in ([n_cells], [])
    assert [int(found) for found in seeds] in ([n_seeds], [])


def test_readme_and_docs_say_the_same():
    minutes = {grid: numbers[-1] for grid, numbers in ROWS.items()}
    readme, docs = ((HERE / name).read_text(encoding="utf-8") for name in ("README.md", "docs/grids.md"))
    assert f"draws: {minutes['parameterization']} minutes on 2 quiet CPU cores" in readme
    assert f"how many minutes it takes on two cores, {max(minutes.values())} at most" in docs


def test_minutes_are_written_in_place_of_others_and_where_none_were(tmp_path):
    path = tmp_path / "mine.yaml"
    rest = "question: Is it done in about 3 minutes?\n"
    for first in ("# Mine? 4 cells x 5 seeds", "# Mine? 4 cells x 5 seeds, about 53 minutes"):
        path.write_text(f"{first}\n{rest}", encoding="utf-8")
        rewrite(path, FIRST_LINE, r"\1, about 7 minutes")
        assert path.read_text(encoding="utf-8") == f"# Mine? 4 cells x 5 seeds, about 7 minutes\n{rest}"
    path.write_text("question: mine\n", encoding="utf-8")
    with pytest.raises(InputError, match="does not say its minutes"):
        rewrite(path, FIRST_LINE, r"\1, about 7 minutes")
