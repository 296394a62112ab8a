"""Results of a plan, written and delivered now and then: results/<grid>/ from the journal, the store from that
folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablations.driver.page_cache import last_shown, still_there
from ablations.driver.plan import Plan
from ablations.driver.trained import forgetting_damaged
from ablations.engine.files import Damaged
from ablations.engine.journal import Journal, Result
from ablations.results.folder import write_results
from ablations.results.grid_json import head_of
from ablations.results.records import Record, record
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.model import write_model
from ablations.tracking.sqlite_file import Summary
from ablations.tracking.uris import rescue


def records_of(plan: Plan, journal: Journal) -> list[Record]:
    """The records of a plan's cells, from the journal."""
    return [record(planned, journal) for planned in plan.planned]


def write(plan: Plan, journal: Journal, folder: Path, records: list[Record], provenance: dict[str, Any]) -> None:
    """Write results/<grid>/ from these records and the journal."""
    write_results(folder, head_with(plan, journal, records, provenance), records, journal, plan.here.data)


def head_with(plan: Plan, journal: Journal, records: list[Record], provenance: dict[str, Any]) -> dict[str, Any]:
    """The grid.json of a plan, with the scores of real images and the device that made its cells."""
    floor = floor_of(plan, journal)
    device = {"device": next((r.metadata["device"] for r in records if "device" in r.metadata), "")}
    return head_of(plan.grid, plan.planned, plan.here.data, floor, {**provenance, **device})


def floor_of(plan: Plan, journal: Journal) -> Result | None:
    """The scores of real images, as far as they are known; None while none is known."""
    floor = journal.result(plan.floor.id) if plan.floor else None
    more = [journal.result(stage.id) for stage in plan.metric_floors]
    scores = {name: value for result in more if result for name, value in result.metrics.items()}
    return replace(floor, metrics=floor.metrics | scores) if floor else None


def deliver(tracker: Tracker | None, folder: Path) -> Tracker | None:
    """Publish to the tracker, unless it has everything; None, with a warning that says what to do, where that fails."""
    if tracker is None or still_there(last_shown(folder), tracker.uri) is not None:
        return tracker
    try:
        tracker.publish(folder)
    except TrackingError as error:
        print(f"warning: {error}. Results are safe in {folder}; deliver them later: {rescue(folder, tracker.uri)}")
        return None
    return tracker


def summarised(folder: Path, tracker: Tracker) -> Summary | None:
    """The store's summary of the pages, sent unless it is up to date; None, with a warning, where that fails."""
    there = still_there(last_shown(folder), tracker.uri)
    if there is not None:
        return there
    try:
        return tracker.summarise(folder)
    except TrackingError as error:
        print(f"warning: {error}. Deliver later: {rescue(folder, tracker.uri)}")
        return None


def finished_trainings(records: Iterable[Record]) -> set[str]:
    """The ids of the trainings of cells that have finished."""
    return {parts.training for row in records if row.status == "finished" and (parts := row.planned.parts) is not None}


def deliver_models(tracker: Tracker, records: Iterable[Record], journal: Journal) -> None:
    """Give each run of a finished cell its weights as an MLflow model (`tracking.models=true`), unless it has them;
    prints a warning where the store fails."""
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


WRITE_SECONDS = 15.0
REST = 20  # a pause takes so many times as long as the last writing, which takes seconds for thousands of cells


@dataclass
class Pause:
    """The pause between two writings of results, which is longer where the last one took longer."""

    written: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """True once results are to be written again."""
        return time.monotonic() - self.written > max(WRITE_SECONDS, self.seconds)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write results meanwhile; after that the next pause begins."""
        began = time.monotonic()
        yield
        self.written = time.monotonic()
        self.seconds = REST * (self.written - began)
