"""The marks that a page must put beside a committed grid's numbers: older numerics, another budget than its own."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import yaml

from analysis.schema import NUMERICS

ROOT = Path(__file__).parents[1]
COMMITTED, GRIDS = ROOT / "results" / "committed", ROOT / "ablations" / "configs" / "grid"


def marks_of(name: str) -> list[str]:
    """The marks that a quote of a grid needs; none where this code gives its digits at the budget of its own file."""
    rows = [row for row in rows_of(COMMITTED / name / "runs.csv") if not row.get("trial")]
    return [*numerics_of(rows), *budget_of(name, rows)]


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a runs.csv, as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numerics_of(rows: list[dict[str, str]]) -> list[str]:
    """The mark of rows by other numerics than this code's."""
    (numerics,) = {row.get("numerics", "") for row in rows}
    if numerics == str(NUMERICS):
        return []
    return [f"numerics {numerics}" if numerics else "numerics not recorded"]


def budget_of(name: str, rows: list[dict[str, str]]) -> list[str]:
    """The mark of trainings of another number of steps than the file of the grid asks for today."""
    own = _steps_of_file(name)
    taken = {int(row["training.steps"]) for row in rows}
    if own is None or taken == {own}:
        return []
    (steps,) = taken
    return [f"{steps} of {own} steps" if steps < own else f"{steps} steps"]


def _steps_of_file(name: str) -> int | None:
    """The steps that all cells of a committed grid would have by its file; None where it names none for all."""
    command = json.loads((COMMITTED / name / "grid.json").read_text(encoding="utf-8")).get("command", "")
    (*_, grid) = re.findall(r"\bgrid=([\w-]+)", command) or [""]
    file = GRIDS / f"{grid}.yaml"
    steps: int | None = yaml.safe_load(file.read_text(encoding="utf-8"))["set"].get("training.steps") if grid else None
    return steps
