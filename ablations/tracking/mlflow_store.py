"""MLflow: the runs of results/<grid>/ as flat runs, to browse. Only the driver writes here, and only from those files.

An experiment is a grid; a run is a cell at a seed, with every choice as a parameter, every metric, the training curves
over steps, what each test image costs, its sample sheet, and tags by which the UI groups and readers pick. An
autoencoder that cells share is a run of its own (kind = autoencoder), with its reconstructions. One summary run carries
all other files of the folder: tables, figures, report. A run is known by (cell_id, seed) and by a digest of its
content, so publishing can be repeated: what is there is left, what is stale is replaced. The experiment also stores the
view that the printed link opens: the grid's metrics charted, grouped by cell, that is by the levels of its axes, with
means over seeds. Where all of it is stands in the folder's tracking.json.
"""

from __future__ import annotations

import json
import logging
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.results.records import NOT_RUN
from ablations.stages.files import read_json, write_json
from ablations.tracking.addresses import Summary, refusal
from ablations.tracking.mlflow_runs import (
    REQUEST,
    Tracked,
    head_in,
    key_of,
    request_of,
    tracked_autoencoders,
    tracked_runs,
    tracked_trials,
)
from analysis.errors import InputError
from analysis.read.links import page, to_json, tracking_of
from analysis.read.names import OVER_STEPS, SEARCH

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "mlflow.sharedViewState.grid"
BATCH = 1000


class TrackingError(Exception):
    """The tracking store cannot be reached or does not answer; results are safe in their files."""


