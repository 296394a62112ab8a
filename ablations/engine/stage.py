"""A stage: a unit of work that is known by an id and needs what other stages have left; and the bench that it runs on.

    stage.run(bench) ─▶ Result, and files in bench.folder

The id is of the content of what the stage reads. Which stages there are, and what they do, is no matter of this room.
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
    """A function that leaves the share done in a stage's folder, a few times a second at most. LeaseLost where the
    stage is another's by then."""
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
    """The bench of a stage: its journal, the device, the lease of its folder; if processes share it, the `rank`.

    What it leaves is in the folder of `place`, which is its own unless it works for another. Beside other stages of its
    process it has a `seat`.
    """

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
        """The folder in which it leaves its files."""
        return self.journal.folder(self.place)

    @cached_property
    def progress(self) -> Progress:
        """Says which share of the stage is done."""
        return progress_writer(self.journal, self.stage, self.lease)

    def at(self, place: str) -> Bench:
        """The same in the folder of another stage."""
        return replace(self, place=place)


class Stage(ABC):
    """A unit of work; frozen, and pickled on its way to a worker."""

    id: str
    needs: tuple[str, ...]
    kind: ClassVar[str]
    """The name of its kind, in a word."""

    @property
    def holds(self) -> tuple[str, ...]:
        """The stages in whose folders it works too, so that it has their leases meanwhile."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The stages whose files it may use, though it does not wait for them."""
        return ()

    def company(self, device: str) -> str:
        """The mark of stages that gain from running side by side in a process on a device; "" where one does not."""
        return ""

    @property
    @abstractmethod
    def threads(self) -> int:
        """The number of threads of a processor that it takes."""

    @abstractmethod
    def run(self, bench: Bench) -> Result:
        """Do the work: write its files, and return the result. Of several ranks only the first writes files."""

    def perform(self, bench: Bench) -> None:
        """Run it, or this rank's share of it; the first rank leaves its result, unless its worker lost the stage."""
        result = self.run(bench)
        if bench.rank == 0:
            bench.journal.write_result(self.id, result, bench.lease)

    def has_lost(self, device: str) -> bool:
        """True where a device no longer does what it is told, so that its process is of no more use."""
        return False


S = TypeVar("S", bound=Stage)
S_co = TypeVar("S_co", bound=Stage, covariant=True)
"""The stages of whoever has them run, who is told of these and of no others."""


@dataclass(frozen=True)
class Event(Generic[S_co]):
    """An event of a stage: it started, progressed to `share`, ended with `status`, or its worker died; it is run
    elsewhere, by another command; what it left, or needs, is made anew, for its `damage`; or it was left out, since one
    that it needs did not finish. What started has a worker together with those `beside` it, by their ids."""

    kind: Literal["started", "progress", "ended", "died", "damaged", "elsewhere", "left_out"]
    stage: S_co
    share: float = 0.0
    status: str = ""
    damage: str = ""
    beside: tuple[str, ...] = ()
