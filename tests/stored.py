"""A results folder as its summary run in a tracking store carries it."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient


def downloaded(uri: str, name: str, place: Path) -> Path:
    """The files of the newest summary run of an experiment, downloaded as `mlflow artifacts download` does."""
    place.mkdir(exist_ok=True)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None, "it was delivered"
    query, newest = "tags.kind = 'summary'", ["attributes.start_time DESC"]
    run, *_ = client.search_runs([experiment.experiment_id], query, order_by=newest)
    return Path(client.download_artifacts(run.info.run_id, "", str(place)))
