"""Our runs in an MLflow store: which one a cell has there, and how it is completed.

Where two commands have made one each, all agree on the one that stays: a complete run before an incomplete one, then
the older one. A command whose own run has been deleted goes on with the one that stays (`anew`).

A metric that is scored at rungs too is one line over training: its rungs, and at the last step its final value. A run
without rungs has that metric at its last step as well, where the lines of others end. All other numbers of a run are at
step 0, since MLflow draws bars of these alone. A run that has numbers at other steps, or rungs under names of their
own, from an earlier version, is made anew.

A point over steps has the time at which its run began, and numbers of the whole run that at which it ended. So two
deliveries of one run write the same rows, and a store keeps them once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ablations.tracking.mlflow_images import log_sheet
from ablations.tracking.mlflow_origin import PREFIX, log_data, user_of
from ablations.tracking.mlflow_runs import INTERRUPTED, OF_SEARCH, RUNNING, Tracked
from analysis.schema import OVER_STEPS, RUNG, TRIAL

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

Made = TypeVar("Made")
ATTEMPTS = 3
"""The most tries at a run that other commands delete meanwhile; each of them does so once."""
OPEN = (RUNNING, INTERRUPTED)
"""The statuses of runs that are under way, or were stopped and may be taken up again."""
ENDINGS = {"failed": "FAILED", INTERRUPTED: "KILLED"}
"""MLflow's words for how a run ended, where it did not finish."""
BATCH = 1000
"""The most metrics that MLflow takes in a request."""
CONTENT = "content"
"""The tag of a complete run: the digest of everything that was published."""
Steps = dict[tuple[str, int], float]
"""A metric and a step → its value there."""


@dataclass(frozen=True)
class Stored:
    """A run in the store: the digest of its content, "" until it is complete and has ended; and its start there, in
    ms."""

    run_id: str
    content: str
    began: int

    @staticmethod
    def of(run: Run) -> Stored:
        """The parts of the run that are needed later."""
        content = "" if run.info.status == "RUNNING" else run.data.tags.get(CONTENT, "")
        return Stored(run.info.run_id, content, run.info.start_time)


def find(client: MlflowClient, experiment: str, tags: dict[str, str]) -> Run | None:
    """The run of an experiment with the key of these tags."""
    names = (TRIAL, OF_SEARCH) if TRIAL in tags else ("cell_id", "seed")
    query = " and ".join(f"tags.{name} = '{tags[name]}'" for name in names)
    runs = list(client.search_runs([experiment], query))
    return one_of(client, runs) if runs else None


def one_of(client: MlflowClient, runs: list[Run]) -> Run:
    """The run that stays of several that one cell has; the others are deleted."""
    first, *others = sorted(runs, key=_by_age)
    for run in others:
        client.delete_run(run.info.run_id)
    return first


def _by_age(run: Run) -> tuple[bool, int, str]:
    return not run.data.tags.get(CONTENT), run.info.start_time, run.info.run_id


def is_stale(client: MlflowClient, there: Run, run: Tracked) -> bool:
    """True where a run in the store has numbers that are no longer right, or at other steps than now, or rungs under
    names of their own. A run that only lacks something is completed instead."""
    data = there.data
    if data.tags.get(CONTENT) == run.content:
        return False
    if not data.params.items() <= run.params.items() or data.tags.get("status") not in (run.tags["status"], *OPEN):
        return True
    curves = [name for name in data.metrics if name.startswith((*OVER_STEPS, PREFIX))]
    had = steps_in(client, there, run.at_rungs).items()
    numbers = {(*place, value) for place, value in had if place[0] not in curves}
    return any(name.startswith(RUNG) for name in curves) or not numbers <= _numbers_of(run)


def _numbers_of(run: Tracked) -> set[tuple[str, int, float]]:
    """The metrics of a run at the steps where they belong, at rungs and at the end, with their values."""
    midway = {(metric_of(name), int(x), y) for name, x, y in run.curves if name.startswith(RUNG)}
    return midway | {(*place, value) for place, value in _ends_of(run).items()}


def _ends_of(run: Tracked) -> Steps:
    """The final values of a run at their steps."""
    lines, last = run.at_rungs | run.lines, last_step(run)
    return {
        (name, last if name in lines else 0): value
        for name, value in run.metrics.items()
        if not name.startswith(OVER_STEPS)
    }


def steps_in(client: MlflowClient, there: Run, curves: Collection[str]) -> Steps:
    """The metrics and steps at which a run in the store has points, whatever their times; metrics with these names are
    curves, and all others have one point.

    A training that continues from a checkpoint reaches some steps again, at other times.
    """
    run_id, metrics = there.info.run_id, there.data.metrics
    points = [point for name in metrics if name in curves for point in client.get_metric_history(run_id, name)]
    single = [point for point in there.data.to_proto().metrics if point.key not in curves]
    return {(point.key, point.step): point.value for point in (*single, *points)}


