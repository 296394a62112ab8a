"""Stages side by side in one process: each in a thread of its own, and one thread works at a time.

    work ─▶ meet: wait until all have brought their batch; one computes for all; each takes its result ─▶ work ─▶ …

So what one stage does to the process (its global random numbers, say) does not mix with another's. A stage that ends or
fails leaves the others to go on. This module does not know what they compute together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Company:
    """The stages that are present, what the waiting ones have brought, and the results made of it."""

    def __init__(self, seats: int) -> None:
        self.floor = threading.Condition()
        self.present = [Seat(self) for _ in range(seats)]
        self.brought: dict[Seat, Any] = {}
        self.shares: dict[Seat, Any] = {}

    def make(self, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        """Compute the results of all that was brought, and wake those who wait."""
        began = time.monotonic()
        try:
            shares: dict[Seat, Any] = dict(zip(self.brought, work(list(self.brought.values())), strict=True))
        except BaseException as error:
            shares = dict.fromkeys(self.brought, error)
        for seat in shares:
            seat.seconds += (time.monotonic() - began) / len(shares)
        self.shares |= shares
        self.brought.clear()
        self.floor.notify_all()


class Seat:
    """A stage's place in a company, entered by its thread while it works, and the `seconds` that were its own."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.seconds = self.since = 0.0

    def __enter__(self) -> Seat:
        self.company.floor.acquire()
        self.since = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.company.present.remove(self)
        self.company.floor.notify_all()
        self.company.floor.release()

    def clock(self) -> float:
        """Seconds of this stage's own work, and its share of the work done together."""
        return self.seconds + time.monotonic() - self.since

    def meet(self, mine: T, work: Callable[[Sequence[T]], Sequence[R | Exception]]) -> R:
        """Wait until all who are present have brought something, and return this stage's result of the common work. If
        that fails, or its own result is an exception, its part is done alone: only who brought the cause fails."""
        company = self.company
        self.seconds = self.clock()
        company.brought[self] = mine
        while self not in company.shares:
            if len(company.brought) == len(company.present):
                company.make(work)
            else:
                company.floor.wait()
        self.since = time.monotonic()
        share = company.shares.pop(self)
        own: R = work([mine])[0] if isinstance(share, BaseException) else share  # type: ignore[assignment]
        return own


def size_of_next(stages: int, devices: int, most: int) -> int:
    """The size of the first company of so many similar stages: all have one, at most `most`, and use all devices."""
    return -(-stages // max(devices, -(-stages // most)))


def side_by_side(seats: int, work: Callable[[int, Seat], R]) -> list[R | BaseException]:
    """The outcome of the work of each place, or its error, an exit too: each has a thread and a seat in a company."""
    ends: dict[int, R | BaseException] = {}

    def sit(place: int, seat: Seat) -> None:
        with seat:
            try:
                ends[place] = work(place, seat)
            except BaseException as error:
                ends[place] = error

    threads = [threading.Thread(target=sit, args=item) for item in enumerate(list(Company(seats).present))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [ends[place] for place in range(seats)]
