"""What grids that ship take is said alike wherever it is said: by the table, `--help`, README.md and docs/grids.md."""

from __future__ import annotations

import math
import re

import pytest

from ablations.settings.grammar import options_of
from analysis.errors import InputError
from benchmarks.minutes import DOCS, FIRST_LINE, GRIDS, IN_DOCS, IN_README, README, TABLE, Row, rewrite, table


def rows_in(text):
    """The rows of a table of minutes."""
    rows = [re.fullmatch(r"\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", line) for line in text.splitlines()]
    return [Row(row[1], *map(int, row.groups()[1:])) for row in rows if row is not None]


ROWS = rows_in(TABLE.read_text(encoding="utf-8"))


def test_every_grid_that_ships_is_in_the_table():
    assert [row.grid for row in ROWS] == sorted(path.stem for path in GRIDS.glob("*.yaml"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.grid)
def test_the_first_line_of_a_grid_says_its_minutes(row):
    said = options_of("grid")[row.grid]
    assert re.findall(r"about (\d+) minutes?$", said) == [str(row.minutes)]
    cells = re.findall(r"((?:\d+ x )*\d+) cells", said)
    seeds = re.findall(r"cells(?: \([^)]*\))? x (\d+) seeds", said)
    assert [math.prod(map(int, found.split(" x "))) for found in cells] in ([row.cells], [])
    assert [int(found) for found in seeds] in ([row.seeds], [])


def test_readme_and_docs_say_the_same():
    minutes = {row.grid: row.minutes for row in ROWS}
    (found,) = IN_README.finditer(README.read_text(encoding="utf-8"))
    assert found[0].endswith(f": {minutes['parameterization']} minutes on 2 quiet CPU cores")
    (found,) = IN_DOCS.finditer(DOCS.read_text(encoding="utf-8"))
    assert found[0].endswith(f"two cores, {max(minutes.values())} at most")


def test_a_table_is_read_as_it_was_written():
    rows = [Row("deck", 23, 1, 10, 4), Row("vdm", 9, 5, 25, 1)]
    assert rows_in(table(rows, 2)) == rows


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
