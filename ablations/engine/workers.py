"""Workers: each takes a stage and a device, and gives a future of how the stage ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.engine.stage import Stage


class WorkerDied(Exception):
    """The worker of a stage ended before the stage did: it was killed, or ran out of memory."""


class Workers(ABC):
    """The workers that a launcher starts, and that run stages until they are closed."""

    most: int = 1
    """The most stages that are run side by side on a device."""
    prompt: bool = False
    """True where a stage begins as it is submitted, and does not wait for a place."""

    @abstractmethod
    def submit(self, stage: Stage, device: str) -> Future[str]:
        """Run a stage on a device: a future of its status, "finished", "diverged" or "failed", or "elsewhere" where
        another command runs it."""

    def submit_all(self, stages: Sequence[Stage], device: str) -> list[Future[str]]:
        """Run stages on a device side by side: their futures. Asked for more than one only where `most` allows it."""
        return [self.submit(stage, device) for stage in stages]

    def over(self, future: Future[str]) -> bool:
        """True where a future has come to something, or never will."""
        return future.done()

    @abstractmethod
    def status(self, future: Future[str]) -> str:
        """The status that a future came to, once it is over.

        WorkerDied where its worker did, OSError where not even a failure could be written down.
        """

    @abstractmethod
    def cancel(self, future: Future[str]) -> None:
        """Stop the stage of a future, and let its worker take another."""

    def more(self) -> list[str]:
        """Devices that have come since the start, or since this was last asked: each takes one more stage."""
        return []

    @abstractmethod
    def close(self) -> None:
        """End all workers, whatever they do."""


class Starts(Protocol):
    """A launcher, as far as stages are dispatched to it."""

    def start(self, journal: str, devices: list[str]) -> Workers:
        """Workers that keep their journal in this folder."""


class ThisProcess(Workers):
    """The process that the command runs in: a stage has ended when it has been submitted."""

    def __init__(self, journal: str) -> None:
        self.journal = Journal(Path(journal))

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
