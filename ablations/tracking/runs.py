"""The files of results/<grid>/ as the runs that a tracking store gets: cells, the autoencoders that they share, and the
trials of a search.

A metric that was scored during trainings too (rung/nll/val) is a line over steps under its own name, which ends at the
last step with the final value; all other final values are at step 0, since MLflow draws bars of these alone.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.results import autoencoders
from ablations.results.csv_text import rows_of
from ablations.results.records import NOT_RUN
from analysis.errors import InputError
from analysis.files import read_json
from analysis.frames import check_curves, read_curves
from analysis.labels import cell_name
from analysis.schema import FIXED, LATENT, OVER_STEPS, RUNG, SEARCH, TRACEBACK, TRIAL, TRIALS, VERSIONS

TAGS = (*FIXED, TRACEBACK, *LATENT, *VERSIONS, TRIAL)
"""The columns of tables that become tags of a run, and not parameters."""
LONGEST = 5000
"""The most characters of a tag in MLflow."""
CELL, RUNNING, INTERRUPTED = "cell", "running", "interrupted"
"""The kind of a run that is a cell at a seed; the statuses of one that is under way, and of one that was stopped."""
STUDY, OF_SEARCH = "study", "search"
"""The tags with a search's name and identity."""
TOOK = ("cost/seconds", "cost/train_seconds", "cost/autoencoder_seconds")
"""The metrics with the seconds of a trial, of a cell's training, and of an autoencoder's."""
_AXIS = "axis."
Key = tuple[str, str]
Points = dict[tuple[str, int], float]
"""A metric and a step → its value there."""


@dataclass(frozen=True)
class Tracked:
    """A row of a results folder, ready to be logged: its points over steps, its final values, its sheet of images."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    curves: Points
    ends: Points
    sheet: Path | None = None

    @property
    def name(self) -> str:
        """Its name in the UI's list."""
        return self.params["cell"] + ("" if TRIAL in self.tags else f" · seed {self.tags['seed']}")

    @property
    def content(self) -> str:
        """A digest of everything that is logged."""
        text = repr([self.tags, self.params, self.curves, self.ends])
        return hashlib.sha256(text.encode() + (self.sheet.read_bytes() if self.sheet else b"")).hexdigest()[:16]

    @property
    def seconds(self) -> float:
        """The time that it took, 0 where no metric has it."""
        took = (self.metrics.get(name, math.nan) for name in TOOK)
        return next(filter(math.isfinite, took), 0.0)

    @property
    def last_step(self) -> int:
        """The step at which its training ended, 0 where that is not known."""
        return max((step for _, step in self.curves), default=0)


def key_of(tags: Mapping[str, str]) -> Key:
    """The key that identifies a run in its experiment, by its tags."""
    return (tags[OF_SEARCH], tags[TRIAL]) if TRIAL in tags else (tags["cell_id"], tags["seed"])


def head_in(folder: Path) -> dict[str, Any]:
    """grid.json of a results folder; InputError where there is none."""
    head = read_json(folder / "grid.json")
    if not isinstance(head, dict):
        raise InputError(f"{folder} holds no results (grid.json is missing): run its grid first")
    return head


def tracked_runs(folder: Path) -> list[Tracked]:
    """The cells of a results folder that have run, the finished trials of its search, and its autoencoders; InputError
    where the folder is damaged."""
    head = head_in(folder)
    check_curves(folder, head.get("command"))
    search = head.get(SEARCH, {})
    rows = rows_of(folder / "runs.csv", FIXED) if head.get("cells") or not search else []
    runs = [cell_run(row, name_in(head, row), folder, search.get("name", "")) for row in rows]
    tried = _rows_if_there(folder / TRIALS, (TRIAL, "cell_id", "status"))
    runs += [trial_run(row, search, folder) for row in tried if row["status"] != RUNNING]
    encoders = _rows_if_there(folder / autoencoders.TABLE, ("cell_id", "seed", "status", "reason"))
    runs += [autoencoder_run(row, folder) for row in encoders]
    lines, curves = _curves_in(folder, search.get("seeds", []))
    return [_with_curves(run, lines, curves) for run in runs if run.tags["reason"] != NOT_RUN]


