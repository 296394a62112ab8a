"""Cells under way, shown in the store as runs that are RUNNING, with what their trainings have reported.

    journal ─ every few seconds ─▶ losses, learned schedules, scores and samples at rungs; the machine's load

The driver writes, in a thread of its own; workers write no database. Once a cell is over, its run is completed like any
other that is published (`tracking.mlflow_store`): there is never a second one. A run that was stopped is taken up
again. Where several drivers work on a cell, the one that runs the first of its stages under way shows it.
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
from analysis.errors import InputError

SECONDS = 5.0
"""Seconds between two looks at what is under way."""
MOST = 40
"""The most runs that are updated each time, where more of them wait for one training."""
SHEET = "samples_at_"
"""The beginning of the name of a sheet of samples that were judged at a rung."""


@dataclass(eq=False)
class Live:
    """A watcher of stages: while a stage is running, it shows the runs that wait for it (`watched`, by stage). The
    experiment is introduced by a `question` and the views that its links open. Once it is `over`, nothing more is
    shown. `turn` lets one thread at a time show something, or end it."""

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
        """Take note of what happened to a stage; the stage of a rung may also run its training, up to the rung."""
        stage = event.stage
        ids = {stage.id, stage.trained.id}
        if event.kind == "started":
            self.running |= ids & self.watched.keys()
        elif event.kind in ("ended", "elsewhere", "left_out"):
            self.running -= ids

    def look(self) -> None:
        """Show the state of everything under way; TrackingError where the store does not answer."""
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
        """True where this driver shows the run: no other driver runs an earlier stage of it."""
        for stage in watched.stages:
            if stage.id in self.running:
                return True
            if self._elsewhere(stage, watched):
                return False
        return False

    def _elsewhere(self, stage: Stage, watched: Watched) -> bool:
        return stage.id not in self.running and watched.journal.holder(stage.id) is not None

    def _show_samples(self, key: tuple[str, str], watched: Watched) -> None:
        """Show the samples of each rung where some were judged, once there are any."""
        for step, samples in watched.samples.items():
            if (key, step) not in self.sheets:
                images = read_tensors(samples)[0]["samples"]
                sheet = write_sheet(samples.with_name(f"{SHEET}{step}"), images, self.data)
                self.tracker.show_samples(key, sheet, step)
                self.sheets.add((key, step))

    def leave(self) -> None:
        """Show no more; runs that were shown and are not over are marked as run by nobody."""
        self.over.set()
        # A store that has gone away is found by the driver when it publishes.
        with self.turn, suppress(TrackingError):
            for key, watched in self.shown.items():
                if not any(self._elsewhere(stage, watched) for stage in watched.stages):
                    self.tracker.leave(key)


@contextmanager
def watching(live: Live | None) -> Iterator[None]:
    """Update what is under way now and then; a store that fails is not asked again."""
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
