"""Which stage starts when: each once the stages that it needs have finished, on a device that is free.

A stage whose worker dies is tried once more; one that needs what did not finish is left out. More stages may be added
while others run.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablations.launchers.protocol import Launcher, WorkerDied, Workers
from ablations.stages.journal import Failure, Journal
from ablations.stages.kinds import Stage

POLL_SECONDS = 0.2
TRIES = 2
STOPPED = Failure("stopped", "the command was stopped")


@dataclass(frozen=True)
class Event:
    """What happened to a stage: it started, progressed to `share`, ended with `status`, or its worker died; or it was
    left out, since one that it needs did not finish."""

    kind: Literal["started", "progress", "ended", "died", "left_out"]
    stage: Stage
    share: float = 0.0
    status: str = ""


@dataclass(frozen=True)
class Running:
    """A stage under way: its future, the device that it holds, and which try this is."""

    stage: Stage
    future: Future[str]
    device: str
    tries: int


class Dispatch:
    """Stages, from being added to having ended, on the devices of a launcher; their journal is in `root`."""

    def __init__(self, launcher: Launcher, root: Path, devices: list[str]) -> None:
        self.launcher = launcher
        self.journal = Journal(root)
        self.devices = devices
        self.free = list(devices)
        self.waiting: list[tuple[Stage, int]] = []
        self.running: list[Running] = []
        self.ended: dict[str, bool] = {}

    def add(self, stages: list[Stage]) -> None:
        """More stages to run, after those they need: each is here too, or has its result. One that is here stays.

        How one of them failed before is forgotten.
        """
        for stage in stages:
            self.ended.pop(stage.id, None)
        for need in {need for stage in stages for need in stage.needs}:
            result = self.journal.result(need)
            if result is not None:
                self.ended[need] = result.status == "finished"
        here = {stage.id for stage, _ in self.waiting} | {work.stage.id for work in self.running}
        new = [stage for stage in stages if stage.id not in here]
        for stage in new:
            self.journal.forget_failure(stage.id)
        self.waiting += [(stage, 1) for stage in new]
        known = self.ended.keys() | here | {stage.id for stage in stages}
        assert all(need in known for stage in stages for need in stage.needs), "a stage needs one that is not here"

    def run(self) -> Iterator[Event]:
        """Run all that was added, until nothing waits; what is under way when this is left is cancelled."""
        workers = self.launcher.start(self.journal.root, self.devices)
        try:
            while self.waiting or self.running:
                for stage, tries in self._ready(len(self.free)):
                    yield Event("started", stage)
                    self._start(workers, stage, tries)
                for work in [work for work in self.running if work.future.done()]:
                    self._let_go(work)
                    yield self._end(work, workers)
                for stage, tries in [entry for entry in self.waiting if not self._possible(entry[0])]:
                    self.waiting.remove((stage, tries))
                    self.ended[stage.id] = False
                    yield Event("left_out", stage, 1.0)
                yield from (Event("progress", w.stage, self.journal.progress(w.stage.id)) for w in self.running)
                if not (self.free and self._ready(1)):
                    wait([work.future for work in self.running], POLL_SECONDS, FIRST_COMPLETED)
        finally:
            for work in list(self.running):
                self.cancel(workers, work)
            workers.close()

    def _start(self, workers: Workers, stage: Stage, tries: int) -> None:
        self.waiting.remove((stage, tries))
        device = self.free.pop(0)
        try:
            future = workers.submit(stage, device)
        except KeyboardInterrupt:
            # In this process, a stage is run while it is submitted.
            self.journal.write_failure(stage.id, STOPPED)
            raise
        self.running.append(Running(stage, future, device, tries))

    def cancel(self, workers: Workers, work: Running) -> None:
        """Stop a stage that is under way: it is marked interrupted unless it has its result, and its device is free."""
        self._let_go(work)
        workers.cancel(work.future)
        if self.journal.result(work.stage.id) is None:
            self.journal.write_failure(work.stage.id, STOPPED)

    def _let_go(self, work: Running) -> None:
        self.running.remove(work)
        self.free.append(work.device)

    def _end(self, work: Running, workers: Workers) -> Event:
        try:
            status = workers.status(work.future)
        except WorkerDied as error:
            if work.tries < TRIES:
                self.waiting.insert(0, (work.stage, work.tries + 1))
                return Event("died", work.stage)
            status = self._failed(work.stage, Failure("died", f"its worker died {TRIES} times: {error}"))
        except OSError as error:
            # The worker could not even write down its failure: the disk is full, say. The driver's turn to try.
            status = self._failed(work.stage, Failure("machine", f"its journal could not be written: {error}"))
        self.ended[work.stage.id] = status == "finished"
        return Event("ended", work.stage, 1.0, status)

    def _failed(self, stage: Stage, failure: Failure) -> str:
        self.journal.write_failure(stage.id, failure)
        return failure.status

    def _ready(self, free: int) -> list[tuple[Stage, int]]:
        """The first stages that can start now, those nearest to the end of their cell first."""
        ready = [(stage, tries) for stage, tries in self.waiting if all(self.ended.get(need) for need in stage.needs)]
        ready.sort(key=lambda entry: -len(entry[0].needs))
        return ready[:free]

    def _possible(self, stage: Stage) -> bool:
        """Whether all that a stage needs finished, or may still do so."""
        return all(self.ended.get(need, True) for need in stage.needs)
