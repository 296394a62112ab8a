"""The files of results/<grid>/ as the runs that a tracking store gets: cells, the autoencoders that they share, and the
trials of a search."""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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

CELL = "cell"
"""The kind of a run that is a cell at a seed."""
TAGS = (*FIXED, TRACEBACK, *LATENT, *VERSIONS, TRIAL)
"""The columns of tables that become tags of a run, and not parameters."""
LONGEST = 5000
"""The most characters of a tag in MLflow."""
RUNNING, INTERRUPTED = "running", "interrupted"
"""The statuses of a run that is under way, and of one that was stopped."""
STUDY, OF_SEARCH = "study", "search"
"""The tags with a search's name and identity."""
TOOK = ("cost/seconds", "cost/train_seconds", "cost/autoencoder_seconds")
"""The metrics with the seconds of a trial, of a cell's training, and of an autoencoder's."""
_AXIS = "axis."

Key = tuple[str, str]
Points = list[tuple[str, float, float]]
"""Points of curves over steps: the name of the curve, the step, and the value."""


@dataclass(frozen=True)
class Tracked:
    """A row of a results folder with its curves, ready to be logged. A metric that was scored during trainings too
    (`lines`, of any run of the folder) is a line over steps that ends at the last; all others are at step 0, since
    MLflow draws bars of these alone."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    curves: Points = field(default_factory=list)
    sheet: Path | None = None
    lines: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        """The key that identifies a run in its experiment."""
        tags = self.tags
        return (tags[OF_SEARCH], tags[TRIAL]) if TRIAL in tags else (tags["cell_id"], tags["seed"])

    @property
    def name(self) -> str:
        """Its name in the UI's list."""
        return self.params["cell"] + ("" if TRIAL in self.tags else f" · seed {self.tags['seed']}")

    @property
    def content(self) -> str:
        """A digest of everything that is logged."""
        text = json.dumps([self.tags, self.params, self.metrics, self.curves, sorted(self.lines & self.metrics.keys())])
        return hashlib.sha256(text.encode() + (self.sheet.read_bytes() if self.sheet else b"")).hexdigest()[:16]

    @property
    def milliseconds(self) -> int:
        """The time of its training, 1 where no metric has it; for a trial that of everything."""
        took = (self.metrics[name] for name in TOOK if name in self.metrics)
        return 1 + round(1000 * next((seconds for seconds in took if math.isfinite(seconds)), 0.0))

    @property
    def last_step(self) -> int:
        """The step at which its training ended, 0 where that is not known."""
        return int(max((step for _, step, _ in self.curves), default=0.0))

    @property
    def ends(self) -> Points:
        """The numbers of the whole run, each at its step."""
        numbers = ((name, value) for name, value in self.metrics.items() if not name.startswith(OVER_STEPS))
        return [(name, self.last_step if name in self.lines else 0, value) for name, value in numbers]


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
    runs += [autoencoder_run(row, folder) for row in _rows_if_there(folder / autoencoders.TABLE, FIXED[:1] + FIXED[2:])]
    curves = _curves_in(folder, search.get("seeds", []))
    made = [
        replace(run, curves=curves[run.tags["kind"] == TRIAL, run.tags["cell_id"], run.tags["seed"]]) for run in runs
    ]
    lines = frozenset(name.removeprefix(RUNG) for run in made for name, *_ in run.curves if name.startswith(RUNG))
    return [replace(run, lines=lines) for run in made if run.tags["reason"] != NOT_RUN]


def _curves_in(folder: Path, seeds: Sequence[int]) -> dict[tuple[bool, str, str], Points]:
    """The points over steps of each run, by (of a trial, cell_id, seed). A trial is trained at all `seeds` of a search:
    the first one's curves keep their names."""
    every, found = read_curves(folder), defaultdict[tuple[bool, str, str], Points](list)
    for cell_id, seed, name, x, y in every[every["curve"].str.startswith(OVER_STEPS)].itertuples(
        index=False, name=None
    ):
        found[False, cell_id, str(seed)].append((name, x, y))
        if seed in seeds:
            own = name if seed == seeds[0] else f"{name} seed {seed}"
            found[True, cell_id, str(seeds[0])].append((own, x, y))
    return found


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
    levels = [f"{key.removeprefix(_AXIS)}={level}" for key, level in row.items() if key.startswith(_AXIS) and level]
    more = ({"levels": " ".join(levels)[:LONGEST]} if levels else {}) | ({STUDY: study} if study else {})
    sheets = [folder / "samples" / f"{row['cell_id']}-{row['seed']}.{suffix}" for suffix in ("png", "csv")]
    return _run(CELL, name, row, folder / "runs.csv", more, *sheets)


def trial_run(row: dict[str, str], search: Mapping[str, Any], folder: Path) -> Tracked:
    """A trial's row of trials.csv, of the `search` of grid.json, as a run that the UI lists as "trial 17"."""
    of = {STUDY: str(search["name"]), OF_SEARCH: str(search["identity"])}
    return _run(TRIAL, f"trial {row[TRIAL]}", row, folder / TRIALS, of)


def autoencoder_run(row: dict[str, str], folder: Path) -> Tracked:
    """A row of autoencoders.csv as a run that the UI's charts group as "autoencoder kl f=2 c=4"."""
    name = f"autoencoder {row['space.regularization']} f={row['space.f']} c={row['space.channels']}"
    return _run(
        "autoencoder",
        name,
        row,
        folder / autoencoders.TABLE,
        {},
        folder / autoencoders.FOLDER / f"{row['cell_id']}.png",
    )


def _run(kind: str, name: str, row: dict[str, str], table: Path, more: dict[str, str], *sheets: Path) -> Tracked:
    """A row of a table as a run of a kind, with the first of these sheets that exists: text becomes tags and choices
    parameters, and numbers become metrics. InputError where one is no number."""
    tags = {
        "kind": kind,
        "grid": table.parent.name,
        **origin(row.get("code", ""), search=kind == TRIAL or STUDY in more),
    }
    tags |= {key: row[key][:LONGEST] for key in TAGS if row.get(key) or (key in FIXED and key in row)} | more
    choices = {key: value for key, value in row.items() if value and not re.search(r"/|^param\.", key)}
    params = {"cell": name} | {key: value for key, value in choices.items() if key not in TAGS}
    try:
        metrics = {key: float(value) for key, value in row.items() if "/" in key and value}
    except ValueError as error:
        raise InputError(f"{table} holds a metric that is no number: {error}") from error
    return Tracked(tags, params, metrics, sheet=next((sheet for sheet in sheets if sheet.exists()), None))


def origin(code: str, *, search: bool) -> dict[str, str]:
    """The tags of a run's origin that MLflow documents: the command, and the commit of the code that made it."""
    commit = re.search(r"\+([0-9a-f]{7,40})", code)
    tags = {"mlflow.source.name": "ablations.search" if search else "ablations.run", "mlflow.source.type": "LOCAL"}
    return tags | ({"mlflow.source.git.commit": commit[1]} if commit else {})


def user() -> dict[str, str]:
    """The tag of the present user; none where that user has no name, as in a container."""
    with suppress(KeyError, OSError, ImportError):
        return {"mlflow.user": getpass.getuser()}
    return {}
