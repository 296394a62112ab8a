"""The places where a grid's runs are kept and shown: a tracking store's address, its runs, and its page of the grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from analysis.format.errors import InputError
from analysis.format.plain import plain_json

LOCAL = "http://127.0.0.1:5000"
"""The address at which `mlflow ui` shows a store that is not a server."""


@dataclass(frozen=True)
class Tracking:
    """A grid in a tracking store: the store's `uri` without passwords, MLflow's id of its `experiment`, (cell_id,
    seed) → run id, and the `link` that opens the grid's page."""

    uri: str
    experiment: str
    runs: dict[tuple[str, int], str]
    link: str

    def run_link(self, cell_id: str, seed: int) -> str | None:
        """The page of one run; None where it is not in the store."""
        run = self.runs.get((cell_id, seed))
        return None if run is None else f"{_experiment(self.uri, self.experiment)}/runs/{run}"


@dataclass(frozen=True)
class _Written:
    """The content of tracking.json: a Tracking whose runs are cell_id → seed → run id."""

    uri: str
    experiment: str
    link: str
    runs: dict[str, dict[int, str]]


def tracking_of(uri: str, experiment: str, runs: dict[tuple[str, int], str]) -> Tracking:
    """The tracking of runs of an experiment, given by its id, in the store at `uri`."""
    public = without_password(uri)
    return Tracking(public, experiment, runs, page(public, experiment))


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
    query = f"compareRunsMode=CHART&workflowType=machine_learning&viewStateShareKey={view}"
    return f"{_experiment(uri, experiment)}/runs?{query}"


def _experiment(uri: str, experiment: str) -> str:
    host = without_password(uri) if uri.startswith(("http://", "https://")) else LOCAL
    return f"{host.rstrip('/')}/#/experiments/{experiment}"


def to_json(tracking: Tracking) -> dict[str, Any]:
    runs: dict[str, dict[str, str]] = {}
    for (cell_id, seed), run in sorted(tracking.runs.items()):
        runs.setdefault(cell_id, {})[str(seed)] = run
    return {"uri": tracking.uri, "experiment": tracking.experiment, "link": tracking.link, "runs": runs}


def read_tracking(path: Path) -> Tracking | None:
    """The tracking.json of a delivery; None where there was none, InputError where it is damaged."""
    if not path.is_file():
        return None
    try:
        written = TypeAdapter(_Written).validate_json(plain_json(path.read_bytes()))
    except ValidationError as error:
        raise InputError(f"{path} is damaged: delete it and run `python -m ablations.publish`") from error
    strange = [] if written.link.startswith(("http://", "https://")) else [written.link]
    ids = [run for seeds in written.runs.values() for run in seeds.values()]
    strange += [name for name in (written.experiment, *ids) if re.fullmatch(r"\w[\w.-]*", name) is None]
    if strange:
        again = "delete it and run `python -m ablations.publish`"
        raise InputError(f"{path} is damaged: {strange[0]!r} leads to no run in MLflow; {again}")
    runs = {(cell_id, seed): run for cell_id, seeds in written.runs.items() for seed, run in seeds.items()}
    return Tracking(written.uri, written.experiment, runs, written.link)
