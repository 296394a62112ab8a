"""What is written to a run of an MLflow store, so that several commands can do so at once and none of it is double."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablations.tracking.mlflow_runs import REPORTED, Known, Tracked
from analysis.format.names import OVER_STEPS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

INTERRUPTED = "interrupted"
ENDINGS = {"failed": "FAILED", INTERRUPTED: "KILLED"}
"""What MLflow calls how a run ended, where it did not finish."""
BATCH = 1000
"""Metrics of a request: MLflow takes no more."""


def log(client: MlflowClient, known: Known, run: Tracked, here: set[str]) -> None:
    """What of a run is not here yet, but for its tags and parameters; the metrics of these names are."""
    from mlflow.entities import Metric

    run_id, reported, time = known.run_id, known.reported or {}, _time(client, known)
    finals = {name: value for name, value in run.metrics.items() if not name.startswith(OVER_STEPS)}
    metrics = [Metric(name, value, time, 0) for name, value in finals.items() if name not in here]
    for line in run.curves:
        name, x = line["curve"], float(line["x"])
        if name.startswith(OVER_STEPS) and x > reported.get(name, -1.0):
            metrics.append(Metric(name, float(line["y"]), time, int(x)))
    send(client, run_id, metrics)
    text = "".join(f"{line['curve']},{line['x']},{line['y']}\n" for line in run.curves)
    client.log_text(run_id, "curve,x,y\n" + text, "curves.csv")
    if run.images:
        client.log_text(run_id, run.images, "images.csv")
    if run.sheet is not None:
        client.log_artifact(run_id, str(run.sheet))


def _time(client: MlflowClient, known: Known) -> int:
    """The time, in ms, of what is delivered: after what was shown before, or the run's beginning where nothing was.

    All commands find the same: a point of the same time, step and value is there once, whoever else delivers it at this
    moment, or has before it was killed.
    """
    times = [
        1 + point.timestamp
        for name, last in (known.reported or {}).items()
        for point in client.get_metric_history(known.run_id, name)
        if point.step <= last
    ]
    return max([round(1000 * known.began), *times])


def send(client: MlflowClient, run_id: str, metrics: list[Metric]) -> None:
    """Give a run these metrics, in their order."""
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])


def end(client: MlflowClient, run_id: str, status: str, *, reports: bool = False) -> None:
    """Say of a run how it has ended, and that of its `reports`, if there were any, no more follow."""
    if reports:
        _end_reports(client, run_id)
    client.set_terminated(run_id, ENDINGS.get(status, "FINISHED"))


def _end_reports(client: MlflowClient, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    # A command that was killed here, or completes it at the same moment, has said so already.
    if _is_reported(client, run_id):
        try:
            client.delete_tag(run_id, REPORTED)
        except MlflowException:
            if _is_reported(client, run_id):
                raise


def _is_reported(client: MlflowClient, run_id: str) -> bool:
    """Whether a run says that more is to be reported of it."""
    return REPORTED in client.get_run(run_id).data.tags
