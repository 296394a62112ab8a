"""MLflow's client: it opens a store without noise, and describes each failure in one line."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

from ablations.engine.locks import LOCKS
from ablations.tracking.sqlite_file import SQLITE, follow_artifacts, make_whole
from ablations.tracking.uris import what_to_do
from analysis.links import quiet, reason_of, without_password, without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient


Made = TypeVar("Made")


class TrackingError(Exception):
    """The tracking store cannot be reached or does not answer; results are safe in their files."""


def opened(uri: str, experiment: str, artifacts: Path) -> tuple[MlflowClient, str]:
    """The client and the experiment's id; TrackingError where the store cannot be used."""
    _quiet()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def open_() -> tuple[MlflowClient, str]:
        if uri.startswith(SQLITE):
            follow_artifacts(Path(uri.removeprefix(SQLITE)), artifacts)
        make_whole(uri, lambda new: MlflowClient(new).search_experiments())
        client = MlflowClient(uri)
        there = client.get_experiment_by_name(experiment)
        if there is None:
            location = (artifacts / experiment).absolute().as_uri() if uri.startswith("sqlite") else None
            try:
                return client, str(client.create_experiment(experiment, artifact_location=location))
            except MlflowException:
                # Another command may have made it since.
                there = client.get_experiment_by_name(experiment)
                if there is None:
                    raise
        if there.lifecycle_stage != "active":
            where = without_password(uri)
            raise TrackingError(f"{where} holds a deleted experiment {experiment!r}: restore it, or give a name=…")
        return client, str(there.experiment_id)

    # A database is made by whoever opens it first, and not by two at once; a server has made its own.
    if uri.startswith("http"):
        return guard(uri, open_)
    place = artifacts.parent / LOCKS / ".store"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place):
        return guard(uri, open_)


def refuse_links(folder: Path) -> None:
    """TrackingError where a results folder, which anyone may have sent, has a link to a file elsewhere: the store would
    publish that file."""
    top = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(top):
            raise TrackingError(f"{path} is a link out of its folder, and is not delivered: put the file itself there")


def downloaded(model: str, uri: str) -> Path:
    """The folder of a model, given as a folder or as a model in the store at `uri`; TrackingError where it is
    neither."""
    if Path(model).is_dir():
        return Path(model)
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        raise TrackingError(f"there is no folder {model} and no store {uri}: give results=FOLDER or tracking.uri=URI")
    _quiet()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow.artifacts import download_artifacts

    try:
        return Path(guard(uri, lambda: download_artifacts(artifact_uri=model, tracking_uri=uri)))
    except TrackingError as error:
        raise TrackingError(
            f"it is no folder, and {without_password(uri)} gives none of this name "
            f"({without_passwords(str(error.__cause__), uri)}): a run's model is runs:/RUN/model"
        ) from error


def _quiet() -> None:
    """Keep MLflow from reporting what it does to others and to the terminal; a server that hangs is soon given up."""
    quiet()
    # Two lines on the terminal for each run that is delivered to a server.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # It shows the whole traceback of a full disk, which `guard` says in a line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def guard(uri: str, action: Callable[[], Made]) -> Made:
    """Return action(), or raise each failure of the store as a TrackingError of one line."""
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    try:
        return action()
    except (
        MlflowException,
        requests.RequestException,
        sqlalchemy.exc.SQLAlchemyError,
        sqlite3.Error,
        OSError,
    ) as error:
        reason = reason_of(error, uri)
        advice = what_to_do(uri, reason)
        raise TrackingError(
            f"the tracking store {without_password(uri)} does not answer: {reason[:200]}{advice}"
        ) from error
