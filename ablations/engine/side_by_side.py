"""Stages side by side in one process: each in a thread of its own, and one thread works at a time.

    work ─▶ exchange: wait until all have brought their batch; one computes for all; each takes its result ─▶ work ─▶ …

So what one stage does to the process (its global random numbers, say) does not mix with another's. A stage that ends or
fails leaves the others to go on. This module does not know what they compute together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

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
