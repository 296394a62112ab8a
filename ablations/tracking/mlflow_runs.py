"""The files of results/<grid>/ as the runs that a tracking store gets: cells, the autoencoders that they share, and the
trials of a search."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablations.results import autoencoders
from ablations.results.csv_text import csv_text, rows_of
from analysis.format.errors import InputError
from analysis.format.files import read_json
from analysis.format.names import (
    FIXED,
    KEYS,
    LATENT,
    OVER_STEPS,
    SEARCH,
    TRACEBACK,
    TRIAL,
    VERSIONS,
)

CELL = "cell"
"""The kind of a run that is a cell at a seed."""
REQUEST = "request"
"""The tag by which the runs of one request are told from what an experiment holds beside them."""
IMAGES = "images"
"""The tag of a run that holds images.csv: how many images."""
TAGS = (*FIXED, TRACEBACK, *LATENT, *VERSIONS)
"""The columns of runs.csv that are tags of a run, and not parameters."""
LONGEST = 5000
"""Characters of a tag: MLflow takes no more."""
RUNNING = "running"
"""The status of a run that is under way."""
REPORTED = "reported"
"""The tag of a run that is not over: how far each of its curves is there, as JSON."""
STUDY, OF_SEARCH = "study", "search"
"""The tags of a search's name and identity."""
AUTOENCODER = ("cell_id", "seed", "status", "reason")
"""What every row of autoencoders.csv has."""

Curve = list[dict[str, str]]
Points = dict[str, list[tuple[float, float]]]
"""The name of a curve → its points (x, y), of a run that is under way."""


@dataclass(frozen=True)
class Tracked:
    """A row of a results folder with its curves, ready to be published."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    curves: Curve
    images: str
    sheet: Path | None

    @property
    def content(self) -> str:
        """A digest of all that is published."""
        sheet = self.sheet.read_bytes() if self.sheet else b""
        text = json.dumps([self.tags, self.params, self.metrics, self.curves], sort_keys=True) + self.images
        return hashlib.sha256(text.encode() + sheet).hexdigest()[:16]


@dataclass(frozen=True)
class Known:
    """A run that a store has: the digest of its content, "" until it has all of it; how far its curves have been
    reported, None of one that is over; and when it began, in seconds."""

    run_id: str
    content: str
    reported: dict[str, float] | None
    began: float

    @staticmethod
    def of(run_id: str, tags: Mapping[str, str], began: int) -> Known:
        """What its tags say of a run that began at so many milliseconds."""
        reported = tags.get(REPORTED)
        known = None if reported is None else json.loads(reported)
        return Known(run_id, tags.get("content", ""), known, began / 1000)


def key_of(tags: Mapping[str, str]) -> tuple[str, str]:
    """What a run is known by."""
    return (tags.get(OF_SEARCH, TRIAL), tags[TRIAL]) if TRIAL in tags else (tags["cell_id"], tags["seed"])


def last_of(curves: Curve, before: Mapping[str, float]) -> dict[str, float]:
    """How far each curve over steps is there, where it went so far before."""
    found = dict(before)
    for line in curves:
        if line["curve"].startswith(OVER_STEPS):
            found[line["curve"]] = max(found.get(line["curve"], -1.0), float(line["x"]))
    return found


def of_seed(curve: str, seed: object, seeds: Sequence[object]) -> str:
    """What a curve of a trial at one of its seeds is called: the first seed's has its own name."""
    return curve if str(seed) == str(seeds[0]) else f"{curve} seed {seed}"


def name_of(run: Tracked) -> str:
    """What the UI lists it as; a trial is of all seeds of its search."""
    seed = f" · seed {run.tags['seed']}" if "seed" in run.tags and TRIAL not in run.tags else ""
    return f"{run.params['cell']}{seed}"


def head_in(folder: Path) -> dict[str, Any]:
    """grid.json of a results folder; InputError where there is none."""
    head = read_json(folder / "grid.json")
    if not isinstance(head, dict):
        raise InputError(f"{folder} holds no results (grid.json is missing): run its grid first")
    return head


def request_of(head: dict[str, Any]) -> str:
    """A name for the cells that a grid.json lists, by which its runs are told from others of the experiment."""
    return hashlib.sha256(json.dumps(sorted(head.get("cells", {}))).encode()).hexdigest()[:12]


def round_of(head: dict[str, Any]) -> str:
    """Which round a grid.json speaks of, in words; "" where it speaks of none."""
    this = head.get("round")
    if not this:
        return ""
    return f"{this['number']} of {this['of']}{', preliminary' * this['preliminary']}"


def study_in(head: Mapping[str, Any]) -> str:
    """The name of the search that a grid.json speaks of; "" where it speaks of none."""
    return str(head[SEARCH]["name"]) if SEARCH in head else ""


