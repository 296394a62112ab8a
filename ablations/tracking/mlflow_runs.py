"""The files of results/<grid>/ as the runs that a tracking store gets: cells, the autoencoders that they share, and the
trials of a search."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablations.results import autoencoders
from ablations.results.csv_text import rows_of
from ablations.tracking.mlflow_images import RECONSTRUCTIONS, SAMPLES
from ablations.tracking.mlflow_origin import SOURCE, source_of
from analysis.errors import InputError
from analysis.files import read_json
from analysis.frames import check_curves, read_curves
from analysis.labels import cell_name
from analysis.schema import FIXED, LATENT, OVER_STEPS, RUNG, SEARCH, TRACEBACK, TRIAL, TRIALS, VERSIONS

CELL = "cell"
"""The kind of a run that is a cell at a seed."""
REQUEST = "request"
"""The tag that distinguishes the runs of one request from others in the experiment."""
LEVELS = "levels"
"""The tag with a cell's levels, as a command line writes them."""
TAGS = (*FIXED, TRACEBACK, *LATENT, *VERSIONS)
"""The columns of runs.csv that become tags of a run, and not parameters."""
LONGEST = 5000
"""The most characters of a tag in MLflow."""
RUNNING = "running"
"""The status of a run that is under way."""
TOOK = ("cost/seconds", "cost/train_seconds", "cost/autoencoder_seconds")
"""The metrics with the seconds of a trial, of a cell's training, and of an autoencoder's."""
INTERRUPTED = "interrupted"
"""The status of a run that was stopped, and may be taken up again."""
STUDY, OF_SEARCH = "study", "search"
"""The tags with a search's name and identity."""
AUTOENCODER = ("cell_id", "seed", "status", "reason")
"""The columns that every autoencoders.csv has."""

_AXIS = "axis."
"""The beginning of the columns of levels."""

Curve = list[tuple[str, float, float]]
"""Points of curves over steps: the name of the curve, x and y."""
Points = dict[str, list[tuple[float, float]]]
"""The name of a curve → its points (x, y), for a run that is under way."""


@dataclass(frozen=True)
class Tracked:
    """A row of a results folder with its curves, ready to be published; `lines` are the metrics that were scored during
    any training of the folder."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    curves: Curve = field(default_factory=list)
    sheet: Path | None = None
    lines: frozenset[str] = frozenset()

    @property
    def content(self) -> str:
        """A digest of everything that is published."""
        sheet = self.sheet.read_bytes() if self.sheet else b""
        fields: list[Any] = [self.tags, self.params, self.metrics, self.curves]
        # These lie elsewhere than in a folder without rungs; all other runs keep the digest of an earlier version.
        ends = sorted(self.lines & self.metrics.keys() - self.at_rungs)
        fields += [ends] if ends else []
        text = json.dumps(fields, sort_keys=True)
        return hashlib.sha256(text.encode() + sheet).hexdigest()[:16]

    @property
    def seconds(self) -> float:
        """The seconds of its training, 0 where no metric has them; for a trial those of everything."""
        took = (self.metrics[name] for name in TOOK if name in self.metrics)
        return next((seconds for seconds in took if math.isfinite(seconds)), 0.0)

    @property
    def at_rungs(self) -> set[str]:
        """The metrics that were scored during its training."""
        return {name.removeprefix(RUNG) for name, *_ in self.curves if name.startswith(RUNG)}

    @property
    def picture(self) -> str:
        """The kind of pictures on its sheet."""
        return SAMPLES if self.tags["kind"] == CELL else RECONSTRUCTIONS

    @property
    def name(self) -> str:
        """Its name in the UI's list."""
        seed = f" · seed {self.tags['seed']}" if "seed" in self.tags and TRIAL not in self.tags else ""
        return f"{self.params['cell']}{seed}"


def key_of(tags: Mapping[str, str]) -> tuple[str, str]:
    """The key that identifies a run."""
    return (tags.get(OF_SEARCH, TRIAL), tags[TRIAL]) if tags.get(TRIAL) else (tags["cell_id"], tags["seed"])


def of_seed(curve: str, seed: object, seeds: Sequence[object]) -> str:
    """The name of a trial's curve at one of its seeds; the first seed's keeps its name."""
    return curve if str(seed) == str(seeds[0]) else f"{curve} seed {seed}"


def head_in(folder: Path) -> dict[str, Any]:
    """grid.json of a results folder; InputError where there is none."""
    head = read_json(folder / "grid.json")
    if not isinstance(head, dict):
        raise InputError(f"{folder} holds no results (grid.json is missing): run its grid first")
    return head


def request_of(head: dict[str, Any]) -> str:
    """A name for the cells that a grid.json lists, which distinguishes its runs from others in the experiment."""
    return hashlib.sha256(json.dumps(sorted(head.get("cells", {}))).encode()).hexdigest()[:12]


def round_of(head: dict[str, Any]) -> str:
    """The round of a grid.json, in words; "" without one."""
    this = head.get("round")
    return f"{this['number']} of {this['of']}{', preliminary' * this['preliminary']}" if this else ""


def study_in(head: Mapping[str, Any]) -> str:
    """The name of the search in a grid.json; "" without one."""
    return str(head[SEARCH]["name"]) if SEARCH in head else ""


def tracked_runs(folder: Path) -> list[Tracked]:
    """The cells of a results folder, and the finished trials of its search; InputError where the folder is damaged."""
    head = head_in(folder)
    check_curves(folder, head.get("command"))
    rows = (_rows_if_there if SEARCH in head else rows_of)(folder / "runs.csv", FIXED)
    request, study = request_of(head), study_in(head)
    curves = _curves_in(folder)
    tried = _rows_if_there(folder / TRIALS, (TRIAL, "cell_id", "status"))
    trials = [row for row in tried if row["status"] != RUNNING]
    found = [cell_run(row, name_in(head, row), request, folder, study) for row in rows]
    return [
        *(replace(run, curves=curves[key_of(run.tags)]) for run in found),
        *(_trials(trials, head[SEARCH], folder, curves) if trials else []),
    ]


