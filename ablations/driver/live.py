"""Cells under way, shown in the store as runs that are RUNNING, with what their trainings have reported.

    journal ─ every few seconds ─▶ losses, learned schedules, scores and samples at rungs

The driver writes, between the events of its stages; workers write no database. Once a cell is over, its run is
completed like any other that is published (`tracking.tracker`): there is never a second one. A run that another
command was stopped at is made anew, from all that its training has reported.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ablations.data.base import Data
from ablations.data.tensors import read_tensors
from ablations.engine.journal import Curves, Journal
from ablations.engine.stage import Event
from ablations.results.records import record, rung_curves
from ablations.results.sample_sheets import write_sheet
from ablations.stages.artifacts import SAMPLES, read_history
from ablations.stages.stage import Run, Stage
from ablations.stages.training import TrainingStage
from ablations.tracking.runs import RUNNING, Key, cell_run, head_in, key_of
from ablations.tracking.store import TrackingError
from ablations.tracking.tracker import Tracker
from analysis.errors import InputError
from analysis.schema import OVER_STEPS

SECONDS, REST = 5.0, 10
"""The least seconds between two looks at what is under way, and the least multiple of what the last one took."""


def curves_of(item: Run, journal: Journal) -> Curves:
    """The scores of a cell at rungs so far, and the curves over steps of its training; values that are not finite are
    left out."""
    curves: Curves = {}
    trainings = (stage for stage in item.stages if isinstance(stage, TrainingStage) and stage.kind == "training")
    segments = sorted((part for part in trainings if part.on_the_way or not part.rung), key=lambda part: -part.until)
    histories = (read_history(journal.folder(segment.id)) for segment in segments)
    for report in next(filter(None, histories), []):
        for name in (name for name in report if name.startswith(OVER_STEPS) and math.isfinite(report[name])):
            steps, values = curves.setdefault(name, ([], []))
            steps.append(report["step"])
            values.append(report[name])
    return curves | rung_curves(item, journal)


@dataclass(eq=False)
class Live:
    """A watcher of stages: while one is running, it shows the `runs` that wait for it. The grid.json of their `folder`
    introduces the experiment. It knows the runs and rungs whose samples were `shown`."""

    tracker: Tracker
    journal: Journal
    folder: Path
    data: Data
    runs: list[Run]
    running: set[str] = field(default_factory=set)
    shown: set[tuple[Key, int]] = field(default_factory=set)
    next_look: float = 0.0

    def note(self, event: Event[Stage]) -> None:
        """Take note of what happened to a stage, and now and then show what is under way."""
        if event.kind in ("started", "elsewhere"):
            self.running.add(event.stage.id)
        elif event.kind == "ended":
            self.running.discard(event.stage.id)
        began = time.monotonic()
        if began > self.next_look:
            self.next_look = math.inf
            # The driver meets a store that goes away, or a damaged file, too, and says what to do.
            with suppress(TrackingError, InputError, OSError):
                self.look()
            self.next_look = (over := time.monotonic()) + max(SECONDS, REST * (over - began))

    def look(self) -> None:
        """Show the state of everything under way; TrackingError where the store does not answer."""
        judged = [stage.rung for item in self.runs for stage in item.stages if stage.rung and stage.kind == "samples"]
        self.tracker.introduce(head_in(self.folder), min(judged, default=0))
        for item in self.runs:
            if self.running & {stage.id for stage in item.stages}:
                row = {name: str(value) for name, value in record(item, self.journal).row().items()}
                row |= {"status": RUNNING, "reason": "", "data_digest": item.digest}
                run = cell_run(row, item.name, self.folder)
                if self.tracker.show(run, curves_of(item, self.journal)):
                    self._show_samples(key_of(run.tags), item.stages)

    def _show_samples(self, key: Key, stages: Sequence[Stage]) -> None:
        """Show the samples of each rung where some were judged, once there are any."""
        for stage in (stage for stage in stages if stage.rung and stage.kind == "samples"):
            samples = self.journal.folder(stage.id) / SAMPLES
            if (key, stage.rung) not in self.shown and samples.exists():
                self.shown.add((key, stage.rung))
                images = read_tensors(samples)[0]["samples"]
                sheet = write_sheet(samples.with_name(f"samples_at_{stage.rung}"), images, self.data)
                self.tracker.show_samples(key, sheet, stage.rung)


@contextmanager
def live_runs(live: Live | None) -> Iterator[None]:
    """Meanwhile runs are shown; whoever stops marks those that are not over as run by nobody."""
    try:
        yield
    except KeyboardInterrupt:
        if live is not None:
            with suppress(TrackingError):
                live.tracker.leave()
        raise
