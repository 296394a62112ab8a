"""A stage: a unit of work with an id, which needs what other stages have left; and the bench that it runs on, alone or
side by side with others in one process.

    stage.run(bench) ─▶ Result, and files in bench.folder
    work ─▶ exchange: wait until all have brought their batch; one computes for all; each takes its result ─▶ work ─▶ …

The id is a hash of the content that the stage reads. Side by side each is in a thread of its own, and one thread works
at a time: what one stage does to the process (its global random numbers, say) does not mix with another's. A stage that
ends or fails leaves the others to go on. This module does not know which stages there are, nor what they compute; it
knows the version of the code that they run.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError, check_output
from typing import Any, ClassVar, Generic, Literal, TypeVar

from ablations.engine.journal import Journal, Result

ROOT = Path(__file__).parents[2]
PACKAGES = ("ablations", "diffusion_core")
PROGRESS_SECONDS = 0.3
Progress = Callable[[float], None]
T = TypeVar("T")
R = TypeVar("R")


class Group:
    """The stages that are present, what the waiting ones have brought, and the results made of it."""

    def __init__(self, members: int) -> None:
        self.turn = threading.Condition()
        self.present = [Member(self) for _ in range(members)]
        self.brought: dict[Member, Any] = {}
        self.shares: dict[Member, Any] = {}

    def make(self, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        """Compute the results of all that was brought, and wake those who wait."""
        began = time.monotonic()
        try:
            shares: dict[Member, Any] = dict(zip(self.brought, work(list(self.brought.values())), strict=True))
        except BaseException as error:
            shares = dict.fromkeys(self.brought, error)
        for member in shares:
            member.seconds += (time.monotonic() - began) / len(shares)
        self.shares |= shares
        self.brought.clear()
        self.turn.notify_all()


class Member:
    """A stage's place in a group, entered by its thread while it works, and the `seconds` that were its own."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.seconds = self.since = 0.0

    def __enter__(self) -> Member:
        self.group.turn.acquire()
        self.since = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.group.present.remove(self)
        self.group.turn.notify_all()
        self.group.turn.release()

    def clock(self) -> float:
        """Seconds of this stage's own work, and its share of the work done together."""
        return self.seconds + time.monotonic() - self.since

    def exchange(self, mine: T, work: Callable[[Sequence[T]], Sequence[R | Exception]]) -> R:
        """Wait until all who are present have brought something, and return this stage's result of the common work. If
        that fails, or its own result is an exception, its part is done alone: only who brought the cause fails."""
        group = self.group
        self.seconds = self.clock()
        group.brought[self] = mine
        while self not in group.shares:
            if len(group.brought) == len(group.present):
                group.make(work)
            else:
                group.turn.wait()
        self.since = time.monotonic()
        share = group.shares.pop(self)
        own: R = work([mine])[0] if isinstance(share, BaseException) else share  # type: ignore[assignment]
        return own


def size_of_next(stages: int, devices: int, most: int) -> int:
    """The size of the first group of so many similar stages: all have one, at most `most`, and use all devices."""
    return -(-stages // max(devices, -(-stages // most)))


def side_by_side(members: int, work: Callable[[int, Member], R]) -> list[Future[R]]:
    """The outcome of the work of each place, or its error, an exit too; each has a thread and is a member."""

    def sit(place: int, member: Member) -> R:
        with member:
            return work(place, member)

    with ThreadPoolExecutor(members) as threads:
        return [threads.submit(sit, *item) for item in enumerate(list(Group(members).present))]


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


@cache
def code_version(root: Path = ROOT) -> str:
    """The package's version and, in a checkout, 8 digits of the commit, "-dirty" where what makes numbers differs from
    it. Asked once: a process keeps the code that it started with."""
    number = version("diffusion-ablations")
    git, here = partial(check_output, cwd=root, stderr=DEVNULL, text=True), ("git", "--git-dir=.git")
    try:
        commit = git([*here, "rev-parse", "--short=8", "HEAD"]).strip()
        changed = git([*here, "diff", "--name-only", "HEAD", "--", *PACKAGES, "pyproject.toml"])
    except (OSError, CalledProcessError):
        return number
    return f"{number}+{commit}{'-dirty' if changed else ''}"
