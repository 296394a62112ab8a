"""A check that a results folder may hold a request's results: it may not hold those of another request."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ablations.driver.plan import Plan
from ablations.results.csv_text import rows_of
from ablations.results.folder import standing
from ablations.settings.cell import Cell
from ablations.settings.identity import content_hash, from_outside
from ablations.settings.registry import ORIGIN
from analysis.errors import InputError
from analysis.schema import NUMERICS, SEARCH
from diffusion_core.named import choice_name


def asked_by(plan: Plan) -> str:
    """The request that a results folder belongs to, as a short text: a digest of the plan's cells."""
    return content_hash({"cells": sorted({item.cell_id for item in plan.planned})})


def check_same_request(folder: Path, plan: Plan, command: str = "", *, confirms: bool = False) -> dict[str, Any] | None:
    """The grid.json of these cells that stands in `folder`, if any; InputError where the folder holds other cells,
    though by the same `command`, or a search that the plan does not confirm."""
    head = standing(folder)
    if head is not None and SEARCH in head:
        if not confirms:
            raise InputError(f"{folder} holds the results of a search: give this grid a name of its own with name=…")
        head = head if head["cells"] else None
    if head is None or set(head["cells"]) == {item.cell_id for item in plan.planned}:
        return head
    sensible = [item.cell for item in plan.planned if item.refusal is None]
    before, changed = head.get("command", "unknown"), _changed(folder, sensible)
    edited = "the same command, before a file that it reads was edited: " if before == command and not changed else ""
    raise InputError(
        f"{folder} holds the results of {changed or 'other choices'} ({edited}{before}), which are never overwritten: "
        f"give this grid a name of its own with name=…, which uses again whatever is trained, or move {folder} away"
    )


def _changed(folder: Path, cells: Iterable[Cell]) -> str:
    """The part that has changed since the results of a folder were made, in words: this code, or a class from outside;
    "" if none has."""
    runs = folder / "runs.csv"
    rows = rows_of(runs, ()) if runs.exists() else []
    if {row.get("numerics", "") for row in rows} - {"", str(NUMERICS)}:
        return "another version of this code, which gives other numbers"
    for cell in cells:
        for axis, choice, here in from_outside(cell):
            name = choice_name(choice)
            then = {row.get(f"{axis}.{ORIGIN}", "") for row in rows if row.get(axis) == name} - {"", here}
            if then:
                return f"another {axis}={name}, of {min(then)}, where here it is of {here}"
    return ""
