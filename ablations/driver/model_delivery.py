"""`tracking.models=true`: what cells learned, as MLflow models in their runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from ablations.driver.trained import forgetting_damaged
from ablations.engine.files import Damaged
from ablations.engine.journal import Journal
from ablations.results.records import Record
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.model import write_model


def deliver_models(tracker: Tracker, records: Iterable[Record], journal: Journal) -> None:
    """Give each run of a finished cell its model, unless it has it; a line of warning where the store fails."""
    for item in records:
        parts, tags = item.planned.parts, {"cell_id": item.planned.cell_id, "seed": str(item.planned.cell.seed)}
        if item.status != "finished" or parts is None:
            continue
        try:
            if tracker.model_in(tags) == parts.training:
                continue
            with TemporaryDirectory() as place:
                with forgetting_damaged(journal):
                    write_model(Path(place), item.planned.cell, parts, journal)
                tracker.attach_model(tags, Path(place), parts.training)
        except Damaged as error:
            print(f"warning: {error}. Its model is delivered then")
        except TrackingError as error:
            print(f"warning: {error}. Models are delivered when the same command is given again")
            return
