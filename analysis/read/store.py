"""A tracking store → a grid, in the frames of `runs.py`.

An experiment is a grid, a run is a cell at a seed, and the summary run holds grid.json. The store itself picks the
runs: of this experiment, by tags; a store of 10,000 runs is asked for those of one grid. What the runs say is always
asked anew, since that is the only way to see that one is gone or was replaced. Their files are fetched once (`cache`).
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd

from analysis.errors import InputError, unknown
from analysis.read.cache import cached
from analysis.read.csv_files import numbers, parse_csv
from analysis.read.formulas import FORMULAS, no_formulas, parse_formulas
from analysis.read.images import images_frame, run_rows
from analysis.read.links import tracking_of
from analysis.read.meta import Meta, parse_meta
from analysis.read.runs import CURVES, FIXED, LATENT, VERSIONS, GridResults, tidy_runs
from analysis.read.search import RUNGS, SEARCH, TRIALS, Search, parse_search

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

REQUEST = "request"
"""The tag by which the runs of one request are told from what an experiment holds beside them."""
IMAGES = "images"
"""The tag of a run that holds images.csv: how many images."""
TAGS = (*FIXED, *LATENT, *VERSIONS)
"""The columns of runs.csv that are tags of a run, and not parameters."""
ENDED = ("FINISHED", "FAILED", "KILLED")
PAGE = 1000
FETCHERS = 8
"""Threads that fetch files; they wait for a server most of the time."""


@dataclass(frozen=True)
class Experiment:
    """A grid's experiment in a tracking store."""

    client: MlflowClient
    uri: str
    id: str

    def search(self, query: str) -> list[Run]:
        """Every run that fits, the newest first."""
        runs: list[Run] = []
        token: str | None = None
        with _answering(self.uri):
            while token is None or token:
                page = self.client.search_runs([self.id], query, max_results=PAGE, page_token=token)
                runs.extend(page)
                token = page.token or ""
        return runs

    def files(self, runs: list[Run], name: str) -> Iterator[bytes]:
        """The file of that name of each run; InputError where one has none."""
        with ThreadPoolExecutor(FETCHERS) as pool:
            yield from pool.map(lambda run: self.file(run, name), runs)

    def file(self, run: Run, name: str) -> bytes:
        """A file of a run, once it has ended from the cache; InputError where it has none."""
        if run.info.artifact_uri.startswith("file:"):
            return self._fetch(run, name)
        if run.info.status not in ENDED:
            return self._fetch(run, name)
        key = (self.uri, self.id, run.info.run_id, run.data.tags.get("content", ""), str(run.info.end_time), name)
        return cached(key, lambda: self._fetch(run, name))

    def holds(self, run: Run, name: str) -> bool:
        """Whether a run has a file of that name: one question to the store, where asking for the file would fail."""
        with _answering(self.uri):
            return any(entry.path == name for entry in self.client.list_artifacts(run.info.run_id))

    def _fetch(self, run: Run, name: str) -> bytes:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        address = f"{run.info.artifact_uri}/{name}"
        try:
            if address.startswith("file:"):
                return Path(url2pathname(urlsplit(address).path)).read_bytes()
            with tempfile.TemporaryDirectory() as folder:
                return Path(download_artifacts(address, dst_path=folder, tracking_uri=self.uri)).read_bytes()
        except (MlflowException, OSError) as error:
            raise InputError(
                f"run {run.info.run_id} lacks its artifact {name}: run `python -m ablations.publish`"
            ) from error


def read_store(uri: str, name: str) -> GridResults:
    """The grid whose experiment is `name` in the tracking store at `uri`; InputError where there is none."""
    experiment = _open(uri, name)
    found = experiment.search("tags.kind = 'summary'")
    if not found:
        raise InputError(
            f"grid {name!r} in {uri} has no summary run with its grid.json: run `python -m ablations.publish`"
        )
    summary = found[0]
    meta = parse_meta(experiment.file(summary, "grid.json"), f"grid.json of {name} in {uri}")
    kept = [run for run in experiment.search(_query(summary)) if _belongs(run, meta)]
    texts = pd.DataFrame([_row(run) for run in kept]).reindex(columns=_columns(kept)).fillna("").astype(str)
    return GridResults(
        meta,
        tidy_runs(texts, meta, uri),
        None,
        lambda: _curves(experiment, kept),
        lambda: _images(experiment, kept),
        tracking_of(uri, experiment.id, {_key(run): run.info.run_id for run in kept}),
        load_formulas=lambda: _formulas(experiment, summary),
        search=_search(experiment, summary),
    )


