"""The order in which stages start: each once the stages that it needs have finished and a worker is free.

Those added first start first, and of these the ones nearest to the end of their cell. A stage whose worker dies is
tried once more, alone. One that needs a stage that did not finish is left out. One that another command runs waits, and
is tried again now and then.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from typing import Generic

from ablations.engine.journal import STATUS, Failure, Journal
from ablations.engine.stage import Event, S, size_of_next
from ablations.engine.workers import DIED, ELSEWHERE, Workers

POLL_SECONDS = 0.2
ELSEWHERE_SECONDS = 2.0
AGAIN = 0
"""The rank of stages at their second try, before all others."""


class Scheduler(Generic[S]):
    """Stages that are `waiting`, some until a time, since they ran `elsewhere`, or `running`.

    `finished` says of those that are over, and of all that the others need, whether they did; `ranks`, which starts
    first: the number of the call that added it, then its needs, most first.
    """

    def __init__(self, journal: Journal, workers: Workers) -> None:
        self.journal, self.workers = journal, workers
        self.waiting: dict[str, S] = {}
        self.running: dict[str, S] = {}
        self.elsewhere: dict[str, float] = {}
        self.finished: dict[str, bool] = {}
        self.ranks: dict[str, tuple[int, int]] = {}
        self.calls = AGAIN

    def add(self, stages: Sequence[S]) -> None:
        """Add stages to run, and forget how they failed before. All that they need is added no later, or has ended."""
        self.calls += 1
        for stage in stages:
            if stage.id not in self.waiting and stage.id not in self.running:
                self.journal.discard(stage.id, STATUS)
                self.finished.pop(stage.id, None)
                self.waiting[stage.id] = stage
                self.ranks[stage.id] = (self.calls, -len(stage.needs))
        scheduled = self.waiting.keys() | self.running.keys() | self.finished.keys()
        for need in {need for stage in stages for need in stage.needs} - scheduled:
            result = self.journal.result(need)
            self.finished[need] = result is not None and result.status == "finished"

    def run(self) -> Generator[Event[S], None, None]:
        """Run all that was added. If the generator is closed, what is under way is stopped and marked interrupted."""
        try:
            while self.waiting or self.running:
                yield from self._begin()
                for stage in list(self.running.values()):
                    yield Event("progress", stage, self.journal.progress(stage.id))
                if self.running:
                    for stage_id, status in self.workers.ended(POLL_SECONDS):
                        yield self._end(self.running.pop(stage_id), status)
                elif self.waiting:
                    # In other commands.
                    time.sleep(POLL_SECONDS)
        finally:
            self.workers.close()
            for stage_id in self.running:
                if self.journal.result(stage_id) is None:
                    self.journal.write_failure(stage_id, Failure("stopped", "the command was stopped"))

    def _begin(self) -> Iterator[Event[S]]:
        """Leave out what never can start, and start what can while a worker is free."""
        while lost := [stage for stage in self.waiting.values() if False in map(self.finished.get, stage.needs)]:
            for stage in lost:
                del self.waiting[stage.id]
                yield self._over(stage, "left_out")
        while (free := self.workers.free()) and (group := self._next_group(free)):
            for stage in group:
                self.running[stage.id] = self.waiting.pop(stage.id)
                yield Event("started", stage)
            self.workers.submit(group, free[0])

    def _next_group(self, free: list[str]) -> list[S]:
        """The first stage that can start, with those that gain from running beside it on the first free device."""
        now, most = time.monotonic(), self.workers.most

        def can_start(stage: S) -> bool:
            return all(map(self.finished.get, stage.needs)) and self.elsewhere.get(stage.id, now) <= now

        ready = sorted(filter(can_start, self.waiting.values()), key=lambda stage: self.ranks[stage.id])
        call = self.ranks[ready[0].id][0] if ready else AGAIN
        mark = ready[0].shape_key(free[0]) if call != AGAIN and most > 1 else ""
        if not mark:
            return ready[:1]
        # There may be thousands: no more are asked than all workers can take.
        near = (stage for stage in ready[: most * len(self.workers.devices)] if self.ranks[stage.id][0] == call)
        alike = [stage for stage in near if stage.shape_key(free[0]) == mark]
        return alike[: size_of_next(len(alike), len(free), most)]

    def _end(self, stage: S, status: str) -> Event[S]:
        """The event that the end of a run, or of a try, here comes to."""
        if status == ELSEWHERE:
            announced = stage.id in self.elsewhere
            self.elsewhere[stage.id] = time.monotonic() + ELSEWHERE_SECONDS
            self.waiting[stage.id] = stage
            return Event("progress" if announced else "elsewhere", stage, self.journal.progress(stage.id))
        if status == DIED and self.ranks[stage.id][0] != AGAIN:
            self.ranks[stage.id] = (AGAIN, 0)
            self.waiting[stage.id] = stage
            return Event("retried", stage)
        if status == DIED and self.journal.failure(stage.id) is None:
            self.journal.write_failure(stage.id, Failure("died", "its worker died twice"))
        return self._over(stage, "failed" if status == DIED else status)

    def _over(self, stage: S, status: str) -> Event[S]:
        self.finished[stage.id] = status == "finished"
        return Event("ended", stage, 1.0, status)
