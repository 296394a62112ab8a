"""Cells under way, shown as runs of the store meanwhile: RUNNING, with what their trainings have reported.

    journal ─ every few seconds ─▶ losses, learned schedules, scores and samples at rungs; what the machine does

The driver writes, in a thread of its own; workers write no database. Once something is over its run is completed as any
other is published (`tracking.mlflow_store`), and is never a second one. A run that was stopped is taken up again.
Where several drivers work on a cell, the driver shows it that runs the first of its stages that are under way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ablations.data.base import Data
from ablations.data.tensors import read_tensors
from ablations.driver.watched import Watched
from ablations.engine.stage import Event
from ablations.results.sample_sheets import write_sheet
from ablations.stages.stage import Stage
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_origin import System
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_views import View
from analysis.format.errors import InputError

SECONDS = 5.0
"""Seconds between two looks at what is under way."""
MOST = 40
"""Runs that are looked at each time, where more of them wait for one training."""
SHEET = "samples_at_"
"""The beginning of the name of a sheet of samples that were judged at a rung."""


@dataclass(eq=False)
class Live:
    """A watcher of stages: it shows the runs that wait for a stage (`watched`, by stage) while that stage is running.

    The experiment is introduced by a `question` and the views that its links open. Once it is `over`, nothing more is
    shown. One thread at a time shows something, or leaves what was shown (`turn`).
    """

    tracker: Tracker
    data: Data
    question: str
    views: dict[str, View]
    watched: dict[str, list[Watched]] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    shown: dict[tuple[str, str], Watched] = field(default_factory=dict)
    sheets: set[tuple[tuple[str, str], int]] = field(default_factory=set)
    system: System = field(default_factory=System)
    over: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, watched: Watched, stages: Iterable[Stage]) -> None:
        """Add a run that waits for these stages."""
        for stage in stages:
            self.watched.setdefault(stage.id, []).append(watched)

    def watch(self, more: dict[str, list[Watched]]) -> None:
        """Add runs that wait for stages, by the id of the stage."""
        self.watched |= more

    def note(self, event: Event[Stage]) -> None:
        """Take note of what happened to a stage; the stage of a rung may run its training too, up to the rung."""
        stage = event.stage
        ids = {stage.id, stage.trained.id}
        if event.kind == "started":
            self.running |= ids & self.watched.keys()
        elif event.kind in ("ended", "elsewhere", "left_out"):
            self.running -= ids

    def look(self) -> None:
        """Show what all that is under way has come to; TrackingError where the store does not answer."""
        waiting = {watched.key: watched for stage in tuple(self.running) for watched in tuple(self.watched[stage])}
        under_way = {key: watched for key, watched in list(waiting.items())[:MOST] if self._ours(watched)}
        self.tracker.keep(under_way)
        if under_way:
            self.tracker.introduce(self.question, self.views)
        machine = self.system.now() if under_way else {}
        for key, watched in under_way.items():
            with self.turn:
                # Whoever stops does not wait for all of them.
                if self.over.is_set():
                    return
                if self.tracker.show(watched.run(), watched.points(), machine):
                    self.shown[key] = watched
                    self._show_samples(key, watched)

    def _ours(self, watched: Watched) -> bool:
        """True where this driver shows it: no other one runs a stage of it that comes before ours."""
        for stage in watched.stages:
            if stage.id in self.running:
                return True
            if self._elsewhere(stage, watched):
                return False
        return False

    def _elsewhere(self, stage: Stage, watched: Watched) -> bool:
        return stage.id not in self.running and watched.journal.holder(stage.id) is not None

    def _show_samples(self, key: tuple[str, str], watched: Watched) -> None:
        """A sheet of the samples of each rung where some were judged, once it is there."""
        for step, samples in watched.samples.items():
            if (key, step) not in self.sheets:
                images = read_tensors(samples)[0]["samples"]
                sheet = write_sheet(samples.with_name(f"{SHEET}{step}"), images, self.data)
                self.tracker.show_samples(key, sheet, step)
                self.sheets.add((key, step))

    def leave(self) -> None:
        """Show no more, and say of what was shown and is not over that nothing runs it any more."""
        self.over.set()
        # A store that has gone away is found by the driver when it publishes.
        with self.turn, suppress(TrackingError):
            for key, watched in self.shown.items():
                if not any(self._elsewhere(stage, watched) for stage in watched.stages):
                    self.tracker.leave(key)


@contextmanager
def watching(live: Live | None) -> Iterator[None]:
    """Look at what is under way now and then; a store that goes away is no longer told."""
    if live is None:
        yield
        return
    thread = threading.Thread(target=_watch, args=(live,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        live.over.set()
        thread.join()


def _watch(live: Live) -> None:
    # A store that goes away, or a damaged file, is found by the driver too, which says what to do.
    with suppress(TrackingError, InputError, OSError):
        while not live.over.wait(SECONDS):
            if live.tracker.is_open:
                live.look()
