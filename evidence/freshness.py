"""What a page must say of a committed grid beside its numbers: older numerics, another budget than its own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from analysis.format.names import NUMERICS

COMMITTED = Path(__file__).parents[1] / "results" / "committed"


def marks_of(name: str) -> list[str]:
    """The marks that a quote of a grid needs; none where this code gives its digits at the budget of its own file."""
    with (COMMITTED / name / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row.get("trial")]
    return [*numerics_of(rows), *_budget_of(name, rows)]


def numerics_of(rows: list[dict[str, str]]) -> list[str]:
    """The mark of rows by other numerics than this code's."""
    (numerics,) = {row.get("numerics", "") for row in rows}
    if numerics == str(NUMERICS):
        return []
    return [f"numerics {numerics}" if numerics else "numerics not recorded"]


def _budget_of(name: str, rows: list[dict[str, str]]) -> list[str]:
    """The mark of trainings of another number of steps than the grid's own."""
    own = json.loads((COMMITTED / name / "grid.json").read_text(encoding="utf-8")).get("own_steps")
    taken = {int(row["training.steps"]) for row in rows}
    if own is None or taken == {own}:
        return []
    (steps,) = taken
    return [f"{steps} of {own} steps" if steps < own else f"{steps} steps"]
