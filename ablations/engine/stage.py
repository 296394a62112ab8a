"""A stage: a unit of work with an id, which needs what other stages have left; and the bench that it runs on.

    stage.run(bench) ─▶ Result, and files in bench.folder

The id is a hash of the content that the stage reads. This module does not know which stages there are.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

from ablations.engine.company import Seat
from ablations.engine.journal import Journal, Result
from ablations.engine.lease import Lease

PROGRESS_SECONDS = 0.3  # between two writings of how far a stage is

Progress = Callable[[float], None]  # takes the share of a stage that is done


def progress_writer(journal: Journal, stage_id: str, lease: Lease) -> Progress:
    """A function that writes the share done into a stage's folder, a few times a second at most. LeaseLost where
    another process has taken the stage."""
    last = 0.0

    def write(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            lease.check()
            journal.write_progress(stage_id, share)

    return write


@dataclass(frozen=True)
class Bench:
    """The things that a stage runs with: its journal, the device, the lease of its folder, and its `rank` if several
    processes share it. Its files go to the folder of `place`, which is its own unless it works for another stage.
    Beside other stages of its process it has a `seat`."""

    stage: str
    journal: Journal
    device: str
    lease: Lease
    place: str
    rank: int = 0
    world: int = 1
    seat: Seat | None = None

    def clock(self) -> float:
        """Seconds, from any moment, of work on the stage."""
        return time.monotonic() if self.seat is None else self.seat.clock()

    @property
    def folder(self) -> Path:
        """The folder for its files."""
        return self.journal.folder(self.place)

    @cached_property
    def progress(self) -> Progress:
        """The function by which it reports the share done."""
        return progress_writer(self.journal, self.stage, self.lease)

    def at(self, place: str) -> Bench:
        """The same bench, in the folder of another stage."""
        return replace(self, place=place)


class Stage(ABC):
    """A unit of work; frozen, and pickled on its way to a worker."""

    id: str
    needs: tuple[str, ...]
    kind: ClassVar[str]
    """The name of its kind, in a word."""

    @property
    def holds(self) -> tuple[str, ...]:
        """The other stages in whose folders it works, and whose leases it needs meanwhile."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The stages whose files it may use, though it does not wait for them."""
        return ()

    def company(self, device: str) -> str:
        """The mark that stages share which gain from running side by side in one process on a device; "" where this one
        does not."""
        return ""

    @property
    @abstractmethod
    def threads(self) -> int:
        """The number of processor threads that it takes."""

    @abstractmethod
    def run(self, bench: Bench) -> Result:
        """Do the work: write its files, and return the result. Of several ranks only the first writes files."""

    def perform(self, bench: Bench) -> None:
        """Run it, or this rank's share of it; the first rank writes the result, unless its worker has lost the
        stage."""
        result = self.run(bench)
        if bench.rank == 0:
            bench.journal.write_result(self.id, result, bench.lease)

    def has_lost(self, device: str) -> bool:
        """True where the device is broken after an error, so that its process must be replaced."""
        return False


S = TypeVar("S", bound=Stage)
S_co = TypeVar("S_co", bound=Stage, covariant=True)
"""The stages that a caller adds: it is told of these, and of no others."""


@dataclass(frozen=True)
class Event(Generic[S_co]):
    """An event of a stage.

    It started, together with those `beside` it (their ids) in one worker; it progressed to `share`; it ended with
    `status`; its worker died; another command runs it; it or its input is made anew because of some `damage`; or it was
    left out, because a stage that it needs did not finish.
    """

    kind: Literal["started", "progress", "ended", "died", "damaged", "elsewhere", "left_out"]
    stage: S_co
    share: float = 0.0
    status: str = ""
    damage: str = ""
    beside: tuple[str, ...] = ()
