"""Stages that wait: which of them can start, since all that they need has finished, and which never can.

What may start is looked for among the stages of which something changed only: there may be thousands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from ablations.engine.stage import Stage


@dataclass(frozen=True, order=True)
class Waiting:
    """A stage that waits for a try; those nearest to the end of their cell start first, and of these in `order`."""

    priority: int
    order: int
    stage: Stage = field(compare=False)
    tries: int = field(compare=False)

    @staticmethod
    def of(stage: Stage, tries: int, order: int) -> Waiting:
        """The same with the priority of a stage."""
        return Waiting(-len(stage.needs), order, stage, tries)


class Queue:
    """Stages that are `waiting`, and how those that they may need have `ended`: True where one finished.

    `startable` is a heap of those whose needs were all met when they were last looked at, `behind` says who needs a
    stage, and `unseen` are those that are to be looked at.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, Waiting] = {}
        self.ended: dict[str, bool] = {}
        self.startable: list[Waiting] = []
        self.lost: list[Waiting] = []
        self.unseen: set[str] = set()
        self.behind: dict[str, set[str]] = {}

    def add(self, one: Waiting) -> None:
        """Have a stage wait until it can start."""
        self.waiting[one.stage.id] = one
        self.unseen.add(one.stage.id)
        for need in one.stage.needs:
            self.behind.setdefault(need, set()).add(one.stage.id)

    def note(self, stage_id: str, *, finished: bool) -> None:
        """How a stage ended: those behind it are to be looked at."""
        self.ended[stage_id] = finished
        self.unseen |= self.behind.get(stage_id, set())

    def _look(self) -> None:
        """Sort what is unseen into what can start and what never can."""
        for one in sorted(self.waiting[stage_id] for stage_id in self.unseen if stage_id in self.waiting):
            if self._met(one.stage):
                heappush(self.startable, one)
            elif not self._possible(one.stage):
                self.lost.append(one)
        self.unseen.clear()

    def ready(self, free: int) -> list[Waiting]:
        """The first stages that can start now, those nearest to the end of their cell first."""
        self._look()
        ready: list[Waiting] = []
        while self.startable and len(ready) < free:
            one = heappop(self.startable)
            if self._waits(one) and self._met(one.stage) and one not in ready:
                ready.append(one)
        for one in ready:
            heappush(self.startable, one)
        return ready

    def impossible(self) -> list[Waiting]:
        """The stages that wait for what did not finish."""
        self._look()
        # One is here twice where two that it needs failed one after the other.
        lost, self.lost = sorted(dict.fromkeys(self.lost), key=lambda one: one.order), []
        return [one for one in lost if self._waits(one) and not self._possible(one.stage)]

    def _waits(self, one: Waiting) -> bool:
        return self.waiting.get(one.stage.id) is one

    def _met(self, stage: Stage) -> bool:
        """Whether all that a stage needs finished."""
        return all(self.ended.get(need) for need in stage.needs)

    def _possible(self, stage: Stage) -> bool:
        """Whether all that a stage needs finished, or may still do so."""
        return all(self.ended.get(need, True) for need in stage.needs)
