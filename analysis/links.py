"""The places where a grid's runs are kept and shown: a tracking store's address, its runs, and its page of the grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from analysis.errors import InputError

LOCAL = "http://127.0.0.1:5000"
"""The address at which `mlflow ui` shows a store that is not a server."""


@dataclass(frozen=True)
class Tracking:
    """A grid in a tracking store, as tracking.json has it: the store's `uri` without passwords, MLflow's id of its
    `experiment`, the `link` that opens the grid's page, and cell_id → seed → run id."""

    uri: str
    experiment: str
    link: Annotated[str, Field(pattern="^https?://")]
    runs: dict[str, dict[int, str]]


def tracking_of(uri: str, experiment: str, runs: dict[tuple[str, int], str]) -> Tracking:
    """The tracking of runs of an experiment, given by its id, in the store at `uri`."""
    public, by_cell = without_password(uri), dict[str, dict[int, str]]()
    for (cell_id, seed), run in sorted(runs.items()):
        by_cell.setdefault(cell_id, {})[seed] = run
    return Tracking(public, experiment, page(public, experiment), by_cell)


def without_password(uri: str) -> str:
    """The address without user:password@ and without its ?query, which can hold them too."""
    return re.sub(r"//[^/]*@", "//", uri.partition("?")[0])


def reason_of(error: Exception, uri: str) -> str:
    """The line of a store's error that says what went wrong, without the URI's password."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
    return without_passwords((lines or [type(error).__name__])[0], uri)


def without_passwords(text: str, uri: str) -> str:
    """A message about the store at `uri`, without the secrets of this address and of any other in it."""
    return re.sub(r"//[^/\s]*@", "//", text.replace(uri, without_password(uri)))


def page(uri: str, experiment: str, view: str = "grid") -> str:
    """The page of the UI that charts a grid, by the name of one of its views."""
    host = without_password(uri) if uri.startswith(("http://", "https://")) else LOCAL
    query = f"compareRunsMode=CHART&workflowType=machine_learning&viewStateShareKey={view}"
    return f"{host.rstrip('/')}/#/experiments/{experiment}/runs?{query}"


def read_tracking(path: Path) -> Tracking | None:
    """The tracking.json of a delivery; None where there was none, InputError where it is damaged."""
    try:
        return TypeAdapter(Tracking).validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError as error:
        raise InputError(f"{path} is damaged: delete it and run `python -m ablations.publish`") from error
