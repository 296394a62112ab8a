"""A results folder or a tracking store → the same tidy frames.

    runs    a row per cell and seed: cell_id, training_id, seed, status, reason, notes, axis.*, parameters, metrics
    curves  cell_id, seed, curve, x, y

Both are put into one canonical order (rows by the axes' levels and seed; columns by kind and name), so that frames
from either source are equal. Names of metrics hold a "/"; what is a curve over training steps is left to the curves, of
which it is the last point.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.errors import InputError, unknown
from analysis.meta import Axis, Meta, parse_meta

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FIXED = ("cell_id", "training_id", "seed", "status", "reason")
# What a reader must know of a finished run, a line each. Most sources have none, and no such column.
NOTES = "notes"
OVER_STEPS = ("train/", "schedule/", "timesteps/")
"""How the names of curves over training steps begin."""
CURVES = ("cell_id", "seed", "curve", "x", "y")
STATUSES = ("finished", "diverged", "incompatible", "pruned", "interrupted", "failed")
# A tracking store's runs also carry their cell in words, for its user interface.
CELL_IN_WORDS = "cell"
# Longer texts are cut by tracking stores, so they are cut in either source.
LONGEST = 5000


@dataclass(frozen=True, eq=False)
class Grid:
    """What a grid found. `samples` is the folder of its sample sheets; curves are read when first asked for."""

    meta: Meta
    runs: pd.DataFrame
    samples: Path | None
    load_curves: Callable[[], pd.DataFrame]
    load_images: Callable[[], pd.DataFrame] = pd.DataFrame

    @cached_property
    def images(self) -> pd.DataFrame:
        """(cell_id, seed, metric) × held-out image; empty where values per image are not known."""
        return self.load_images()

    @cached_property
    def curves(self) -> pd.DataFrame:
        """(cell_id, seed, curve, x, y) in the order of the runs."""
        return ordered_curves(self.load_curves(), self.runs)


def read_folder(path: Path | str) -> Grid:
    """The grid of `results/<grid>/`; InputError where it is missing or corrupt."""
    folder = Path(path)
    head = folder / "grid.json"
    if not head.is_file():
        raise _no_grid(folder)
    meta = parse_meta(head.read_bytes(), str(head))
    source = folder / "runs.csv"
    texts = read_csv(source, FIXED)
    samples = folder / "samples"
    return Grid(
        meta,
        tidy_runs(texts, meta, str(source)),
        samples if samples.is_dir() else None,
        lambda: _read_curves(folder / "curves.csv"),
    )


def read_store(uri: str, name: str) -> Grid:
    """The grid whose experiment is `name` in the tracking store at `uri`; InputError where there is none."""
    client, experiments = _open(uri)
    if name not in experiments:
        raise unknown(f"grid in {uri}", name, experiments)
    found = _search(client, experiments[name], "tags.kind = 'summary'")
    if not found:
        raise InputError(
            f"grid {name!r} in {uri} has no summary run with its grid.json: run `python -m ablations.publish`"
        )
    meta = parse_meta(_artifact(client, found[0], "grid.json").read_bytes(), f"grid.json of {name} in {uri}")
    kept = [run for run in _search(client, experiments[name], "tags.kind = 'cell'") if _belongs(run, meta)]
    texts = pd.DataFrame([_row(run) for run in kept]).reindex(columns=_columns(kept)).fillna("").astype(str)
    return Grid(meta, tidy_runs(texts, meta, uri), None, lambda: _stored_curves(client, kept))


def tidy_runs(texts: pd.DataFrame, meta: Meta, source: str) -> pd.DataFrame:
    """runs from their texts, in canonical order; InputError where a row cannot be of this grid."""
    texts = texts if NOTES in texts else texts.assign(**{NOTES: ""})
    names = [column for column in texts.columns if column not in (*FIXED, NOTES, CELL_IN_WORDS)]
    axes = [f"axis.{axis.name}" for axis in meta.axes]
    for column in axes:
        if column not in names:
            raise InputError(f"{source} lacks the column {column!r} of the axis in grid.json: run the grid again")
    filled = [name for name in names if (texts[name] != "").any()]
    metrics = sorted(name for name in filled if "/" in name and not name.startswith(OVER_STEPS))
    parameters = sorted(name for name in filled if "/" not in name and not name.startswith("axis."))
    runs = texts[[*FIXED, NOTES, *axes, *parameters, *metrics]].copy()
    for name in ("reason", NOTES):
        runs[name] = runs[name].str.slice(0, LONGEST)
    runs["seed"] = _seeds(runs["seed"], source)
    for name in metrics:
        runs[name] = _numbers(runs[name], name, source)
    _check(runs, axes, source)
    return _sorted(runs, meta.axes)


def ordered_curves(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Curves of these runs in their order, each by x."""
    order = {key: i for i, key in enumerate(zip(runs["cell_id"], runs["seed"], strict=True))}
    position = [order.get(key, -1) for key in zip(curves["cell_id"], curves["seed"], strict=True)]
    placed = curves.assign(position=position)
    placed = placed[placed["position"] >= 0].sort_values(["position", "curve", "x"], kind="stable")
    return placed[list(CURVES)].reset_index(drop=True)


def _sorted(runs: pd.DataFrame, axes: Sequence[Axis]) -> pd.DataFrame:
    keys = {str(i): runs[f"axis.{axis.name}"].map(axis.position) for i, axis in enumerate(axes)}
    order = pd.DataFrame({**keys, "cell_id": runs["cell_id"], "seed": runs["seed"]})
    return runs.loc[order.sort_values(list(order.columns), kind="stable").index].reset_index(drop=True)