def _trials(
    rows: list[dict[str, str]], search: Mapping[str, Any], folder: Path, curves: Mapping[tuple[str, str], Curve]
) -> list[Tracked]:
    """The trials of a search, each with its curves at all of its seeds; `search` is its entry of grid.json."""
    seeds, name, identity = search["seeds"], str(search["name"]), str(search["identity"])

    def lines(cell: str) -> Curve:
        each = ((seed, *point) for seed in seeds for point in curves[cell, str(seed)])
        return [(of_seed(curve, seed, seeds), x, y) for seed, curve, x, y in each]

    return [trial_run(row, lines(row["cell_id"]), name, identity, folder) for row in rows]


def tracked_autoencoders(folder: Path) -> list[Tracked]:
    """The autoencoders of a results folder, none where its cells diffuse in pixels."""
    runs = [autoencoder_run(row, folder) for row in _rows_if_there(folder / autoencoders.TABLE, AUTOENCODER)]
    curves = _curves_in(folder) if runs else {}
    return [replace(run, curves=curves[key_of(run.tags)]) for run in runs]


def _curves_in(folder: Path) -> dict[tuple[str, str], Curve]:
    """The points over steps of each run of a results folder, by (cell_id, seed)."""
    every, found = read_curves(folder), defaultdict[tuple[str, str], Curve](list)
    over_steps = every[every["curve"].str.startswith(OVER_STEPS)]
    for cell_id, seed, *point in over_steps.itertuples(index=False, name=None):
        found[str(cell_id), str(seed)].append((point[0], point[1], point[2]))
    return found


def _rows_if_there(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    return rows_of(path, columns) if path.is_file() else []


def name_in(head: Mapping[str, Any], row: Mapping[str, str]) -> str:
    """The name of the cell of a row of runs.csv, by the labels of grid.json."""
    levels = ((axis, row.get(f"{_AXIS}{axis['name']}", "")) for axis in head.get("axes", []))
    return cell_name((axis["label"], _label_of(axis, level)) for axis, level in levels if level)


def _label_of(axis: Mapping[str, Any], name: str) -> str:
    """The label of a level of an axis of grid.json; the level's name where the axis does not list it."""
    return next((str(level["label"]) for level in axis["levels"] if level["name"] == name), name)


def cell_run(row: dict[str, str], name: str, request: str, folder: Path, study: str = "") -> Tracked:
    """A row of runs.csv as a run of this name, with its sheet of samples; `study` is the search that it confirms."""
    levels = [f"{key.removeprefix(_AXIS)}={level}" for key, level in row.items() if key.startswith(_AXIS) and level]
    more = (
        {REQUEST: request}
        | ({STUDY: study, SOURCE: "ablations.search"} if study else {})
        | ({LEVELS: " ".join(levels)[:LONGEST]} if levels else {})
    )
    sheets = [folder / "samples" / f"{row['cell_id']}-{row['seed']}.{suffix}" for suffix in ("png", "csv")]
    return Tracked(
        _tags(CELL, folder, row, TAGS) | more,
        _params(name, row, TAGS),
        metrics_of(row, folder / "runs.csv"),
        sheet=next((sheet for sheet in sheets if sheet.exists()), None),
    )


def trial_run(row: dict[str, str], curves: Curve, study: str, identity: str, folder: Path) -> Tracked:
    """A trial's row of trials.csv as a run that the UI lists as "trial 17"."""
    return Tracked(
        _tags(TRIAL, folder, row, (*FIXED, TRIAL)) | {STUDY: study, OF_SEARCH: identity},
        _params(f"trial {row[TRIAL]}", row, (*TAGS, TRIAL)),
        metrics_of(row, folder / TRIALS),
        curves,
    )


def autoencoder_run(row: dict[str, str], folder: Path) -> Tracked:
    """A row of autoencoders.csv as a run that the UI's charts group as "autoencoder kl f=2 c=4"."""
    words = f"autoencoder {row['space.regularization']} f={row['space.f']} c={row['space.channels']}"
    own, sheet = (*AUTOENCODER, "code"), folder / autoencoders.FOLDER / f"{row['cell_id']}.png"
    return Tracked(
        _tags("autoencoder", folder, row, own),
        _params(words, row, own),
        metrics_of(row, folder / autoencoders.TABLE),
        sheet=sheet if sheet.exists() else None,
    )


def _tags(kind: str, folder: Path, row: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """The tags of a run of a kind: its folder's name, the text in these columns of its row, and its origin."""
    source = source_of("ablations.search" if kind == TRIAL else "ablations.run", row.get("code", ""))
    words = {name: row[name][:LONGEST] for name in columns if name in row and (row[name] or name in FIXED)}
    return {"kind": kind, "grid": folder.name, **source, **words}


def _params(cell: str, row: Mapping[str, str], others: Sequence[str]) -> dict[str, str]:
    """The parameters of a run: how the UI groups it, and every choice, which are all columns but these others."""
    choices = {key: value for key, value in row.items() if key not in others and not re.search(r"/|^param\.", key)}
    return {"cell": cell, **{key: value for key, value in choices.items() if value}}


def metrics_of(row: Mapping[str, str], source: Path) -> dict[str, float]:
    """The columns of a row whose name holds a "/"; InputError where one is no number."""
    try:
        return {key: float(value) for key, value in row.items() if "/" in key and value}
    except ValueError as error:
        raise InputError(f"{source} holds a metric that is no number: {error}") from error
