"""MLflow: the runs of results/<grid>/ as flat runs, to browse. Only the driver writes here, and only from those files.

An experiment is a grid; a run is a cell at a seed, with every choice as a parameter, every metric, the training curves
over steps, what each test image costs, its sample sheet, and tags by which the UI groups and readers pick. One summary
run carries all other files of the folder: tables, figures, report. A run is known by (cell_id, seed) and by a digest of
its content, so publishing can be repeated: what is there is left, what is stale is replaced. The experiment also stores
the view that the printed link opens: the grid's metrics charted, grouped by cell, that is by the levels of its axes,
with means over seeds. Where all of it is stands in the folder's tracking.json.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from ablations.journal import read_json, write_json
from ablations.records import NOT_RUN
from analysis.errors import InputError
from analysis.frames.csv_files import read_csv
from analysis.frames.images import KEYS
from analysis.frames.links import page, to_json, tracking_of
from analysis.frames.runs import FIXED, LONGEST, OVER_STEPS, VERSIONS
from analysis.frames.store import IMAGES, REQUEST, TAGS

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "mlflow.sharedViewState.grid"
BATCH = 1000


class TrackingError(Exception):
    """The tracking store cannot be reached or does not answer; results are safe in their files."""


@dataclass(frozen=True)
class Tracked:
    """A row of runs.csv with its curves, ready to be published."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    curves: list[dict[str, str]]
    images: str
    sheet: Path | None

    @property
    def content(self) -> str:
        """A digest of all that is published."""
        sheet = self.sheet.read_bytes() if self.sheet else b""
        text = json.dumps([self.tags, self.params, self.metrics, self.curves], sort_keys=True) + self.images
        return hashlib.sha256(text.encode() + sheet).hexdigest()[:16]


class Tracker:
    """The experiment of one grid in one tracking store."""

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        self.uri = uri
        self.experiment = experiment
        self.client, self.experiment_id = _open(uri, experiment, artifacts)
        self.known = self._published()

    def _published(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(cell_id, seed) → (run_id, content) of the runs that are here."""
        query = "tags.kind = 'cell'"
        runs = _guard(self.uri, lambda: self.client.search_runs([self.experiment_id], query, max_results=50_000))
        known: dict[tuple[str, str], tuple[str, str]] = {}
        for run in runs:
            key = _key(run.data.tags)
            if key in known:
                # A driver that was killed while it published left two.
                self.client.delete_run(run.info.run_id)
                continue
            known[key] = run.info.run_id, run.data.tags.get("content", "")
        return known

    def publish(self, folder: Path) -> int:
        """Every row of a results folder that has run and is not here yet; the number published.

        Once all are delivered, the folder's tracking.json says where they are.
        """
        runs = [run for run in tracked_runs(folder) if run.tags["reason"] != NOT_RUN]
        published: int = sum(_guard(self.uri, lambda run=run: self._publish(run)) for run in runs)
        ids = {(run.tags["cell_id"], int(run.tags["seed"])): self.known[_key(run.tags)][0] for run in runs}
        write_json(folder / "tracking.json", to_json(tracking_of(self.uri, self.experiment_id, ids)))
        return published

    def _publish(self, run: Tracked) -> bool:
        key = _key(run.tags)
        run_id, content = self.known.get(key, ("", ""))
        if content == run.content:
            return False
        if run_id:
            self.client.delete_run(run_id)
        run_id = self.client.create_run(
            self.experiment_id, tags=run.tags, run_name=f"{run.params['cell']} · seed {run.tags['seed']}"
        ).info.run_id
        self.known[key] = (run_id, "")
        self._log(run_id, run)
        self.client.set_tag(run_id, "content", run.content)
        self.client.set_terminated(run_id, "FAILED" if run.tags["status"] == "failed" else "FINISHED")
        self.known[key] = (run_id, run.content)
        return True

    def _log(self, run_id: str, run: Tracked) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        finals = {name: value for name, value in run.metrics.items() if not name.startswith(OVER_STEPS)}
        metrics = [Metric(name, value, now, 0) for name, value in finals.items()]
        for line in run.curves:
            if line["curve"].startswith(OVER_STEPS):
                metrics.append(Metric(line["curve"], float(line["y"]), now, int(float(line["x"]))))
        self.client.log_batch(run_id, params=[Param(key, value) for key, value in run.params.items()])
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + BATCH])
        text = "".join(f"{line['curve']},{line['x']},{line['y']}\n" for line in run.curves)
        self.client.log_text(run_id, "curve,x,y\n" + text, "curves.csv")
        if run.images:
            self.client.log_text(run_id, run.images, "images.csv")
        if run.sheet is not None:
            self.client.log_artifact(run_id, str(run.sheet))

    def summarise(self, folder: Path) -> str:
        """Publish table, figures and grid.json as the summary run; the link that opens the grid's page."""
        link: str = _guard(self.uri, lambda: self._summarise(folder))
        return link

    def _summarise(self, folder: Path) -> str:
        for run in self.client.search_runs([self.experiment_id], "tags.kind = 'summary'"):
            self.client.delete_run(run.info.run_id)
        head = _head(folder)
        tags = {"kind": "summary", "grid": self.experiment, REQUEST: request_of(head)}
        run_id = self.client.create_run(self.experiment_id, tags=tags, run_name="summary").info.run_id
        for path in sorted(folder.iterdir()):
            if path.name in ("figures", "strips"):
                self.client.log_artifacts(run_id, str(path), path.name)
            elif path.is_file():
                self.client.log_artifact(run_id, str(path))
        self.client.set_terminated(run_id, "FINISHED")
        self.client.set_experiment_tag(self.experiment_id, "mlflow.note.content", head["question"])
        self.client.set_experiment_tag(self.experiment_id, "mlflow.experimentKind", "custom_model_development")
        self.client.set_experiment_tag(self.experiment_id, VIEW, json.dumps(view(head)))
        return page(self.uri, self.experiment_id)


def view(head: dict[str, Any]) -> dict[str, Any]:
    """The state of the UI's page: the grid's metrics as bars and the training curves, grouped by cell."""
    section = {"uuid": "grid", "name": head["name"], "display": True, "isReordered": False, "deleted": False}
    bars = [_chart("BAR", metric["name"]) for metric in head["metrics"]]
    charts = [*bars, _chart("LINE", "train/network") | {"scaleType": "log"}]
    return {
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "cell"}]},
        "useGroupedValuesInCharts": True,
        "compareRunCharts": charts,
        "compareRunSections": [section | {"isGenerated": False}],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOWALL",
        "hideEmptyCharts": True,
    }


