"""The link by which a command is watched in MLflow, printed as soon as it is known."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ablations.driver.bar import Bar
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.sqlite_file import SQLITE, experiment_in
from analysis.links import page, without_password


@dataclass
class Watch:
    """A link that is printed once, when the store is open, unless it was `announced` before."""

    tracker: Tracker | None
    announced: bool

    @staticmethod
    def of(tracker: Tracker | None) -> Watch:
        """The link to a tracker's experiment."""
        return Watch(tracker, tracker is None or bool(_experiment(tracker)))

    def tell(self, shown: Bar) -> None:
        """Print the link, if it is news."""
        if self.tracker is not None and not self.announced and self.tracker.is_open:
            self.announced = True
            # Of a store that cannot be used, whoever delivers to it says what to do.
            with suppress(TrackingError):
                shown.write(f"MLflow   {page(self.tracker.uri, self.tracker.experiment_id)}")


def where(tracker: Tracker | None) -> list[str]:
    """Lines for the beginning, made without opening the store: how to see it, and the link to an experiment that
    exists."""
    if tracker is None:
        return []
    experiment_id, uri = _experiment(tracker), without_password(tracker.uri)
    link = page(tracker.uri, experiment_id) if experiment_id else f"experiment {tracker.experiment}"
    if tracker.uri.startswith("http"):
        return [f"MLflow   {link}, {uri}"]
    new = "" if experiment_id or not tracker.uri.startswith(SQLITE) or _file(tracker).exists() else ", a new store"
    return [f"MLflow   {link}{new}", f"         opens once this runs: mlflow ui --backend-store-uri {uri}"]


def _experiment(tracker: Tracker) -> str:
    """The experiment's id, as far as it is known without MLflow; "" where it is not."""
    return experiment_in(_file(tracker), tracker.experiment) if tracker.uri.startswith(SQLITE) else ""


def _file(tracker: Tracker) -> Path:
    return Path(tracker.uri.removeprefix(SQLITE))
