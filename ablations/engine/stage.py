"""A stage: a unit of work with an id, which needs what other stages have left; and the bench that it runs on.

    stage.run(bench) ─▶ Result, and files in bench.folder

The id is a hash of the content that the stage reads. This module does not know which stages there are.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

from ablations.engine.journal import Journal, Result
from ablations.engine.side_by_side import Member

PROGRESS_SECONDS = 0.3
Progress = Callable[[float], None]
"""Takes the share of a stage that is done."""


@dataclass
class Bench:
    """The things that a stage runs with: its id, a journal, a device, a `member` beside others of its process, and the
    time at which it last `reported` how far it is."""

    stage: str
    journal: Journal
    device: str
    member: Member | None = None
    reported: float = 0.0

    def clock(self) -> float:
        """Seconds, from any moment, of work on the stage."""
        return time.monotonic() if self.member is None else self.member.clock()

    @property
    def folder(self) -> Path:
        """The folder for its files."""
        return self.journal.folder(self.stage)

    def progress(self, share: float) -> None:
        """Report the share done, which is written a few times a second at most."""
        if time.monotonic() - self.reported > PROGRESS_SECONDS:
            self.reported = time.monotonic()
            self.journal.write_progress(self.stage, share)


class Stage(ABC):
    """A unit of work of a `kind`; frozen, and pickled on its way to a worker."""

    id: str
    needs: tuple[str, ...]
    kind: ClassVar[str]

    @property
    @abstractmethod
    def threads(self) -> int:
        """The number of processor threads that it takes."""

    @abstractmethod
    def run(self, bench: Bench) -> Result:
        """Do the work: write its files, and return the result."""

    def shape_key(self, device: str) -> str:
        """The mark of stages that gain from running side by side in a process on a device; "" where this does not."""
        return ""

    def has_lost(self, device: str) -> bool:
        """True where the device is broken after an error, so that its process must be replaced."""
        return False


S = TypeVar("S", bound=Stage)
S_co = TypeVar("S_co", bound=Stage, covariant=True)
"""The stages that a caller adds: it is told of these, and of no others."""


@dataclass(frozen=True)
class Event(Generic[S_co]):
    """An event of a stage: it started, or was tried; progressed; ended with a `status`, "left_out" where one that it
    needs did not finish; is to be tried again, since its worker died; or runs elsewhere, which is said once."""

    kind: Literal["started", "progress", "ended", "retried", "elsewhere"]
    stage: S_co
    share: float = 0.0
    status: str = ""
