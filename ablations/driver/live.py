"""Cells that are under way, as runs of the store while they are: RUNNING, with what their trainings have reported.

    journal ─ every few seconds ─▶ losses, learned schedules, scores and samples at rungs; what the machine does

The driver writes, in a thread of its own; workers write no database. Once a cell is over its run is completed as any
other is published (`tracking.mlflow_store`), and is never a second one. One that was stopped is taken up where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from ablations.data.base import Data
from ablations.driver.plan import Plan
from ablations.grids.planned import Planned
from ablations.launchers.dispatch import Event
from ablations.results.records import record
from ablations.results.sample_sheets import SHEET_COLUMNS, write_sheet
from ablations.stages.artifacts import HISTORY, SAMPLES, read_history, read_tensors
from ablations.stages.journal import Journal
from ablations.stages.kinds import FloorStage, RungStage, Scores, TrainingStage
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_runs import Points, Tracked, cell_run, request_of
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.system import System
from analysis.errors import InputError
from analysis.read.names import OVER_STEPS, RUNG

SECONDS = 5.0
"""Between two looks at what is under way."""
MOST = 40
"""Runs that are looked at each time, where more cells wait for one training."""
SHEET = "samples_on_the_way"
"""The artifact that grows by a row at each rung where samples are judged."""


@dataclass(eq=False)
class Live:
    """What watches the stages of some cells, and shows those whose turn has come; `head` is the grid's grid.json."""

    tracker: Tracker
    journal: Journal
    folder: Path
    data: Data
    cells: Mapping[str, list[Planned]]
    head: dict[str, Any]
    running: set[str] = field(default_factory=set)
    shown: dict[tuple[str, int], Planned] = field(default_factory=dict)
    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    system: System = field(default_factory=System)

    def note(self, event: Event) -> None:
        """What happened to a stage."""
        if event.kind == "started" and event.stage.id in self.cells:
            self.running.add(event.stage.id)
        elif event.kind in ("ended", "left_out"):
            self.running.discard(event.stage.id)

    def look(self) -> None:
        """Show what the cells under way have come to; TrackingError where the store does not answer."""
        under_way = {(item.cell_id, item.cell.seed): item for i in tuple(self.running) for item in self.cells[i]}
        if under_way and not self.shown:
            self.tracker.introduce(self.head)
        machine = self.system.now() if under_way else {}
        for key, item in list(under_way.items())[:MOST]:
            if self.tracker.show(self.run_of(item), self.points(item), machine):
                self.shown[key] = item
                self._show_samples(key, item)

    def run_of(self, item: Planned) -> Tracked:
        """A cell as a run that is under way."""
        row = {name: str(value) for name, value in record(item, self.journal).row().items()}
        return cell_run(row | {"status": "running", "reason": ""}, [], "", request_of(self.head), self.folder)

    def points(self, item: Planned) -> Points:
        """The curves over steps that its training has left so far."""
        found: Points = {}
        for training in (stage for stage in item.stages if isinstance(stage, TrainingStage)):
            for line in self._history(training.id):
                for name in (name for name in line if name.startswith(OVER_STEPS)):
                    found.setdefault(name, []).append((line["step"], line[name]))
        for scores in get_args(Scores):
            for rung in (one for one in item.stages if isinstance(one, RungStage) and one.scores == scores):
                result = self.journal.result(rung.id)
                if result is None:
                    # Its turn is yet to come: a later one is not told before it.
                    break
                for name in (name for name in result.metrics if not name.startswith("cost/")):
                    found.setdefault(f"{RUNG}{name}", []).append((float(rung.step), result.metrics[name]))
        return found

    def _history(self, training: str) -> list[dict[str, float]]:
        folder = self.journal.folder(training)
        if not (folder / HISTORY).exists():
            return []
        try:
            return read_history(folder, 2**62)
        except InputError:
            # What is damaged is said by the stage that reads it.
            return []

    def _show_samples(self, key: tuple[str, int], item: Planned) -> None:
        """A sheet with a row per rung where samples were judged, once there is a further one."""
        places = [self.journal.folder(one.id) / SAMPLES for one in item.stages if isinstance(one, RungStage)]
        found = [path for path in places if path.exists()]
        if len(found) > self.rows.get(key, 0):
            import torch

            rows = [read_tensors(path)[0]["samples"][:SHEET_COLUMNS] for path in found]
            sheet = write_sheet(found[-1].with_name(SHEET), torch.cat(rows), self.data, scale=4)
            self.tracker.attach(self.run_of(item).tags, sheet)
            self.rows[key] = len(found)

    def leave(self) -> None:
        """Say of the cells that were shown and are not over that nothing runs them any more."""
        # A store that has gone away is found by the driver when it publishes.
        with suppress(TrackingError):
            for item in self.shown.values():
                self.tracker.leave(self.run_of(item).tags)


@contextmanager
def watching(
    tracker: Tracker | None, plan: Plan, journal: Journal, folder: Path, head: dict[str, Any]
) -> Iterator[Live | None]:
    """What is told of stages while they run; None without a store. A store that goes away is no longer told."""
    if tracker is None:
        yield None
        return
    cells: dict[str, list[Planned]] = {}
    for item in plan.planned:
        for stage in item.stages:
            if not isinstance(stage, FloorStage):
                cells.setdefault(stage.id, []).append(item)
    live, over = Live(tracker, journal, folder, plan.here.data, cells, head), threading.Event()
    thread = threading.Thread(target=_watch, args=(live, over), daemon=True)
    thread.start()
    try:
        yield live
    finally:
        over.set()
        thread.join()


def _watch(live: Live, over: threading.Event) -> None:
    # A store that goes away, or a damaged file, is found by the driver too, which says what to do.
    with suppress(TrackingError, InputError):
        while not over.wait(SECONDS):
            if live.tracker.is_open:
                live.look()
