"""Cells under way, shown in the store as runs that are RUNNING, with what their trainings have reported.

    journal ─ every few seconds ─▶ losses, learned schedules, scores and samples at rungs; the machine's load

The driver writes, in a thread of its own; workers write no database. Once a cell is over, its run is completed like any
other that is published (`tracking.mlflow_store`): there is never a second one. A run that was stopped is taken up
again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ablations.data.base import Data
from ablations.data.tensors import read_tensors
from ablations.driver.plan import Plan
from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.grids.grid import Run
from ablations.results import autoencoders
from ablations.results.folder import read_grid_json
from ablations.results.grid_json import head_of
from ablations.results.records import record, rung_curves
from ablations.results.sample_sheets import write_sheet
from ablations.stages.artifacts import SAMPLES, read_history
from ablations.stages.stage import Stage
from ablations.stages.training import TrainingStage
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_origin import System
from ablations.tracking.mlflow_runs import RUNNING, Points, Tracked, autoencoder_run, cell_run, request_of
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_views import View, view_in
from analysis.errors import InputError
from analysis.schema import OVER_STEPS

SECONDS = 5.0
"""Seconds between two looks at what is under way."""
PATIENCE = 3.0
"""Seconds that an interrupted command waits for the store."""
MOST = 40
"""The most runs that are updated each time, where more of them wait for one training."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A run that is updated while its `stages` are under way: its `key` is `key_of` its tags, `run` gives what is known
    so far but for curves, `points` the curves over steps."""

    key: tuple[str, str]
    stages: Sequence[Stage]
    run: Callable[[], Tracked]
    points: Callable[[], Points]


def watched_in(plan: Plan, journal: Journal, folder: Path) -> list[Watched]:
    """The runs of a plan whose results are in `folder`: its cells, and each autoencoder once."""
    request = request_of(head_of(plan.grid, plan.runs, plan.here.data, None, {}))

    def cell(item: Run) -> Tracked:
        row = {name: str(value) for name, value in record(item, journal).row().items()}
        row |= {"status": RUNNING, "reason": "", "data_digest": item.digest}
        return cell_run(row, item.name, "", request, folder)

    def autoencoder(stage: Stage) -> Tracked:
        return autoencoder_run({k: str(v) for k, v in autoencoders.row(stage, RUNNING).items()}, folder)

    cells = [
        Watched(
            (item.cell_id, str(item.cell.seed)), item.stages, partial(cell, item), partial(points_of, item, journal)
        )
        for item in plan.runs
    ]
    shared = [
        Watched((it.id, str(it.cell.seed)), [it], partial(autoencoder, it), partial(reported, [it], journal))
        for it in plan.stages()
        if it.kind == "autoencoder"
    ]
    return [*cells, *shared]


def points_of(item: Run, journal: Journal) -> Points:
    """The curves over steps of a cell's training so far, and its scores at rungs."""
    trainings = (stage for stage in item.stages if isinstance(stage, TrainingStage) and stage.kind == "training")
    segments = sorted((one for one in trainings if one.on_the_way or not one.rung), key=lambda one: -one.until)
    at_rungs = {name: list(zip(*curve, strict=True)) for name, curve in rung_curves(item, journal).items()}
    return reported(segments, journal) | at_rungs


def reported(trainings: Sequence[Stage], journal: Journal) -> Points:
    """The curves over steps of the first of these that has reported any; values that are not finite are left out."""
    history = next(filter(None, (read_history(journal.folder(stage.id)) for stage in trainings)), [])
    points: Points = {}
    for report in history:
        for name in (name for name in report if name.startswith(OVER_STEPS) and math.isfinite(report[name])):
            points.setdefault(name, []).append((report["step"], report[name]))
    return points


@dataclass(eq=False)
class Live:
    """A watcher of stages: while one is running, it shows the runs that wait for it (`watched`, by stage). The
    experiment is introduced by a `question` and the views that its links open. Once it is `over`, nothing more is
    shown; if it was `stopped`, the runs `shown` so far are marked as run by nobody."""

    tracker: Tracker
    journal: Journal
    data: Data
    question: str
    views: dict[str, View]
    watched: dict[str, list[Watched]] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    shown: dict[tuple[str, str], Watched] = field(default_factory=dict)
    sheets: set[tuple[tuple[str, str], int]] = field(default_factory=set)
    system: System = field(default_factory=System)
    over: threading.Event = field(default_factory=threading.Event)
    stopped: bool = False

    @staticmethod
    def of(tracker: Tracker, plan: Plan, provenance: dict[str, Any], journal: Journal, folder: Path) -> Live:
        """The watcher of a plan whose results are in `folder`."""
        head = head_of(plan.grid, plan.runs, plan.here.data, None, provenance)
        judged = [stage.rung for stage in plan.stages() if stage.rung and stage.kind == "samples"]
        views = view_in((read_grid_json(folder) or {}) | head, last=min(judged, default=0))
        return Live(tracker, journal, plan.here.data, head["question"], views)

    def watch(self, runs: Iterable[Watched]) -> None:
        """Add runs, each of which is shown while one of its stages is under way."""
        for run in runs:
            for stage in run.stages:
                self.watched.setdefault(stage.id, []).append(run)

    def note(self, event: Event[Stage]) -> None:
        """Take note of what happened to a stage."""
        if event.kind in ("started", "elsewhere"):
            self.running |= {event.stage.id} & self.watched.keys()
        elif event.kind == "ended":
            self.running.discard(event.stage.id)

    def look(self) -> None:
        """Show the state of everything under way; TrackingError where the store does not answer."""
        waiting = {run.key: run for stage in tuple(self.running) for run in tuple(self.watched[stage])}
        under_way = dict(list(waiting.items())[:MOST])
        self.tracker.keep(under_way)
        if not under_way:
            return
        self.tracker.introduce(self.question, self.views)
        machine = self.system.now()
        for key, run in under_way.items():
            # Whoever stops does not wait for all of them.
            if self.over.is_set():
                return
            if self.tracker.show(run.run(), run.points(), machine):
                self.shown[key] = run
                self._show_samples(run)

    def _show_samples(self, run: Watched) -> None:
        """Show the samples of each rung where some were judged, once there are any."""
        for stage in (stage for stage in run.stages if stage.rung and stage.kind == "samples"):
            samples, key = self.journal.folder(stage.id) / SAMPLES, (run.key, stage.rung)
            if key not in self.sheets and samples.exists():
                self.sheets.add(key)
                images = read_tensors(samples)[0]["samples"]
                sheet = write_sheet(samples.with_name(f"samples_at_{stage.rung}"), images, self.data)
                self.tracker.show_samples(run.key, sheet, stage.rung)

    def until_over(self) -> None:
        """Look now and then. The driver meets a store that goes away, or a damaged file, too, and says what to do."""
        with suppress(TrackingError, InputError, OSError):
            while not self.over.wait(SECONDS):
                if self.tracker.is_open:
                    self.look()
            for key in self.shown if self.stopped else ():
                self.tracker.leave(key)


@contextmanager
def watching(live: Live | None) -> Iterator[None]:
    """Show what is under way meanwhile; whoever stops waits a moment for the store, and no longer."""
    if live is None:
        yield
        return
    thread, live.stopped = threading.Thread(target=live.until_over, daemon=True), True
    thread.start()
    try:
        yield
        live.stopped = False
    finally:
        live.over.set()
        thread.join(PATIENCE if live.stopped else None)
