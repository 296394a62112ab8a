"""The marks that a page must put beside a committed grid's numbers: older numerics, another budget than its own."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import analysis
from ablations.results.csv_text import rows_of
from ablations.settings.grammar import load
from analysis.answers import Analysis
from analysis.files import read_json
from analysis.schema import NUMERICS

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "results" / "committed"


@cache
def committed(name: str) -> Analysis:
    """The frames of a committed grid, read once in a process."""
    return analysis.read(COMMITTED / name)


def numerics_of(rows: list[dict[str, str]]) -> list[str]:
    """The mark of rows by other numerics than this code's."""
    (numerics,) = {row.get("numerics", "") for row in rows}
    return [] if numerics == str(NUMERICS) else [f"numerics {numerics or 'not recorded'}"]


def marks_of(name: str) -> list[str]:
    """The marks that a quote of a grid needs; none where this code gives its digits at the budget of its own file."""
    rows = rows_of(COMMITTED / name / "runs.csv", ["training.steps"])
    grid = re.search(r"\bgrid=([\w-]+)", read_json(COMMITTED / name / "grid.json")["command"])
    own, marks = load("grid", grid[1])["set"].get("training.steps") if grid else None, numerics_of(rows)
    taken = {row["training.steps"] for row in rows}
    if own is None or taken == {str(own)}:
        return marks
    (steps,) = map(int, taken)
    return [*marks, f"{steps} of {own} steps" if steps < own else f"{steps} steps"]