def _chart(kind: str, metric: str) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{kind}-{metric}",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "metricSectionId": "grid",
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
        "displayName": metric,
    }


def _key(tags: Mapping[str, str]) -> tuple[str, str]:
    return tags["cell_id"], tags["seed"]


def _head(folder: Path) -> dict[str, Any]:
    head = read_json(folder / "grid.json")
    if not isinstance(head, dict):
        raise InputError(f"{folder} holds no results (grid.json is missing): run its grid first")
    return head


def request_of(head: dict[str, Any]) -> str:
    """A name for the cells that a grid.json lists, by which its runs are told from others of the experiment."""
    return hashlib.sha256(json.dumps(sorted(head.get("cells", {}))).encode()).hexdigest()[:12]


def tracked_runs(folder: Path) -> list[Tracked]:
    """The rows of a results folder; InputError where it is none, or damaged."""
    rows = read_csv(folder / "runs.csv", FIXED).to_dict("records")
    curves: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for line in read_csv(folder / "curves.csv", ("cell_id", "seed", "curve", "x", "y")).to_dict("records"):
        curves[line["cell_id"], line["seed"]].append({str(key): value for key, value in line.items()})
    images = images_by_run(folder / "images.csv")
    request = request_of(_head(folder))
    found = []
    for texts in rows:
        row = {str(key): value for key, value in texts.items()}
        key = _key(row)
        found.append(_tracked(row, curves[key], images.get(key, ""), request, folder))
    return found


def images_by_run(path: Path) -> dict[tuple[str, str], str]:
    """(cell_id, seed) → the run's own images.csv: metric, 0, 1, …; nothing where results are older than the file."""
    if not path.is_file():
        return {}
    texts = read_csv(path, KEYS)
    return {
        (str(cell_id), str(seed)): rows.drop(columns=["cell_id", "seed"]).to_csv(index=False)
        for (cell_id, seed), rows in texts.groupby(["cell_id", "seed"], sort=False)
    }


def _tracked(row: dict[str, str], curves: list[dict[str, str]], images: str, request: str, folder: Path) -> Tracked:
    try:
        metrics = {key: float(value) for key, value in row.items() if "/" in key and value}
    except ValueError as error:
        raise InputError(f"{folder / 'runs.csv'} holds a metric that is no number: {error}") from error
    params = {key: value for key, value in row.items() if key not in TAGS and "/" not in key and value}
    levels = [value for key, value in params.items() if key.startswith("axis.")]
    sheets = [folder / "samples" / f"{row['cell_id']}-{row['seed']}.{suffix}" for suffix in ("png", "csv")]
    return Tracked(
        tags={
            "kind": "cell",
            "grid": folder.name,
            REQUEST: request,
            **{name: row[name][:LONGEST] for name in FIXED},
            **{name: row[name] for name in VERSIONS if row.get(name)},
            **({IMAGES: str(len(images.splitlines()) - 1)} if images else {}),
        },
        params={"cell": " · ".join(levels) or "baseline", **params},
        metrics=metrics,
        curves=curves,
        images=images,
        sheet=next((sheet for sheet in sheets if sheet.exists()), None),
    )


def default_uri(results: Path) -> str:
    """The store that the README's `mlflow ui` command opens."""
    return f"sqlite:///{results / 'mlflow.db'}"


def open_tracker(uri: str, experiment: str, results: Path) -> Tracker:
    """The tracker; InputError where the store cannot be used, before anything is trained."""
    try:
        return Tracker(uri, experiment, results / ".artifacts")
    except TrackingError as error:
        raise InputError(f"{error} (tracking.uri={uri})") from error


def _open(uri: str, experiment: str, artifacts: Path) -> tuple[MlflowClient, str]:
    """The client and the experiment's id; TrackingError where the store cannot be used."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Two lines on the terminal for each run that is delivered to a server.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if urlparse(uri).scheme not in ("sqlite", "http", "https", "postgresql", "mysql", "mssql"):
        raise TrackingError(f"{uri!r} is no tracking store: give sqlite:///PATH, http://HOST:PORT, or a database's URL")

    def open_() -> tuple[MlflowClient, str]:
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage != "active":
            raise TrackingError(f"{uri} holds a deleted experiment {experiment!r}: restore it, or give a name=…")
        if found is not None:
            return client, str(found.experiment_id)
        location = (artifacts / experiment).absolute().as_uri() if uri.startswith("sqlite") else None
        return client, str(client.create_experiment(experiment, artifact_location=location))

    opened: tuple[MlflowClient, str] = _guard(uri, open_)
    return opened


def _guard(uri: str, action: Any) -> Any:
    """action(), every failure of the store a TrackingError of one line."""
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    try:
        return action()
    except (MlflowException, requests.RequestException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TrackingError(f"the tracking store {uri} does not answer: {first[:200]}") from error
