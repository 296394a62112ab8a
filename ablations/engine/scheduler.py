"""The order in which stages start: each once the stages that it needs have finished and a worker is free.

Those added first start first, and of these the ones nearest to the end of their cell. A stage whose worker dies is
tried once more, alone. One that needs a stage that did not finish is left out. One that another command runs waits, and
is looked at again now and then.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Generic

from ablations.engine.journal import Failure, Journal
from ablations.engine.locks import STAGE_LOCK, holder
from ablations.engine.perform import ELSEWHERE
from ablations.engine.side_by_side import size_of_next
from ablations.engine.stage import Event, S
from ablations.engine.workers import DIED, Workers

POLL_SECONDS = 0.2
ELSEWHERE_SECONDS = 2.0
"""Seconds between two looks at what another command runs."""
LEFT_OUT = "left_out"
"""The status of a stage that never ran, since one that it needs did not finish."""
STOPPED = Failure("stopped", "the command was stopped")
UNSAID = {
    DIED: Failure("died", "its worker died twice"),
    "failed": Failure("machine", "not even its failure could be written: is the disk full?"),
}
"""The failures of stages that did not write down their own."""
AGAIN = 0
"""The rank of stages at their second try, before all others."""


class Scheduler(Generic[S]):
    """Stages that are `waiting`, some until a time, since they run `elsewhere`, or `running`.

    `ended` has the status of those that are over, and of all that the others need; `ranks` say which starts first: the
    number of the call that added it, then its needs, most first, then as given.
    """

    def __init__(self, journal: Journal, workers: Workers) -> None:
        self.journal, self.workers = journal, workers
        self.waiting: dict[str, S] = {}
        self.running: dict[str, S] = {}
        self.elsewhere: dict[str, float] = {}
        self.ended: dict[str, str] = {}
        self.ranks: dict[str, tuple[int, int, int]] = {}
        self.calls, self.orders = itertools.count(AGAIN + 1), itertools.count()

    def add(self, stages: Sequence[S]) -> None:
        """Add stages to run, and forget how they failed before. All that they need is added no later, or has ended."""
        call = next(self.calls)
        for stage in stages:
            if stage.id not in self.waiting and stage.id not in self.running:
                self.journal.forget_failure(stage.id)
                self.ended.pop(stage.id, None)
                self.waiting[stage.id] = stage
                self.ranks[stage.id] = (call, -len(stage.needs), next(self.orders))
        for need in {need for stage in stages for need in stage.needs}:
            if need not in self.ended and need not in self.waiting and need not in self.running:
                result = self.journal.result(need)
                self.ended[need] = "missing" if result is None else result.status

    def run(self) -> Generator[Event[S], None, None]:
        """Run all that was added. If the generator is closed, what is under way is stopped and marked interrupted."""
        try:
            while self.waiting or self.running:
                yield from self._begin()
                for stage in list(self.running.values()):
                    yield Event("progress", stage, self.journal.progress(stage.id))
                if self.running or self.elsewhere:
                    for stage_id, status in self.workers.ended(POLL_SECONDS):
                        yield self._end(self.running.pop(stage_id), status)
        finally:
            under_way, self.running = list(self.running), {}
            try:
                self.workers.close()
            finally:
                for stage_id in under_way:
                    if self.journal.result(stage_id) is None:
                        self.journal.write_failure(stage_id, STOPPED)

    def _begin(self) -> Iterator[Event[S]]:
        """Once a worker is free, leave out what never can start, and start what can."""
        ready, lost = self._sorted_out() if self.workers.free() else ([], [])
        for stage in lost:
            yield self._over(stage, LEFT_OUT)
        while ready and (free := self.workers.free()):
            group = self._next_group(ready, free)
            ready = [stage for stage in ready if stage not in group]
            ours = []
            for stage in group:
                if event := self._not_ours(stage):
                    yield event
                else:
                    ours.append(stage)
            for stage in ours:
                self.running[stage.id] = self.waiting.pop(stage.id)
                self.elsewhere.pop(stage.id, None)
            beside = tuple(stage.id for stage in ours)
            yield from (Event("started", stage, beside=beside) for stage in ours)
            if ours:
                self.workers.submit(ours, free[0])

    def _sorted_out(self) -> tuple[list[S], list[S]]:
        """The waiting stages that can start, in order, and those that never can."""
        ready, lost, now = [], [], time.monotonic()
        for stage in self.waiting.values():
            statuses = {self.ended.get(need, "") for need in stage.needs}
            if statuses - {"", "finished"}:
                lost.append(stage)
            elif "" not in statuses and self.elsewhere.get(stage.id, now) <= now:
                ready.append(stage)
        return sorted(ready, key=lambda stage: self.ranks[stage.id]), lost

    def _next_group(self, ready: list[S], free: list[str]) -> list[S]:
        """The first stage that can start, with those that gain from running beside it on the first free device."""
        first, most = ready[0], self.workers.most
        call, mark = self.ranks[first.id][0], first.shape_key(free[0]) if most > 1 else ""
        if not mark or call == AGAIN:
            return [first]
        # There may be thousands: no more are asked than all workers can take.
        near = (stage for stage in ready[: most * len(self.workers.devices)] if self.ranks[stage.id][0] == call)
        alike = [stage for stage in near if stage.shape_key(free[0]) == mark]
        return alike[: size_of_next(len(alike), len(free), most)]

    def _not_ours(self, stage: S) -> Event[S] | None:
        """The event of a stage that another command runs or has run; None for one to run here, or cut off there."""
        result = self.journal.result(stage.id)
        if result is not None:
            return self._over(stage, result.status)
        if holder(self.journal.folder(stage.id) / STAGE_LOCK):
            return self._leave(stage)
        failure = self.journal.failure(stage.id)
        return None if failure is None or failure.accidental else self._over(stage, failure.status)

    def _leave(self, stage: S) -> Event[S]:
        """Leave a stage to another command for a while."""
        known = stage.id in self.elsewhere
        self.waiting[stage.id] = stage
        self.elsewhere[stage.id] = time.monotonic() + ELSEWHERE_SECONDS
        return Event("progress" if known else "elsewhere", stage, self.journal.progress(stage.id))

    def _end(self, stage: S, status: str) -> Event[S]:
        """What becomes of a stage that ran here."""
        if status == ELSEWHERE:
            return self._leave(stage)
        if status == DIED and (result := self.journal.result(stage.id)) is not None:
            return self._over(stage, result.status)
        if status == DIED and self.ranks[stage.id][0] != AGAIN:
            self.journal.forget_failure(stage.id)
            self.waiting[stage.id] = stage
            self.ranks[stage.id] = (AGAIN, 0, next(self.orders))
            return Event("retried", stage)
        if status in UNSAID and self.journal.failure(stage.id) is None:
            self.journal.write_failure(stage.id, UNSAID[status])
        return self._over(stage, "failed" if status == DIED else status)

    def _over(self, stage: S, status: str) -> Event[S]:
        self.waiting.pop(stage.id, None)
        self.elsewhere.pop(stage.id, None)
        self.ended[stage.id] = status
        return Event("ended", stage, 1.0, status)
