"""Tracking stores: their addresses, how one is opened, and every failure of one in a line.

Results are safe in their files: what a store has missed, `python -m ablations.publish` delivers later. MLflow takes
seconds to import, which happens once a store is opened.
"""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse
from urllib.request import getproxies, proxy_bypass

from analysis.files import make_file
from analysis.links import quiet, reason_of, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE, SERVERS = "sqlite:///", ("http", "https")
SCHEMES = (*SERVERS, "sqlite", "postgresql", "mysql", "mssql")
ANSWER_SECONDS = 5.0
"""Seconds that a server has to answer when a command begins."""
DAMAGED = ("malformed", "not a database", "database corruption")
"""Words by which SQLite says that a file is none of its own, or no longer."""


class TrackingError(Exception):
    """The tracking store cannot be reached or does not answer; results are safe in their files."""


def default_uri(results: Path) -> str:
    """The store that the README's `mlflow ui` command opens."""
    return f"{SQLITE}{results / 'mlflow.db'}"


def refusal(uri: str) -> str:
    """A line that says why a store cannot be used, as far as that shows without opening it; "" if it may be."""
    parts, shown = urlparse(uri), without_password(uri)
    if parts.scheme.partition("+")[0] not in SCHEMES:
        return f"{shown!r} is no tracking store: give sqlite:///PATH, http://HOST:PORT, or a database's URL"
    if uri.startswith(SQLITE):
        folder = Path(uri.removeprefix(SQLITE)).parent
        return "" if folder.is_dir() else f"the tracking store {uri} does not answer: {folder} is no folder"
    behind_proxy = parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")
    if parts.scheme not in SERVERS or behind_proxy:
        return ""
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        return (
            f"the tracking store {shown} does not answer: {getattr(error, 'strerror', None) or error}. "
            "Start it, or leave tracking.uri out and deliver later (python -m ablations.publish); all else is kept"
        )
    return ""


def rescue(folder: Path, uri: str) -> str:
    """The command that delivers a results folder to a store, whose address is left out where it may hold a password."""
    results = folder.parent
    words = ["python -m ablations.publish", f"grid={folder.name}"]
    words += [f"results={results}"] if results != Path("results") else []
    words += [f"tracking.uri={'…' if '@' in uri else uri}"] if uri != default_uri(results) else []
    return " ".join(words)


@contextmanager
def reachable(uri: str) -> Iterator[None]:
    """A context in which every failure of the store at `uri` is a TrackingError of one line."""
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    silence()
    try:
        yield
    except (
        MlflowException,
        requests.RequestException,
        sqlalchemy.exc.SQLAlchemyError,
        sqlite3.Error,
        ImportError,
        OSError,
        ValueError,
    ) as error:
        reason = reason_of(error, uri)[:200]
        if uri.startswith(SQLITE) and any(word in reason for word in DAMAGED):
            reason += (
                f": move {uri.removeprefix(SQLITE)} away, and python -m ablations.publish delivers all to a new one"
            )
        raise TrackingError(f"the tracking store {without_password(uri)} does not answer: {reason}") from error


def silence() -> None:
    """Keep MLflow from reporting what it does to others and to the terminal."""
    quiet()
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # It shows the traceback of a full disk, which `reachable` says in a line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def opened(uri: str, experiment: str, artifacts: Path) -> tuple[MlflowClient, str]:
    """The client and the experiment's id; TrackingError where the store cannot be used."""
    with reachable(uri):
        from mlflow import MlflowClient

        make_whole(uri, lambda new: MlflowClient(new).search_experiments())
        client = MlflowClient(uri)
        there, place = client.get_experiment_by_name(experiment), (artifacts / experiment).absolute()
        if there is not None and there.lifecycle_stage != "active":
            message = f"{without_password(uri)} holds a deleted experiment {experiment!r}: restore it, or give a name=…"
            raise TrackingError(message)
        own = uri.startswith(SQLITE) and Path(uri.removeprefix(SQLITE)).resolve().parent == artifacts.resolve().parent
        before = Path(unquote(urlparse(there.artifact_location).path)) if there is not None and own else place
        if there is not None and before.resolve() != place.resolve():
            # The results folder has moved, or is a copy. MLflow keeps addresses of artifacts for good, so that all is
            # delivered anew; what a copy was made of keeps its artifacts even if `mlflow gc` is called here.
            client.rename_experiment(there.experiment_id, f"{experiment} (moved, {there.experiment_id})")
            if not before.exists():
                client.delete_experiment(there.experiment_id)
            there = None
        if there is not None:
            return client, there.experiment_id
        return client, client.create_experiment(experiment, place.as_uri() if uri.startswith(SQLITE) else None)


def make_whole(uri: str, make: Callable[[str], object]) -> None:
    """Let `make` create the store of an address, if that is a file which does not exist yet: whole or not at all.

    A store's tables and indices come one by one. A store that a kill left without the index of unique names would be
    used as it is, with a new study at each command; and a half migrated one cannot be used again.
    """
    path = Path(uri.removeprefix(SQLITE))
    plain = uri.startswith(SQLITE) and not set(":?") & set(path.name)
    if plain and path.parent.is_dir() and not path.exists():
        make_file(path, lambda temporary: make(f"{SQLITE}{temporary}"))
