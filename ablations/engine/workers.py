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
    """The most stages that run side by side on a device."""
    prompt: bool = False
    """True where a stage begins as soon as it is submitted, and does not wait for a place."""

    @abstractmethod
    def submit(self, stage: Stage, device: str) -> Future[str]:
        """Run a stage on a device: a future of its status, "finished", "diverged" or "failed", or "elsewhere" where
        another command runs it."""

    def submit_all(self, stages: Sequence[Stage], device: str) -> list[Future[str]]:
        """Run stages on a device side by side: their futures. Asked for more than one only where `most` allows it."""
        return [self.submit(stage, device) for stage in stages]

    def over(self, future: Future[str]) -> bool:
        """True where a future has an outcome, or will never have one."""
        return future.done()

    @abstractmethod
    def status(self, future: Future[str]) -> str:
        """The status of a future that is over. WorkerDied where its worker died, OSError where not even a failure could
        be written down."""

    @abstractmethod
    def cancel(self, future: Future[str]) -> None:
        """Stop the stage of a future, so that its worker can take another."""

    def more(self) -> list[str]:
        """The devices that joined since the last call: each takes one more stage."""
        return []

    @abstractmethod
    def close(self) -> None:
        """End all workers, whatever they do."""


class Starts(Protocol):
    """The part of a launcher that dispatch uses."""

    def start(self, journal: str, devices: list[str]) -> Workers:
        """Workers that keep their journal in this folder."""


class ThisProcess(Workers):
    """The process that the command runs in: submitting a stage runs it to its end."""

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
