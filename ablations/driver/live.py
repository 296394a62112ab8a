"""Cells under way, shown in the store as runs that are RUNNING, with what their trainings have reported.

    journal ─ every few seconds ─▶ losses, learned schedules, scores and samples at rungs; the machine's load

The driver writes, between the events of its stages; workers write no database. Once a cell is over, its run is
completed like any other that is published (`tracking.mlflow_store`): there is never a second one. A run that was
stopped is taken up again.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ablations.data.base import Data
from ablations.data.tensors import read_tensors
from ablations.driver.plan import Plan
from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.grids.grid import Run
from ablations.results.records import record, rung_curves
from ablations.results.sample_sheets import write_sheet
from ablations.stages.artifacts import SAMPLES, read_history
from ablations.stages.stage import Stage
from ablations.stages.training import TrainingStage
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_origin import System
from ablations.tracking.mlflow_runs import RUNNING, Points, Tracked, cell_run, head_in, request_of
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_views import View, view_in
from analysis.errors import InputError
from analysis.schema import OVER_STEPS

SECONDS, REST = 5.0, 10
"""The least seconds between two looks at what is under way, and the least multiple of what the last one took."""
PATIENCE = 3.0
"""Seconds that an interrupted command waits for the store."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A run that is updated while its `stages` are under way: its `key` is `key_of` its tags, `run` gives what is known
    so far but for curves, `points` the curves over steps."""

    key: tuple[str, str]
    stages: Sequence[Stage]
    run: Callable[[], Tracked]
    points: Callable[[], Points]


def watched_in(plan: Plan, journal: Journal, folder: Path) -> list[Watched]:
    """The cells of a plan whose grid.json stands in `folder`."""
    request = request_of(head_in(folder))

    def cell(item: Run) -> Tracked:
        row = {name: str(value) for name, value in record(item, journal).row().items()}
        row |= {"status": RUNNING, "reason": "", "data_digest": item.digest}
        return cell_run(row, item.name, request, folder)

    return [
        Watched(
            (item.cell_id, str(item.cell.seed)), item.stages, partial(cell, item), partial(points_of, item, journal)
        )
        for item in plan.runs
    ]


def points_of(item: Run, journal: Journal) -> Points:
    """The scores of a cell at rungs so far, and the curves over steps of its training; values that are not finite are
    left out."""
    points: Points = {}
    trainings = (stage for stage in item.stages if isinstance(stage, TrainingStage) and stage.kind == "training")
    segments = sorted((one for one in trainings if one.on_the_way or not one.rung), key=lambda one: -one.until)
    histories = (read_history(journal.folder(segment.id)) for segment in segments)
    for report in next(filter(None, histories), []):
        for name in (name for name in report if name.startswith(OVER_STEPS) and math.isfinite(report[name])):
            points.setdefault(name, []).append((report["step"], report[name]))
    return points | {name: list(zip(*curve, strict=True)) for name, curve in rung_curves(item, journal).items()}


@dataclass(eq=False)
class Live:
    """A watcher of stages: while one is running, it shows the runs that wait for it (`watched`, by key). The
    experiment is introduced by a `question` and the views that its links open. Of the runs `shown` so far it knows the
    rungs whose samples were shown."""

    tracker: Tracker
    journal: Journal
    data: Data
    question: str
    views: dict[str, View]
    watched: dict[tuple[str, str], Watched] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    shown: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    system: System = field(default_factory=System)
    next_look: float = 0.0

    @staticmethod
    def of(tracker: Tracker, plan: Plan, journal: Journal, folder: Path) -> Live:
        """The watcher of a plan whose grid.json stands in `folder`."""
        head, judged = head_in(folder), [stage.rung for stage in plan.stages() if stage.kind == "samples"]
        views = view_in(head, last=min(filter(None, judged), default=0))
        return Live(tracker, journal, plan.here.data, head["question"], views)

    def watch(self, runs: Iterable[Watched]) -> None:
        """Add runs, each of which is shown while one of its stages is under way."""
        self.watched |= {run.key: run for run in runs}

    def note(self, event: Event[Stage]) -> None:
        """Take note of what happened to a stage, and now and then show what is under way; InputError where the store
        turned out not to be usable."""
        if event.kind in ("started", "elsewhere"):
            self.running.add(event.stage.id)
        elif event.kind == "progress":
            # To open a store takes seconds, in which stages run.
            self.tracker.begin()
        elif event.kind == "ended":
            self.running.discard(event.stage.id)
        self.tracker.check()
        began = time.monotonic()
        if self.tracker.is_open and began > self.next_look:
            self.next_look = math.inf
            # The driver meets a store that goes away, or a damaged file, too, and says what to do.
            with suppress(TrackingError, InputError, OSError):
                self.look()
                over = time.monotonic()
                self.next_look = over + max(SECONDS, REST * (over - began))

    def look(self) -> None:
        """Show the state of everything under way; TrackingError where the store does not answer."""
        under_way = [run for run in self.watched.values() if self.running & {stage.id for stage in run.stages}]
        self.tracker.keep([run.key for run in under_way])
        self.tracker.introduce(self.question, self.views)
        machine = self.system.now()
        for run in under_way:
            if self.tracker.show(run.run(), run.points(), machine):
                self._show_samples(run, self.shown.setdefault(run.key, set()))

    def _show_samples(self, run: Watched, shown: set[int]) -> None:
        """Show the samples of each rung where some were judged, once there are any."""
        for stage in (stage for stage in run.stages if stage.rung and stage.kind == "samples"):
            samples = self.journal.folder(stage.id) / SAMPLES
            if stage.rung not in shown and samples.exists():
                shown.add(stage.rung)
                images = read_tensors(samples)[0]["samples"]
                sheet = write_sheet(samples.with_name(f"samples_at_{stage.rung}"), images, self.data)
                self.tracker.show_samples(run.key, sheet, stage.rung)

    def leave(self) -> None:
        """Mark the runs shown so far that are not over as run by nobody."""
        with suppress(TrackingError):
            for key in self.shown:
                self.tracker.leave(key)


@contextmanager
def watching(live: Live | None) -> Iterator[None]:
    """Meanwhile runs are shown; whoever stops leaves them, but waits only a moment for the store."""
    try:
        yield
    except KeyboardInterrupt:
        if live is not None:
            thread = threading.Thread(target=live.leave, daemon=True)
            thread.start()
            thread.join(PATIENCE)
        raise