def _check(runs: pd.DataFrame, axes: list[str], source: str) -> None:
    """Every status is known, and a place in the grid and a seed have one row."""
    strange = sorted(set(runs["status"]) - set(STATUSES))
    if strange:
        raise InputError(f"{source} holds the status {strange[0]!r}: expected one of {', '.join(STATUSES)}")
    twice = runs[runs.duplicated([*axes, "seed"], keep=False)]
    if len(twice):
        ids = sorted(set(twice["cell_id"]))
        place = ", ".join(f"{axis.removeprefix('axis.')}={twice.iloc[0][axis]}" for axis in axes) or "the cell"
        raise InputError(
            f"{source} holds {place} at seed {twice.iloc[0]['seed']} more than once (cell_id {', '.join(ids)}): "
            "runs of different choices or versions are not mixed; keep one and remove the other"
        )


def _numbers(values: pd.Series[Any], name: str, source: str) -> pd.Series[Any]:
    """float64, empty as nan. Python's float() reads back exactly what was written; pandas' fast parser may not."""
    try:
        return pd.Series([float(value) if value else np.nan for value in values], index=values.index, dtype="float64")
    except ValueError as error:
        raise InputError(
            f"{source}: the column {name!r} holds {str(error).split(': ')[-1]} where a number is due"
        ) from error


def _seeds(values: pd.Series[Any], source: str) -> pd.Series[Any]:
    """int64; InputError where one is no whole number."""
    try:
        return pd.Series([int(value) for value in values], index=values.index, dtype="int64")
    except ValueError as error:
        given = str(error).split(": ")[-1]
        raise InputError(f"{source}: the column 'seed' holds {given} where a whole number is due") from error


def read_csv(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """A CSV file as text; InputError where it is missing, unreadable, or lacks columns."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run the grid again, its finished stages are not repeated")
    try:
        texts = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a CSV file ({reason}): run the grid again") from error
    texts = texts.fillna("")
    missing = [name for name in needed if name not in texts.columns]
    if missing:
        raise InputError(f"{path} lacks the column(s) {', '.join(missing)}: expected at least {', '.join(needed)}")
    return texts


def _read_curves(path: Path) -> pd.DataFrame:
    texts = read_csv(path, CURVES)
    numbers = {name: _numbers(texts[name], name, str(path)) for name in ("x", "y")}
    return texts.assign(seed=_seeds(texts["seed"], str(path)), **numbers)[list(CURVES)]


def _no_grid(folder: Path) -> InputError:
    others = sorted(path.parent.name for path in folder.parent.glob("*/grid.json"))
    hint = unknown(f"grid in {folder.parent}", folder.name, others)
    return InputError(f"{hint} ({folder / 'grid.json'} is missing; `python -m ablations.run grid=NAME` runs a grid)")


def _open(uri: str) -> tuple[MlflowClient, dict[str, str]]:
    """The client, and experiment name → id. A missing sqlite file is refused, since opening it would create one."""
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.is_file():
        raise InputError(f"the tracking store {uri} does not exist: there is no file {path}")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = MlflowClient(tracking_uri=uri)
        return client, {found.name: found.experiment_id for found in client.search_experiments()}
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"the tracking store {uri} cannot be read: {reason}") from error


def _search(client: MlflowClient, experiment: str, query: str) -> list[Run]:
    """Every run of an experiment that fits, the newest first."""
    runs: list[Run] = []
    token: str | None = None
    while token is None or token:
        page = client.search_runs([experiment], query, max_results=1000, page_token=token)
        runs.extend(page)
        token = page.token or ""
    return runs


def _belongs(run: Run, meta: Meta) -> bool:
    """Whether a run is of the cells and seeds that grid.json lists: an experiment also keeps what came before."""
    tags: Mapping[str, str] = run.data.tags
    return (not meta.cells or tags.get("cell_id") in meta.cells) and int(tags.get("seed", -1)) in meta.seeds


def _row(run: Run) -> dict[str, str]:
    # A store keeps ±inf as the largest float.
    metrics = {
        key: value if abs(value) < 1.797e308 else np.copysign(np.inf, value) for key, value in run.data.metrics.items()
    }
    tags = {name: run.data.tags.get(name, "") for name in FIXED}
    return {**tags, **run.data.params, **{key: repr(float(value)) for key, value in metrics.items()}}


def _columns(runs: list[Run]) -> list[str]:
    return [*FIXED, *sorted({name for run in runs for name in _row(run)} - set(FIXED))]


def _artifact(client: MlflowClient, run: Run, name: str) -> Path:
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run.info.run_id, name))
    except (MlflowException, OSError) as error:
        raise InputError(
            f"run {run.info.run_id} lacks its artifact {name}: run `python -m ablations.publish`"
        ) from error


def _stored_curves(client: MlflowClient, runs: list[Run]) -> pd.DataFrame:
    frames = []
    for run in runs:
        path = _artifact(client, run, "curves.csv")
        frame = read_csv(path, ("curve", "x", "y"))
        for name in ("x", "y"):
            frame[name] = _numbers(frame[name], name, str(path))
        tags = run.data.tags
        frames.append(frame.assign(cell_id=tags["cell_id"], seed=int(tags["seed"]))[list(CURVES)])
    empty = pd.DataFrame(
        {name: pd.Series(dtype="str" if name in ("cell_id", "curve") else "float64") for name in CURVES}
    )
    return pd.concat(frames, ignore_index=True) if frames else empty