def _curves_in(folder: Path, seeds: Sequence[int]) -> tuple[set[str], Mapping[tuple[bool, str, str], Points]]:
    """The metrics that were scored at rungs, and the points of each run over steps, by (of a trial, cell_id, seed). A
    trial is trained at all `seeds` of a search: the first one's curves keep their names."""
    every, points = read_curves(folder), defaultdict[tuple[bool, str, str], Points](dict)
    over_steps = every[every["curve"].str.startswith(OVER_STEPS)]
    for cell_id, seed, name, x, y in over_steps.itertuples(index=False, name=None):
        points[False, cell_id, str(seed)][name.removeprefix(RUNG), int(x)] = y
        if seed in seeds:
            own = name.removeprefix(RUNG) if seed == seeds[0] else f"{name} seed {seed}"
            points[True, cell_id, str(seeds[0])][own, int(x)] = y
    return {name.removeprefix(RUNG) for name in over_steps["curve"].unique() if name.startswith(RUNG)}, points


def _with_curves(run: Tracked, lines: set[str], curves: Mapping[tuple[bool, str, str], Points]) -> Tracked:
    own = curves[run.tags["kind"] == TRIAL, run.tags["cell_id"], run.tags["seed"]]
    last = max((step for _, step in own), default=0)
    final = {name: value for name, value in run.metrics.items() if not name.startswith(OVER_STEPS)}
    ends = {(name, last if name in lines else 0): value for name, value in final.items()}
    return Tracked(run.tags, run.params, run.metrics, own, ends, run.sheet)


def _rows_if_there(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    return rows_of(path, columns) if path.is_file() else []


def name_in(head: Mapping[str, Any], row: Mapping[str, str]) -> str:
    """The name of the cell of a row of runs.csv, by the labels of grid.json."""
    named = []
    for axis in head.get("axes", []):
        if level := row.get(f"{_AXIS}{axis['name']}"):
            labels = {one["name"]: str(one["label"]) for one in axis["levels"]}
            named.append((axis["label"], labels.get(level, level)))
    return cell_name(named)


def cell_run(row: dict[str, str], name: str, folder: Path, study: str = "") -> Tracked:
    """A row of runs.csv as a run of this name, with its sheet of samples; `study` is the search that it confirms."""
    levels = " ".join(f"{key.removeprefix(_AXIS)}={row[key]}" for key in row if key.startswith(_AXIS) and row[key])
    more = {name: text[:LONGEST] for name, text in (("levels", levels), (STUDY, study)) if text}
    sheets = [folder / "samples" / f"{row['cell_id']}-{row['seed']}.{suffix}" for suffix in ("png", "csv")]
    return _run(CELL, name, row, folder / "runs.csv", more, *sheets)


def trial_run(row: dict[str, str], search: Mapping[str, Any], folder: Path) -> Tracked:
    """A trial's row of trials.csv, of the `search` of grid.json, as a run that the UI lists as "trial 17"."""
    more = {STUDY: str(search["name"]), OF_SEARCH: str(search["identity"])}
    return _run(TRIAL, f"trial {row[TRIAL]}", row, folder / TRIALS, more)


def autoencoder_run(row: dict[str, str], folder: Path) -> Tracked:
    """A row of autoencoders.csv as a run that the UI's charts group as "autoencoder kl f=2 c=4"."""
    name = f"autoencoder {row['space.regularization']} f={row['space.f']} c={row['space.channels']}"
    sheet = folder / autoencoders.FOLDER / f"{row['cell_id']}.png"
    return _run("autoencoder", name, row, folder / autoencoders.TABLE, {}, sheet)


def _run(kind: str, name: str, row: dict[str, str], table: Path, more: dict[str, str], *sheets: Path) -> Tracked:
    """A row of a table as a run of a kind, without curves, with the first of these sheets that exists: text becomes
    tags and choices parameters, and numbers become metrics. InputError where one is no number."""
    tags = {key: row[key][:LONGEST] for key in TAGS if row.get(key) or (key in FIXED and key in row)}
    choices = {key: row[key] for key in row if row[key] and key not in TAGS and not re.search(r"/|^param\.", key)}
    try:
        metrics = {key: float(value) for key, value in row.items() if "/" in key and value}
    except ValueError as error:
        raise InputError(f"{table} holds a metric that is no number: {error}") from error
    sheet = next((sheet for sheet in sheets if sheet.exists()), None)
    return Tracked(
        {"kind": kind, "grid": table.parent.name} | tags | more, {"cell": name} | choices, metrics, {}, {}, sheet
    )