def tracked_runs(folder: Path) -> list[Tracked]:
    """The cells of a results folder, and the trials of its search that are over; InputError where it is damaged."""
    head = head_in(folder)
    curves, images = curves_by_run(folder), images_by_run(folder / "images.csv")
    request, study = request_of(head), study_in(head)
    runs = []
    for row in rows_of(folder / "runs.csv", FIXED):
        if not row.get(TRIAL):
            key = key_of(row)
            runs.append(cell_run(row, curves[key], images.get(key, ""), request, folder, study))
        elif row["status"] != RUNNING:
            seeds = [str(seed) for seed in head[SEARCH]["seeds"]]
            lines = [
                line | {"curve": of_seed(line["curve"], seed, seeds)}
                for seed in seeds
                for line in curves[row["cell_id"], seed]
            ]
            runs.append(trial_run(row, lines, study, str(head[SEARCH]["identity"]), folder))
    return runs


def tracked_autoencoders(folder: Path) -> list[Tracked]:
    """The autoencoders of a results folder, none where its cells diffuse in pixels."""
    path = folder / autoencoders.TABLE
    curves = curves_by_run(folder) if path.is_file() else {}
    rows = rows_of(path, AUTOENCODER) if path.is_file() else []
    return [autoencoder_run(row, curves[key_of(row)], folder) for row in rows]


def curves_by_run(folder: Path) -> dict[tuple[str, str], Curve]:
    """(cell_id, seed) → the points of its curves."""
    found: dict[tuple[str, str], Curve] = defaultdict(list)
    for line in rows_of(folder / "curves.csv", ("cell_id", "seed", "curve", "x", "y")):
        found[line["cell_id"], line["seed"]].append(line)
    return found


def images_by_run(path: Path) -> dict[tuple[str, str], str]:
    """(cell_id, seed) → the run's own images.csv: metric, 0, 1, …; nothing where results are older than the file."""
    if not path.is_file():
        return {}
    found: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows_of(path, KEYS):
        found[row.pop("cell_id"), row.pop("seed")].append(row)
    return {key: csv_text(list(rows[0]), rows) for key, rows in found.items()}


def metrics_of(row: Mapping[str, str], source: Path) -> dict[str, float]:
    """The columns of a row that hold a "/"; InputError where one is no number."""
    try:
        return {key: float(value) for key, value in row.items() if "/" in key and value}
    except ValueError as error:
        raise InputError(f"{source} holds a metric that is no number: {error}") from error


def cell_run(row: dict[str, str], curves: Curve, images: str, request: str, folder: Path, study: str = "") -> Tracked:
    """A row of runs.csv as a run, with what belongs to it of the other files; `study` is what it confirms."""
    levels = [value for key, value in row.items() if key.startswith("axis.") and value]
    more = {
        REQUEST: request,
        **({STUDY: study} if study else {}),
        **{name: row[name][:LONGEST] for name in (TRACEBACK, *LATENT, *VERSIONS) if row.get(name)},
        **({IMAGES: str(len(images.splitlines()) - 1)} if images else {}),
    }
    sheets = [folder / "samples" / f"{row['cell_id']}-{row['seed']}.{suffix}" for suffix in ("png", "csv")]
    run = _run(CELL, row, more, " · ".join(levels) or "baseline", curves, folder)
    return replace(run, images=images, sheet=next((sheet for sheet in sheets if sheet.exists()), None))


def trial_run(row: dict[str, str], curves: Curve, study: str, identity: str, folder: Path) -> Tracked:
    """A trial's row of runs.csv as a run that the UI lists as "trial 17"."""
    more = {STUDY: study, OF_SEARCH: identity, TRIAL: row[TRIAL]}
    return _run(TRIAL, row, more, f"trial {row[TRIAL]}", curves, folder)


def _run(kind: str, row: dict[str, str], tags: dict[str, str], name: str, curves: Curve, folder: Path) -> Tracked:
    """A row of runs.csv as a run of this kind, with every choice as a parameter."""
    apart = (*TAGS, TRIAL)
    choices = {key: value for key, value in row.items() if value and key not in apart and "/" not in key}
    return Tracked(
        tags={"kind": kind, "grid": folder.name} | tags | {name: row[name][:LONGEST] for name in FIXED},
        params={"cell": name} | {key: value for key, value in choices.items() if not key.startswith("param.")},
        metrics=metrics_of(row, folder / "runs.csv"),
        curves=curves,
        images="",
        sheet=None,
    )


def autoencoder_run(row: dict[str, str], curves: Curve, folder: Path) -> Tracked:
    """A row of autoencoders.csv as a run that the UI's charts group as "autoencoder kl f=2 c=4"."""
    params = {
        key: value for key, value in row.items() if key not in (*AUTOENCODER, "code") and "/" not in key and value
    }
    words = f"autoencoder {row['space.regularization']} f={row['space.f']} c={row['space.channels']}"
    sheet = folder / autoencoders.FOLDER / f"{row['cell_id']}.png"
    return Tracked(
        tags={
            "kind": "autoencoder",
            "grid": folder.name,
            **{name: row[name][:LONGEST] for name in (*AUTOENCODER, "code") if row[name]},
        },
        params={"cell": words, **params},
        metrics=metrics_of(row, folder / autoencoders.TABLE),
        curves=curves,
        images="",
        sheet=sheet if sheet.exists() else None,
    )