def take_up(client: MlflowClient, there: Run, run: Tracked) -> set[tuple[str, int]]:
    """Mark a run in the store as under way; return the metrics and steps that it has."""
    client.update_run(there.info.run_id, status="RUNNING")
    describe(client, there, run, "")
    return set(steps_in(client, there, [name for name in there.data.metrics if not name.startswith(PREFIX)]))


def leave(client: MlflowClient, run_id: str) -> None:
    """Mark a run as one that nobody runs, unless another command has completed or deleted it since."""
    if not is_gone(client, run_id) and not client.get_run(run_id).data.tags.get(CONTENT):
        client.set_tag(run_id, "status", INTERRUPTED)
        client.set_terminated(run_id, ENDINGS[INTERRUPTED])


def began_at(run: Tracked, now: int) -> int:
    """The start of a run that ends now, in ms."""
    return now - _ms(run)


def points_over_steps(lines: list[tuple[str, float, float]], began: int) -> list[Metric]:
    """Points of curves, (name, step, value) each, of a run with this start in the store, in ms."""
    from mlflow.entities import Metric

    return [Metric(name, value, began, int(step)) for name, step, value in lines]


def points_of(run: Tracked, began: int) -> list[Metric]:
    """All points of a run with this start in the store, in ms; the last are numbers of the whole run."""
    from mlflow.entities import Metric

    ends, end = _ends_of(run), _end_of(run, began)
    whole = [Metric(name, value, end, step) for (name, step), value in ends.items()]
    lines = [(metric_of(name), x, y) for name, x, y in run.curves]
    return [*points_over_steps([line for line in lines if (line[0], int(line[1])) not in ends], began), *whole]


def metric_of(curve: str) -> str:
    """The name in the store of a curve over steps; for a metric at rungs, that of the metric."""
    return curve.removeprefix(RUNG)


def last_step(run: Tracked) -> int:
    """The step at which the training of a run ended, 0 where that is not known."""
    return int(max((x for _, x, _ in run.curves), default=0.0))


def _end_of(run: Tracked, began: int) -> int:
    """Later than its start, since of two values at one step the later one counts."""
    return began + max(1, _ms(run))


def _ms(run: Tracked) -> int:
    return round(1000 * run.seconds)


def complete(client: MlflowClient, there: Run, run: Tracked) -> None:
    """Give a run in the store everything that it lacks, and its final status."""
    run_id, began = there.info.run_id, there.info.start_time
    points = points_of(run, began)
    had = steps_in(client, there, {metric_of(name) for name, *_ in run.curves})
    send(client, run_id, [point for point in points if _is_news(point, run, had.get((point.key, point.step)))])
    if run.sheet is not None:
        log_sheet(client, run_id, run.sheet, run.picture, last_step(run))
    describe(client, there, run, run.content)
    client.set_terminated(run_id, ENDINGS.get(run.tags["status"], "FINISHED"), _end_of(run, began))


def _is_news(point: Metric, run: Tracked, had: float | None) -> bool:
    """True for a point that a run in the store lacks, or has only as that of the last rung."""
    if had is None:
        return True
    return point.key in run.at_rungs and run.metrics.get(point.key) == point.value != had


def describe(client: MlflowClient, there: Run, run: Tracked, content: str) -> None:
    """Give a run in the store the parameters that it lacks, its data and its tags, with this digest of its content."""
    from mlflow.entities import Param, RunTag
    from mlflow.exceptions import MlflowException

    params = [Param(name, value) for name, value in run.params.items() if name not in there.data.params]
    tags = [RunTag(*tag) for tag in (run.tags | user_of(there.data.tags) | {CONTENT: content}).items()]
    try:
        client.log_batch(there.info.run_id, (), params, tags)
    except MlflowException:
        # Another command may have given it these just now: a store refuses a parameter that it has.
        has = client.get_run(there.info.run_id).data.params
        client.log_batch(there.info.run_id, (), [param for param in params if param.key not in has], tags)
    log_data(client, there, run.params.get("data", ""), run.tags.get("data_digest", ""))


def send(client: MlflowClient, run_id: str, points: list[Metric]) -> None:
    """Give a run these points, in their order."""
    for start in range(0, len(points), BATCH):
        client.log_batch(run_id, metrics=points[start : start + BATCH])


def anew(act: Callable[[], Made], is_lost: Callable[[], bool]) -> Made:
    """Call act(), and once more where it failed because another command has deleted the run."""
    from mlflow.exceptions import MlflowException

    for _ in range(ATTEMPTS - 1):
        try:
            return act()
        except MlflowException:
            if not is_lost():
                raise
    return act()


def is_gone(client: MlflowClient, run_id: str) -> bool:
    return str(client.get_run(run_id).info.lifecycle_stage) == "deleted"
