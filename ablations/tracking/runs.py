"""The files of results/<grid>/ as the runs that a tracking store gets: its cells, and the trials of a search.

A metric that was scored during trainings too (rung/nll/val) is a line over steps under its own name, which ends at the
last step with the final value; all other final values are at step 0, since MLflow draws bars of these alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablations.results.csv_text import rows_of
from ablations.results.records import NOT_RUN
from analysis.errors import InputError
from analysis.files import read_json
from analysis.labels import cell_name
from analysis.results import read_curves
from analysis.schema import FIXED, LATENT, OVER_STEPS, RUNG, SEARCH, TRACEBACK, TRIAL, TRIALS, VERSIONS

TAGS = (*FIXED, TRACEBACK, *LATENT, *VERSIONS, TRIAL)
"""The columns of tables that become tags of a run, and not parameters."""
LONGEST = 5000
CELL, SUMMARY = "cell", "summary"
"""The kinds of a run that is a cell at a seed, and of the one that carries a folder's files."""
RUNNING, INTERRUPTED = "running", "interrupted"
"""The statuses of a run that is under way, and of one that was stopped."""
STUDY, OF_SEARCH = "study", "search"
_AXIS = "axis."
Key = tuple[str, str]
Points = dict[tuple[str, int], float]
"""A metric and a step → its value there."""


@dataclass(frozen=True)
class Tracked:
    """A row of a results folder, ready to be logged: text as tags, choices as parameters, numbers as points over steps;
    and its sheet of samples, if there is one."""

    tags: dict[str, str]
    params: dict[str, str]
    points: Points
    sheet: Path | None = None

    @property
    def name(self) -> str:
        """Its name in the UI's list."""
        return self.params["cell"] + ("" if TRIAL in self.tags else f" · seed {self.tags['seed']}")

    @property
    def content(self) -> str:
        """A digest of everything that is logged."""
        text = repr([self.tags, self.params, self.points])
        return hashlib.sha256(text.encode() + (self.sheet.read_bytes() if self.sheet else b"")).hexdigest()[:16]

    @property
    def last_step(self) -> int:
        """The step at which its training ended, 0 where that is not known."""
        return max((step for _, step in self.points), default=0)

    def over_steps(self, curves: Points, lines: Collection[str]) -> Tracked:
        """The same with its points over steps; the final values of metrics that are `lines` end these."""
        last = max((step for _, step in curves), default=0)
        final = {name: value for (name, _), value in self.points.items() if not name.startswith(OVER_STEPS)}
        ends = {(name, last if name in lines else 0): value for name, value in final.items()}
        return replace(self, points=curves | ends)


def key_of(tags: Mapping[str, str]) -> Key:
    """The key that identifies a run in its experiment, by its tags."""
    if tags["kind"] == SUMMARY:
        return SUMMARY, ""
    return (tags[OF_SEARCH], tags[TRIAL]) if TRIAL in tags else (tags["cell_id"], tags["seed"])


def head_in(folder: Path) -> dict[str, Any]:
    """grid.json of a results folder; InputError where there is none."""
    head = read_json(folder / "grid.json")
    if not isinstance(head, dict):
        raise InputError(f"{folder} holds no results (grid.json is missing): run its grid first")
    return head


def tracked_runs(folder: Path) -> list[Tracked]:
    """The cells of a results folder that have run, and the finished trials of its search, which have no curves;
    InputError where the folder is damaged."""
    head = head_in(folder)
    curves, search = read_curves(folder), head.get(SEARCH, {})
    curves = curves[curves["curve"].str.startswith(OVER_STEPS)]
    lines = {name.removeprefix(RUNG) for name in curves["curve"].unique() if name.startswith(RUNG)}
    points = defaultdict[Key, Points](dict)
    for cell_id, seed, name, x, y in curves.itertuples(index=False, name=None):
        points[cell_id, str(seed)][name.removeprefix(RUNG), int(x)] = y
    rows = rows_of(folder / "runs.csv", FIXED) if head.get("cells") or not search else []
    cells = [cell_run(row, name_in(head, row), folder, search.get("name", "")) for row in rows]
    runs = [cell.over_steps(points[key_of(cell.tags)], lines) for cell in cells if cell.tags["reason"] != NOT_RUN]
    tried = rows_of(folder / TRIALS, (TRIAL, "cell_id", "status")) if (folder / TRIALS).is_file() else []
    tags = {"kind": TRIAL, STUDY: str(search.get("name")), OF_SEARCH: str(search.get("identity"))}
    over = (row for row in tried if row["status"] != RUNNING)
    return runs + [_run(tags, f"trial {row[TRIAL]}", row, folder / TRIALS) for row in over]


def name_in(head: Mapping[str, Any], row: Mapping[str, str]) -> str:
    """The name of the cell of a row of runs.csv, by the labels of grid.json."""
    named = []
    for axis in head.get("axes", []):
        if level := row.get(f"{_AXIS}{axis['name']}"):
            labels = {of["name"]: str(of["label"]) for of in axis["levels"]}
            named.append((axis["label"], labels.get(level, level)))
    return cell_name(named)


def cell_run(row: dict[str, str], name: str, folder: Path, study: str = "") -> Tracked:
    """A row of runs.csv as a run of this name, with its sheet of samples; `study` is the search that it confirms."""
    levels = " ".join(f"{key.removeprefix(_AXIS)}={row[key]}" for key in row if key.startswith(_AXIS) and row[key])
    sheets = (folder / "samples" / f"{row['cell_id']}-{row['seed']}.{suffix}" for suffix in ("png", "csv"))
    run = _run({"kind": CELL, "levels": levels, STUDY: study}, name, row, folder / "runs.csv")
    return replace(run, sheet=next(filter(Path.exists, sheets), None))


def _run(tags: dict[str, str], name: str, row: dict[str, str], table: Path) -> Tracked:
    """A row of a table as a run: InputError where one of its metrics is no number."""
    tags = {key: text for key, text in ({"grid": table.parent.name} | tags).items() if text}
    tags |= {key: row[key] for key in TAGS if row.get(key) or (key in FIXED and key in row)}
    choices = {key: row[key] for key in row if row[key] and key not in TAGS and not re.search(r"/|^param\.", key)}
    try:
        ends = {(key, 0): float(value) for key, value in row.items() if "/" in key and value}
    except ValueError as error:
        raise InputError(f"{table} holds a metric that is no number: {error}") from error
    return Tracked({key: text[:LONGEST] for key, text in tags.items()}, {"cell": name} | choices, ends)
