"""Tracking stores: their addresses, how one is opened, and every failure of one in a line.

Results are safe in their files: what a store has missed, `python -m ablations.publish` delivers later. MLflow takes
seconds to import, which happens once a store is opened.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ablations.settings.request import check_store
from analysis.errors import InputError
from analysis.files import make_file
from analysis.places import reason_of, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Environment variables by which MLflow tells nobody what it does, and soon gives up a server that hangs."""


class TrackingError(Exception):
    """The tracking store cannot be reached or does not answer; results are safe in their files."""


def default_uri(results: Path) -> str:
    """The store that the README's `mlflow ui` command opens."""
    return f"{SQLITE}{results / 'mlflow.db'}"


def check_uri(uri: str) -> None:
    """InputError where an address is clearly none of a store, without a look at what is there."""
    check_store(uri)
    if uri.startswith(SQLITE) and not (folder := Path(uri.removeprefix(SQLITE)).parent).is_dir():
        raise InputError(f"tracking.uri={uri}: {folder} is no folder")


def delivery_command(folder: Path, uri: str) -> str:
    """The command that delivers a results folder to a store, whose address is left out where it may hold a password."""
    results = folder.parent
    words = ["python -m ablations.publish", f"grid={folder.name}"]
    words += [f"results={results}"] if results != Path("results") else []
    words += [f"tracking.uri={'…' if '@' in uri else uri}"] if uri != default_uri(results) else []
    return " ".join(words)


def mlflow() -> ModuleType:
    """MLflow, which from now on is quiet."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for logger in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    import mlflow

    return mlflow


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """A context in which every failure, which can only be the store's at `uri`, is a TrackingError of one line."""
    try:
        yield
    except Exception as error:
        reason = reason_of(error, uri)[:200]
        raise TrackingError(f"the tracking store {without_password(uri)} does not answer: {reason}") from error


def open_store(uri: str, experiment: str, artifacts: Path) -> tuple[MlflowClient, str]:
    """The client and the experiment's id; TrackingError where the store cannot be used."""
    with store_errors(uri):
        make_whole(uri, lambda new: mlflow().MlflowClient(new).search_experiments())
        client, place = mlflow().MlflowClient(uri), (artifacts / experiment).resolve()
        there = client.get_experiment_by_name(experiment)
        own = uri.startswith(SQLITE) and Path(uri.removeprefix(SQLITE)).resolve().parent == artifacts.resolve().parent
        if there is not None and own and there.artifact_location != place.as_uri():
            # The results folder has moved, or is a copy. MLflow keeps addresses of artifacts for good, so that all is
            # delivered anew, and no file of the folder that this one was copied from is touched.
            client.rename_experiment(there.experiment_id, f"{experiment} (moved, {there.experiment_id})")
            there = None
        if there is not None:
            return client, there.experiment_id
        return client, client.create_experiment(experiment, place.as_uri() if uri.startswith(SQLITE) else None)


def make_whole(uri: str, make: Callable[[str], object]) -> None:
    """Let `make` create the store of an address, if that is a file which does not exist yet: whole or not at all. Its
    tables come one by one, and a store that a kill left without some of them could never be used."""
    path = Path(uri.removeprefix(SQLITE))
    plain = uri.startswith(SQLITE) and not set(":?") & set(path.name)
    if plain and path.parent.is_dir() and not path.exists():
        make_file(path, lambda temporary: make(f"{SQLITE}{temporary}"))