def _open(uri: str, name: str) -> Experiment:
    """The experiment. A missing sqlite file is refused, since opening it would create one."""
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.is_file():
        raise InputError(f"the tracking store {uri} does not exist: there is no file {path}")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    with _answering(uri):
        client = MlflowClient(tracking_uri=uri)
        experiments = {found.name: found.experiment_id for found in client.search_experiments()}
    if name not in experiments:
        raise unknown(f"grid in {uri}", name, experiments)
    return Experiment(client, uri, str(experiments[name]))


@contextmanager
def _answering(uri: str) -> Iterator[None]:
    """A store that fails is an InputError of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"the tracking store {uri} cannot be read: {reason}") from error


def _query(summary: Run) -> str:
    """The cells of the summary's request; of all requests where it is older than that tag."""
    request = summary.data.tags.get(REQUEST)
    return "tags.kind = 'cell'" + (f" and tags.{REQUEST} = '{request}'" if request else "")


def _belongs(run: Run, meta: Meta) -> bool:
    """Whether a run is of the cells and seeds that grid.json lists: an experiment also keeps what came before."""
    tags: Mapping[str, str] = run.data.tags
    return (not meta.cells or tags.get("cell_id") in meta.cells) and int(tags.get("seed", -1)) in meta.seeds


def _key(run: Run) -> tuple[str, int]:
    return run.data.tags["cell_id"], int(run.data.tags["seed"])


def _row(run: Run) -> dict[str, str]:
    # A store keeps ±inf as the largest float.
    metrics = {
        key: value if abs(value) < 1.797e308 else np.copysign(np.inf, value) for key, value in run.data.metrics.items()
    }
    tags = {name: run.data.tags.get(name, "") for name in TAGS}
    return {**tags, **run.data.params, **{key: repr(float(value)) for key, value in metrics.items()}}


def _columns(runs: list[Run]) -> list[str]:
    return [*TAGS, *sorted({name for run in runs for name in (*run.data.params, *run.data.metrics)} - set(TAGS))]


def _curves(experiment: Experiment, runs: list[Run]) -> pd.DataFrame:
    frames = []
    for run, content in zip(runs, experiment.files(runs, "curves.csv"), strict=True):
        source = f"curves.csv of run {run.info.run_id}"
        frame = parse_csv(content, ("curve", "x", "y"), source)
        points = {name: numbers(frame[name], name, source) for name in ("x", "y")}
        cell_id, seed = _key(run)
        frames.append(frame.assign(cell_id=cell_id, seed=seed, **points)[list(CURVES)])
    empty = pd.DataFrame(
        {name: pd.Series(dtype="str" if name in ("cell_id", "curve") else "float64") for name in CURVES}
    )
    return pd.concat(frames, ignore_index=True) if frames else empty


def _images(experiment: Experiment, runs: list[Run]) -> pd.DataFrame:
    known = [run for run in runs if IMAGES in run.data.tags]
    files = zip(known, experiment.files(known, "images.csv"), strict=True)
    each = [run_rows(content, *_key(run), f"images.csv of run {run.info.run_id}") for run, content in files]
    return images_frame([row for rows in each for row in rows], f"the experiment {experiment.id} in {experiment.uri}")


def _formulas(experiment: Experiment, summary: Run) -> pd.DataFrame:
    if not experiment.holds(summary, FORMULAS):
        return no_formulas()
    return parse_formulas(experiment.file(summary, FORMULAS), f"{FORMULAS} of run {summary.info.run_id}")


def _search(experiment: Experiment, summary: Run) -> Search | None:
    """The search that the grid confirms, from the summary's files; None where it has none."""
    if not experiment.holds(summary, SEARCH):
        return None
    rungs = experiment.file(summary, RUNGS) if experiment.holds(summary, RUNGS) else None
    head, trials = (experiment.file(summary, name) for name in (SEARCH, TRIALS))
    return parse_search(head, trials, rungs, f"run {summary.info.run_id}: ")
