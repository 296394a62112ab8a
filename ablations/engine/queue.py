"""Stages that wait: which of them can start, since all that they need has finished, and which never can.

What may start is looked for among the stages of which something changed only: there may be thousands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic

from ablations.engine.company import size_of_next
from ablations.engine.stage import S


@dataclass(frozen=True, order=True)
class Waiting(Generic[S]):
    """A stage that waits for a try; those nearest to the end of their cell start first, and of these in `order`."""

    priority: int
    order: int
    stage: S = field(compare=False)
    tries: int = field(compare=False)

    @staticmethod
    def of(stage: S, tries: int, order: int) -> Waiting[S]:
        """The same with the priority of a stage."""
        return Waiting(-len(stage.needs), order, stage, tries)

    def company(self, device: str) -> str:
        """The mark that it shares with those that it may run beside; "" where it is to be alone."""
        return self.stage.company(device) if self.tries == 1 else ""


class Queue(Generic[S]):
    """Stages that are `waiting`, and how those that they may need have `ended`: True where one finished.

    `startable` is a heap of those whose needs were all met when they were last looked at, `behind` says who needs a
    stage, and `unseen` are those that are to be looked at. A stage that is `late` is one for others: it starts here if
    there is nothing else to do.
    """

    def __init__(self, late: Callable[[S], bool] = lambda _: False) -> None:
        self.late = late
        self.waiting: dict[str, Waiting[S]] = {}
        self.ended: dict[str, bool] = {}
        self.startable: list[Waiting[S]] = []
        self.lost: list[Waiting[S]] = []
        self.unseen: set[str] = set()
        self.behind: dict[str, set[str]] = {}

    def add(self, waiting: Waiting[S]) -> None:
        """Have a stage wait until it can start."""
        self.waiting[waiting.stage.id] = waiting
        self.unseen.add(waiting.stage.id)
        for need in waiting.stage.needs:
            self.behind.setdefault(need, set()).add(waiting.stage.id)

    def note(self, stage_id: str, *, finished: bool) -> None:
        """Note how a stage ended: those behind it are to be looked at."""
        self.ended[stage_id] = finished
        self.unseen |= self.behind.get(stage_id, set())

    def _look(self) -> None:
        """Sort what is unseen into what can start and what never can."""
        for waiting in sorted(self.waiting[stage_id] for stage_id in self.unseen if stage_id in self.waiting):
            if self._met(waiting.stage):
                heappush(self.startable, waiting)
            elif not self._possible(waiting.stage):
                self.lost.append(waiting)
        self.unseen.clear()

    def ready(self, free: int) -> list[Waiting[S]]:
        """The first stages that can start now, those nearest to the end of their cell first, and late ones last."""
        self._look()
        ready: dict[str, Waiting[S]] = {}
        late: dict[str, Waiting[S]] = {}
        while self.startable and len(ready) < free:
            waiting = heappop(self.startable)
            if self._waits(waiting) and self._met(waiting.stage):
                (late if self.late(waiting.stage) else ready)[waiting.stage.id] = waiting
        for waiting in (*ready.values(), *late.values()):
            heappush(self.startable, waiting)
        return [*ready.values(), *late.values()][:free]

    def companies(self, free: list[str], most: int, devices: int) -> list[list[Waiting[S]]]:
        """The stages that can start now, for each of the `devices` that is free those that share it, `most` of them: as
        few as use all that are free."""
        ready, companies = self.ready(most * max(devices, len(free))), list[list[Waiting[S]]]()
        while ready and len(companies) < len(free):
            device = free[len(companies)]
            first, shared = ready[0], ready[0].company(device)
            alike = [waiting for waiting in ready if waiting is first or (shared and waiting.company(device) == shared)]
            company = alike[: size_of_next(len(alike), len(free) - len(companies), most)]
            companies.append(company)
            ready = [waiting for waiting in ready if waiting not in company]
        return companies

    def impossible(self) -> list[Waiting[S]]:
        """The stages that wait for what did not finish."""
        self._look()
        # One is here twice where two that it needs failed one after the other.
        lost, self.lost = sorted(dict.fromkeys(self.lost), key=lambda waiting: waiting.order), []
        return [waiting for waiting in lost if self._waits(waiting) and not self._possible(waiting.stage)]

    def _waits(self, waiting: Waiting[S]) -> bool:
        return self.waiting.get(waiting.stage.id) is waiting

    def _met(self, stage: S) -> bool:
        return all(self.ended.get(need) for need in stage.needs)

    def _possible(self, stage: S) -> bool:
        """True where all that a stage needs finished, or may still do so."""
        return all(self.ended.get(need, True) for need in stage.needs)
