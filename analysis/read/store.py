"""A tracking store → a grid: the files of its results folder, out of the experiment's summary run.

    results/<grid>/ ─ publish ─▶ the summary run's artifacts ─▶ a temporary folder ─ read_folder ─▶ GridResults

An experiment is a grid, and its newest summary run carries the files of the grid's folder as they were published. They
are downloaded at once and read like any folder, so that a store gives the frames that the folder gives. Sample sheets
lie in the runs of their cells and are left there.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import InputError, unknown
from analysis.links import quiet, reason_of, tracking_of, without_password
from analysis.read.runs import GridResults, read_folder
from analysis.schema import PAGES

if TYPE_CHECKING:
    from mlflow import MlflowClient

NEEDED = ("grid.json", "runs.csv", "curves.csv")
"""The files without which a folder is no grid."""


class TemporaryFolder:
    """A folder that is removed when this object is, at the latest when the process ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="diffusion-ablations-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def read_store(uri: str, name: str) -> GridResults:
    """The grid whose experiment is `name` in the tracking store at `uri`; InputError where there is none."""
    client, experiment = _open(uri, name)
    with _answering(uri):
        summaries = client.search_runs([experiment], "tags.kind = 'summary'", order_by=["attributes.start_time DESC"])
    if not summaries:
        raise InputError(
            f"grid {name!r} in {without_password(uri)} has no summary run with its grid.json: "
            "run `python -m ablations.publish`"
        )
    run = summaries[0].info.run_id
    folder = _downloaded(client, uri, run)
    named = _named(folder, run)
    grid = named(read_folder)(folder.path)
    tracking = tracking_of(uri, experiment, {})
    if grid.tracking is not None and grid.tracking.experiment == experiment:
        tracking = replace(tracking, runs=grid.tracking.runs)
    # The loaders keep a reference to the folder, so it lasts as long as the grid and every copy of it.
    return replace(
        grid,
        load_curves=named(grid.load_curves),
        load_images=named(grid.load_images),
        load_formulas=named(grid.load_formulas),
        tracking=tracking,
    )


def _open(uri: str, name: str) -> tuple[MlflowClient, str]:
    """The client and the experiment's id. A missing sqlite file is refused, since opening it would create one."""
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.is_file():
        raise InputError(f"the tracking store {without_password(uri)} does not exist: there is no file {path}")
    quiet()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    with _answering(uri):
        client = MlflowClient(tracking_uri=uri)
        experiment_found = client.get_experiment_by_name(name)
        if experiment_found is None or experiment_found.lifecycle_stage != "active":
            others = [experiment.name for experiment in client.search_experiments()]
            raise unknown(f"grid in {without_password(uri)}", name, others)
    return client, str(experiment_found.experiment_id)


def _downloaded(client: MlflowClient, uri: str, run: str) -> TemporaryFolder:
    """The summary run's files that a grid is read from; InputError where one of them is missing."""
    with _answering(uri):
        paths = [entry.path for entry in client.list_artifacts(run)]
        lacking = [name for name in NEEDED if name not in paths]
        if lacking:
            raise InputError(f"run {run} lacks its artifact {lacking[0]}: run `python -m ablations.publish`")
        folder = TemporaryFolder()
        for path in paths:
            if not re.fullmatch(r"\w[\w.-]*", path):
                raise InputError(f"run {run} has an artifact {path!r}, which leads out of its folder: nothing is read")
            if path not in PAGES:
                client.download_artifacts(run, path, str(folder.path))
    return folder


@contextmanager
def _answering(uri: str) -> Iterator[None]:
    """A context that turns errors of the store into an InputError of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        where = without_password(uri)
        raise InputError(f"the tracking store {where} cannot be read: {reason_of(error, uri)}") from error


@contextmanager
def _named(folder: TemporaryFolder, run: str) -> Iterator[None]:
    """A context in which errors about a downloaded file name the run that it is from."""
    try:
        yield
    except InputError as error:
        message = str(error).replace(f"{folder.path}/", f"run {run}: ")
        raise InputError(message.replace(str(folder.path), f"run {run}")) from error
