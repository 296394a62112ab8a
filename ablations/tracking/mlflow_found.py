"""Which run of an MLflow store is a cell's: commands that make it at once make two, of which one stays.

Every command finds the same one: what is whole goes before what is not, and what was made first before what came later.
One that another command is just delivering is completed, as is one that it left when it was killed; and whoever finds
that its own has been deleted goes on with the one that stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ablations.tracking.mlflow_runs import OF_SEARCH, Known, Tracked
from ablations.tracking.system import PREFIX
from analysis.format.names import OVER_STEPS, TRIAL

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Made = TypeVar("Made")
ATTEMPTS = 3
"""At a run that other commands delete meanwhile; each of them does so once."""


def found(client: MlflowClient, experiment: str, tags: dict[str, str]) -> Known | None:
    """The run that an experiment has under the key of these tags."""
    names = (TRIAL, OF_SEARCH) if TRIAL in tags else ("cell_id", "seed")
    query = " and ".join(f"tags.{name} = '{tags[name]}'" for name in names)
    runs = list(client.search_runs([experiment], query))
    return one_of(client, runs) if runs else None


def one_of(client: MlflowClient, runs: list[Run]) -> Known:
    """The run that stays of those that one cell has; the others are deleted."""
    first, *others = sorted(runs, key=_by_age)
    for run in others:
        client.delete_run(run.info.run_id)
    return Known.of(first.info.run_id, first.data.tags, first.info.start_time)


def _by_age(run: Run) -> tuple[bool, int, str]:
    return not run.data.tags.get("content"), run.info.start_time, run.info.run_id


def kept(client: MlflowClient, known: Known, run: Tracked) -> tuple[Known | None, set[str]]:
    """A run that is over and lacks what came later, or what is still to be delivered of it, with the names of its
    metrics; deleted where it says what is no longer so, or lacks what came between."""
    from mlflow.entities import Param

    there = client.get_run(known.run_id).data
    finals = {name: value for name, value in there.metrics.items() if not name.startswith((*OVER_STEPS, PREFIX))}
    same = there.params.items() <= run.params.items() and there.tags.get("status") == run.tags["status"]
    # Of a run that is just being delivered there may be none yet.
    same = same and (bool(finals) or not known.content)
    same = same and all(run.metrics.get(name) == value for name, value in finals.items())
    names = {line["curve"] for line in run.curves} & there.metrics.keys() if same else set()
    steps = {name: {point.step for point in client.get_metric_history(known.run_id, name)} for name in names}
    reported = {name: float(max(points)) for name, points in steps.items()}
    points = [(line["curve"], float(line["x"])) for line in run.curves if line["curve"] in names]
    if not same or any(x <= reported[name] and int(x) not in steps[name] for name, x in points):
        client.delete_run(known.run_id)
        return None, set()
    lacking = [Param(name, value) for name, value in run.params.items() if name not in there.params]
    client.log_batch(known.run_id, params=lacking)
    return replace(known, reported=reported), set(finals)


def anew(act: Callable[[], Made], is_lost: Callable[[], bool]) -> Made:
    """act(), once more where it has failed since another command has deleted the run that it was about."""
    from mlflow.exceptions import MlflowException

    for _ in range(ATTEMPTS - 1):
        try:
            return act()
        except MlflowException:
            if not is_lost():
                raise
    return act()


def is_gone(client: MlflowClient, run_id: str) -> bool:
    """Whether a run has been deleted."""
    return str(client.get_run(run_id).info.lifecycle_stage) == "deleted"