class Tracker:
    """The experiment of one grid in one tracking store, which is opened when it is needed or when `begin` says so."""

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        self.uri = uri
        self.experiment = experiment
        self.artifacts = artifacts
        self._opening: Future[tuple[MlflowClient, str]] | None = None

    def begin(self) -> None:
        """Open the store in a thread: to import MLflow and to make a store take seconds, in which others can work."""
        if self._opening is None:
            pool = ThreadPoolExecutor(1)
            self._opening = pool.submit(_open, self.uri, self.experiment, self.artifacts)
            pool.shutdown(wait=False)

    def check(self) -> None:
        """InputError where the store has turned out not to be usable; nothing while it is being opened."""
        if self._opening is not None and self._opening.done():
            try:
                self._opening.result()
            except TrackingError as error:
                raise InputError(f"{error} (tracking.uri={self.uri})") from error

    @cached_property
    def _opened(self) -> tuple[MlflowClient, str]:
        self.begin()
        assert self._opening is not None
        return self._opening.result()

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; TrackingError where the store cannot be used."""
        return self._opened[0]

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment."""
        return self._opened[1]

    @cached_property
    def known(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(cell_id, seed) → (run_id, content) of the runs that are here."""
        query = "tags.kind != 'summary'"
        runs = _guard(self.uri, lambda: self.client.search_runs([self.experiment_id], query, max_results=50_000))
        known: dict[tuple[str, str], tuple[str, str]] = {}
        for run in runs:
            key = key_of(run.data.tags)
            if key in known:
                # A driver that was killed while it published left two.
                self.client.delete_run(run.info.run_id)
                continue
            known[key] = run.info.run_id, run.data.tags.get("content", "")
        return known

    def publish(self, folder: Path) -> int:
        """Every cell, autoencoder and trial of a results folder that has run and is not here yet; the number published.

        Once all are delivered, the folder's tracking.json says where they are.
        """
        runs = [run for run in tracked_runs(folder) if run.tags["reason"] != NOT_RUN]
        everything = [*runs, *tracked_autoencoders(folder), *tracked_trials(folder)]
        published: int = sum(_guard(self.uri, lambda run=run: self._publish(run)) for run in everything)
        ids = {(run.tags["cell_id"], int(run.tags["seed"])): self.known[key_of(run.tags)][0] for run in runs}
        write_json(folder / "tracking.json", to_json(tracking_of(self.uri, self.experiment_id, ids)))
        return published

    def _publish(self, run: Tracked) -> bool:
        key = key_of(run.tags)
        run_id, content = self.known.get(key, ("", ""))
        if content == run.content:
            return False
        if run_id:
            self.client.delete_run(run_id)
        run_id = self.client.create_run(self.experiment_id, tags=run.tags, run_name=name_of(run)).info.run_id
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

    def summarise(self, folder: Path) -> Summary:
        """Publish table, figures and grid.json as the summary run."""
        summary: Summary = _guard(self.uri, lambda: self._summarise(folder))
        return summary

    def _summarise(self, folder: Path) -> Summary:
        for run in self.client.search_runs([self.experiment_id], "tags.kind = 'summary'"):
            self.client.delete_run(run.info.run_id)
        head = head_in(folder)
        tags = {"kind": "summary", "grid": self.experiment, REQUEST: request_of(head)}
        run_id = self.client.create_run(self.experiment_id, tags=tags, run_name="summary").info.run_id
        for path in sorted(folder.iterdir()):
            if path.name in ("figures", "strips", "reconstructions"):
                self.client.log_artifacts(run_id, str(path), path.name)
            elif path.is_file():
                self.client.log_artifact(run_id, str(path))
        self.client.set_terminated(run_id, "FINISHED")
        self.client.set_experiment_tag(self.experiment_id, "mlflow.note.content", head["question"])
        search = read_json(folder / SEARCH)
        shown = view_of_search(search) if search else view(head)
        self.client.set_experiment_tag(self.experiment_id, "mlflow.experimentKind", "custom_model_development")
        self.client.set_experiment_tag(self.experiment_id, VIEW, json.dumps(shown))
        return Summary(self.uri, run_id, page(self.uri, self.experiment_id))


def name_of(run: Tracked) -> str:
    """What the UI lists it as."""
    seed = f" · seed {run.tags['seed']}" if "seed" in run.tags else ""
    return f"{run.params['cell']}{seed}"


def view_of_search(head: dict[str, Any]) -> dict[str, Any]:
    """The state of the UI's page: the trials' parameters and objectives as parallel coordinates, and each objective
    against each parameter, run by run."""
    objectives = [objective["name"] for objective in head["objectives"]]
    searched = [parameter["name"] for parameter in head["parameters"]]
    parallel = _chart("PARALLEL", objectives[0]) | {
        "selectedParams": searched,
        "selectedMetrics": objectives,
        "showAllRuns": False,
        "displayName": "",
    }
    against = [_scatter(name, objective) for objective in objectives for name in searched]
    return _page("search", [parallel, *against])


def _scatter(parameter: str, metric: str) -> dict[str, Any]:
    return _chart("SCATTER", f"{parameter}-{metric}") | {
        "xaxis": {"key": parameter, "type": "PARAM"},
        "yaxis": {"key": metric, "type": "METRIC"},
        "displayName": f"{metric} against {parameter}",
    }


def view(head: dict[str, Any]) -> dict[str, Any]:
    """The state of the UI's page: the grid's metrics as bars and the training curves, grouped by cell."""
    bars = [_chart("BAR", metric["name"]) for metric in head["metrics"]]
    charts = [*bars, _chart("LINE", "train/network") | {"scaleType": "log"}]
    grouped = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "cell"}]}
    return {"groupBy": grouped, "useGroupedValuesInCharts": True} | _page(head["name"], charts)


def _page(name: str, charts: list[dict[str, Any]]) -> dict[str, Any]:
    section = {"uuid": "grid", "name": name, "display": True, "isReordered": False, "deleted": False}
    return {
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


def default_uri(results: Path) -> str:
    """The store that the README's `mlflow ui` command opens."""
    return f"sqlite:///{results / 'mlflow.db'}"


def open_tracker(uri: str, experiment: str, results: Path) -> Tracker:
    """The tracker of a store that is yet to be opened; InputError where it is seen at once that it cannot be used."""
    reason = refusal(uri)
    if reason:
        raise InputError(f"{reason} (tracking.uri={uri})")
    return Tracker(uri, experiment, results / ".artifacts")


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
