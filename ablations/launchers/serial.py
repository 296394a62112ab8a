"""This process, one stage after the other: for a debugger, a profiler, or a machine where processes cannot be started.

Stages go through the same journal, and give the same numbers, as anywhere else.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from ablations.engine.stage import Stage
from ablations.engine.workers import Workers
from ablations.launchers.protocol import Launcher, found_devices
from ablations.stages.perform import perform


@dataclass(frozen=True)
class Serial(Launcher):
    """One stage at a time, in this process."""

    def devices(self, device: str, threads: int) -> list[str]:
        return found_devices(device)[:1]

    def start(self, journal: str, devices: list[str]) -> Workers:
        return ThisProcess(journal)


class ThisProcess(Workers):
    """The process that the command runs in: a stage has ended when it has been submitted."""

    def __init__(self, journal: str) -> None:
        self.journal = journal

    def submit(self, stage: Stage, device: str) -> Future[str]:
        future: Future[str] = Future()
        try:
            future.set_result(perform(stage, self.journal, device))
        except OSError as error:
            future.set_exception(error)
        return future

    def status(self, future: Future[str]) -> str:
        return future.result()

    def cancel(self, future: Future[str]) -> None:
        """Nothing is under way once it has been submitted."""

    def close(self) -> None:
        """Nothing was started."""
