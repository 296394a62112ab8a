"""A search's trials and the cells that confirm it, which share a results folder: each writer keeps the other's rows.

grid.json    the entries of the cells, and under `search` what was searched and found
runs.csv     a row per trial, which has a trial number, and a row per cell
curves.csv   the curves of trials, by the trial's cell and the search's seeds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.results.csv_text import csv_text, rows_of, union
from analysis.files import write_json, write_text
from analysis.schema import CURVES, FIXED, OPTIONAL, SEARCH, TRIAL

Line = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """The part of a folder for its trials, or for its cells: keys of grid.json, rows of runs.csv and curves.csv.
    `columns` of runs.csv exist even without rows."""

    head: dict[str, Any] = field(default_factory=dict)
    runs: list[Line] = field(default_factory=list)
    curves: list[Line] = field(default_factory=list)
    columns: tuple[str, ...] = ()


def parts_of(folder: Path, head: dict[str, Any] | None) -> tuple[Part, Part]:
    """The trials and the cells of the results folder with this grid.json; without a search neither is read. InputError
    where a file is damaged."""
    if head is None or SEARCH not in head:
        return Part(), Part()
    runs, curves = rows_of(folder / "runs.csv", (*FIXED, TRIAL)), rows_of(folder / "curves.csv", CURVES)
    tried = {(row["cell_id"], str(seed)) for row in runs if row[TRIAL] for seed in head[SEARCH]["seeds"]}

    def part(of: dict[str, Any], *, trials: bool) -> Part:
        return Part(
            of,
            [without_empty(row) for row in runs if bool(row[TRIAL]) == trials],
            [row for row in curves if ((row["cell_id"], row["seed"]) in tried) == trials],
        )

    trials = part({SEARCH: head[SEARCH]}, trials=True)
    return trials, part({key: value for key, value in head.items() if key != SEARCH}, trials=False)


def without_empty(row: Line) -> Line:
    """A row without those optional columns that are empty in it."""
    return {name: value for name, value in row.items() if value or name not in OPTIONAL}


def write_parts(folder: Path, trials: Part, cells: Part) -> None:
    """Write grid.json, runs.csv and curves.csv of both."""
    write_text(folder / "runs.csv", runs_text([*trials.runs, *cells.runs], trials.columns))
    write_text(folder / "curves.csv", csv_text(CURVES, [*trials.curves, *cells.curves]))
    write_json(folder / "grid.json", cells.head | trials.head)


def runs_text(rows: list[Line], columns: Sequence[str] = ()) -> str:
    """The text of runs.csv with these rows, metrics last; a column that a row lacks is empty there."""
    names = list(dict.fromkeys([*columns, *union(rows)]))
    metrics = sorted(name for name in names if "/" in name)
    return csv_text([*(name for name in names if "/" not in name), *metrics], rows)
