"""The order in which stages start: each once the stages that it needs have finished and a device is free.

A stage whose worker dies, or stands still, is tried once more. One that needs a stage that did not finish is left out.
One that finds its input damaged is tried again once that has been made anew. More stages may be added while others run.
A stage that another command runs is left to it, and looked at again after a while: then it has its result, or is run
here. Stages that gain from it (`Stage.company`) share a device; at its second try a stage whose worker died is alone.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Generic

from ablations.engine.journal import DAMAGED, STOPPED, Failure, Journal
from ablations.engine.lease import ELSEWHERE, LOST, Holder
from ablations.engine.queue import Queue, Waiting
from ablations.engine.stage import Event, S
from ablations.engine.workers import Starts, WorkerDied, Workers

POLL_SECONDS = 0.2
ELSEWHERE_SECONDS = 2.0
"""Seconds between two looks at what other commands run."""
WATCH_SECONDS = 10.0
"""Seconds between two checks whether workers give signs of life."""
BEGUN = 10 * LOST
"""Seconds within which a worker must have begun: one that has no lease after them may have lost it unseen, and stood
still."""
TRIES = 2
FOUND = ("error", "damaged", "machine")
"""The kinds of failures that a worker writes down itself."""


@dataclass(frozen=True)
class Running(Generic[S]):
    """A stage under way `since` a moment: its future, its device, the number of this try, and the last lease before it.
    `beside` are the ids of all stages that still hold the device together."""

    stage: S
    future: Future[str]
    device: str
    tries: int
    lease: int
    beside: set[str]
    since: float


class Dispatch(Generic[S]):
    """Stages, from being added to having ended, on the devices of a launcher, and on those that join later.

    `queue` holds the stages that wait, `elsewhere` those that other commands run, `known` all that were ever added.
    `silent` are stages whose workers gave no sign of life at the last check, and `leases` the numbers of their leases.
    """

    def __init__(self, launcher: Starts, journal: Journal, devices: list[str], queue: Queue[S] | None = None) -> None:
        self.launcher = launcher
        self.journal = journal
        self.devices = devices
        self.free = list(devices)
        self.queue = queue or Queue[S]()
        self.known: dict[str, S] = {}
        self.running: list[Running[S]] = []
        self.elsewhere: dict[str, Waiting[S]] = {}
        self.looked = self.watched = time.monotonic()
        self.silent: set[str] = set()
        self.leases: dict[str, int] = {}
        self.orders = itertools.count()
        self.again = itertools.count(-1, -1)

    def add(self, stages: Sequence[S], rest_on: Iterable[S] = ()) -> None:
        """Add stages to run. The stages that each needs must be here too, have their result, or be among those they
        `rest_on`.

        A stage that is here already stays as it is; an earlier failure of a new one is forgotten. A stage that they
        `rest_on` runs again where one of them finds it damaged; one that is neither here nor has a result counts as
        unfinished, and is not waited for.
        """
        self.known |= {stage.id: stage for stage in (*rest_on, *stages)}
        for stage in stages:
            self.queue.ended.pop(stage.id, None)
        needs = {need for stage in stages for need in stage.needs}
        for need in needs:
            result = self.journal.result(need)
            if result is not None:
                self.queue.note(need, finished=result.status == "finished")
        here = self.queue.waiting.keys() | self.elsewhere.keys() | {work.stage.id for work in self.running}
        new = [stage for stage in stages if stage.id not in here]
        for stage in new:
            self.journal.forget_failure(stage.id)
            self.queue.add(Waiting.of(stage, 1, next(self.orders)))
        here_or_ended = self.queue.ended.keys() | here | {stage.id for stage in stages}
        for need in needs - here_or_ended:
            assert need in self.known, "a stage needs one that is not here"
            self.queue.note(need, finished=False)

    def run(self) -> Generator[Event[S], None, None]:
        """Run all that was added, until nothing waits. If the generator is closed, what is under way is cancelled."""
        workers = self.launcher.start(self.journal.address, self.devices)
        try:
            while self.queue.waiting or self.running or self.elsewhere:
                self.free += workers.more()
                yield from self._look_elsewhere()
                for company in self.queue.companies(self.free, workers.most, len(self.devices)):
                    yield from self._begin(workers, company)
                for work in [work for work in self.running if self._is_over(work, workers)]:
                    self._let_go(work)
                    yield self._end(work, workers)
                for work in self._standing_still(prompt=workers.prompt):
                    workers.cancel(work.future)
                    self._let_go(work)
                    yield self._died(work, f"it gave no sign of life for {LOST:.0f} seconds or more")
                for waiting in self.queue.impossible():
                    del self.queue.waiting[waiting.stage.id]
                    self.queue.note(waiting.stage.id, finished=False)
                    yield Event("left_out", waiting.stage, 1.0)
                yield from (Event("progress", w.stage, self.journal.progress(w.stage.id)) for w in self.running)
                if not (self.free and self.queue.ready(1)):
                    self._pause()
        finally:
            try:
                for work in list(self.running):
                    self.cancel(workers, work)
            finally:
                workers.close()

    def _pause(self) -> None:
        """Wait until something may have happened."""
        if self.running:
            wait([work.future for work in self.running], POLL_SECONDS, FIRST_COMPLETED)
        elif self.elsewhere:
            time.sleep(POLL_SECONDS)

    def _begin(self, workers: Workers, company: list[Waiting[S]]) -> Iterator[Event[S]]:
        """Start stages on a device, except those that another command runs, or has run since they were added."""
        ours: list[Waiting[S]] = []
        for waiting in company:
            result = self.journal.result(waiting.stage.id)
            if result is not None:
                del self.queue.waiting[waiting.stage.id]
                yield self._over(waiting.stage, result.status)
            elif self.journal.holder(waiting.stage.id) is not None:
                del self.queue.waiting[waiting.stage.id]
                yield self._leave(waiting)
            else:
                if damage := self.journal.damage(waiting.stage.id):
                    yield Event("damaged", waiting.stage, damage=f"{waiting.stage.kind} {waiting.stage.id}: {damage}")
                ours.append(waiting)
        beside = tuple(waiting.stage.id for waiting in ours)
        for waiting in ours:
            yield Event("started", waiting.stage, beside=beside)
        if ours:
            self._start(workers, ours)

    def _look_elsewhere(self) -> Iterator[Event[S]]:
        """The events of stages that other commands run, asked for now and then; a stage that was given up waits to be
        run here."""
        if time.monotonic() - self.looked < ELSEWHERE_SECONDS:
            return
        self.looked = time.monotonic()
        for waiting in list(self.elsewhere.values()):
            stage = waiting.stage
            result, failure = self.journal.result(stage.id), self.journal.failure(stage.id)
            if result is None and self.journal.holder(stage.id) is not None:
                yield Event("progress", stage, self.journal.progress(stage.id))
                continue
            del self.elsewhere[stage.id]
            if result is not None:
                yield self._over(stage, result.status)
            elif failure is not None and not failure.accidental:
                yield self._over(stage, failure.status)
            else:
                # What is said of it from now on is how it ends here.
                self.journal.forget_failure(stage.id)
                self.queue.add(waiting)

    def holders(self) -> list[Holder]:
        """The processes of other commands that run stages of this one, each listed once."""
        holders = (self.journal.holder(waiting.stage.id) for waiting in self.elsewhere.values())
        return list(dict.fromkeys(holder for holder in holders if holder is not None))

    def _leave(self, waiting: Waiting[S]) -> Event[S]:
        """Leave a stage to another command."""
        self.elsewhere[waiting.stage.id] = waiting
        return Event("elsewhere", waiting.stage, self.journal.progress(waiting.stage.id))

    def _over(self, stage: S, status: str) -> Event[S]:
        self.queue.note(stage.id, finished=status == "finished")
        return Event("ended", stage, 1.0, status)

    def _start(self, workers: Workers, company: list[Waiting[S]]) -> None:
        stages = [waiting.stage for waiting in company]
        for stage in stages:
            del self.queue.waiting[stage.id]
            # A failure that is left after this is that of a later try.
            self.journal.forget_failure(stage.id)
        device = self.free.pop(0)
        leases = [self.journal.last_touch(stage.id)[0] for stage in stages]
        try:
            futures = workers.submit_all(stages, device)
        except KeyboardInterrupt:
            # In this process, a stage is run while it is submitted.
            for stage in stages:
                self.journal.write_failure(stage.id, STOPPED)
            raise
        beside, now = {stage.id for stage in stages}, time.monotonic()
        started = zip(company, futures, leases, strict=True)
        self.running += [Running(w.stage, future, device, w.tries, lease, beside, now) for w, future, lease in started]

    def _is_over(self, work: Running[S], workers: Workers) -> bool:
        """True where a stage has ended; one that runs beside others may have done so before them."""
        return workers.over(work.future) or (len(work.beside) > 1 and self._left(work.stage) is not None)

    def _left(self, stage: S) -> str | None:
        """The status that the journal has of a stage that runs beside others; None while it may be under way."""
        result, failure = self.journal.result(stage.id), self.journal.failure(stage.id)
        if result is not None:
            return result.status
        if failure is None or failure.kind not in FOUND or self.journal.holder(stage.id) is not None:
            return None
        return DAMAGED if failure.kind == "damaged" else failure.status

    def cancel(self, workers: Workers, work: Running[S]) -> None:
        """Stop a stage that is under way: it is marked interrupted unless it has its result, and its device is free."""
        self._let_go(work)
        workers.cancel(work.future)
        if self.journal.result(work.stage.id) is None:
            self.journal.write_failure(work.stage.id, STOPPED)

    def _let_go(self, work: Running[S]) -> None:
        self.running.remove(work)
        self.leases.pop(work.stage.id, None)
        work.beside.discard(work.stage.id)
        if not work.beside:
            self.free.append(work.device)

    def _end(self, work: Running[S], workers: Workers) -> Event[S]:
        left = self._left(work.stage) if work.beside else None
        if left is not None:
            # Nobody waits for it any more, and its worker is free once the others are over.
            work.future.cancel()
        try:
            status = workers.status(work.future) if left is None else left
        except WorkerDied as error:
            return self._died(work, str(error))
        except OSError as error:
            # The worker could not even write down its failure: the disk is full, say. The driver's turn to try.
            status = self._failed(work.stage, Failure("machine", f"its journal could not be written: {error}"))
        if status == ELSEWHERE:
            return self._leave(Waiting.of(work.stage, work.tries, next(self.orders)))
        if status == DAMAGED:
            return self._mend(work)
        return self._over(work.stage, status)

    def _died(self, work: Running[S], why: str) -> Event[S]:
        """Try a stage once more whose worker is gone."""
        if work.tries < TRIES:
            self.queue.add(Waiting.of(work.stage, work.tries + 1, next(self.again)))
            return Event("died", work.stage)
        failure = Failure("died", f"its worker died {TRIES} times: {why}")
        return self._over(work.stage, self._failed(work.stage, failure))

    def _standing_still(self, *, prompt: bool) -> list[Running[S]]:
        """The stages whose workers stand still.

        At two looks in a row the lease was lost: it was not touched for too long, belongs to another process by now, or
        is gone, because another has run the stage to its end. A `prompt` stage may also have had no lease at all. One
        that has yet to begin beside such a stage might wait for its turn for ever, so it counts too. After a sleep of
        the whole machine the first look comes before any worker has had the time to touch its lease.
        """
        if time.monotonic() - self.watched < WATCH_SECONDS:
            return []
        self.watched = time.monotonic()
        silent = {work.stage.id for work in self.running if self._is_silent(work, prompt=prompt)}
        waiting = {work.stage.id for work in self.running if work.beside & silent and work.stage.id not in self.leases}
        before, self.silent = self.silent, silent | waiting
        return [work for work in self.running if work.stage.id in self.silent & before]

    def _is_silent(self, work: Running[S], *, prompt: bool) -> bool:
        name, late = work.stage.id, prompt and self.watched - work.since > BEGUN
        number, seconds = self.journal.last_touch(name)
        if number <= work.lease:
            return late or name in self.leases or bool(self.journal.result(name) or self.journal.failure(name))
        return self.leases.setdefault(name, number) != number or seconds > LOST

    def _mend(self, work: Running[S]) -> Event[S]:
        """Have the damaged input of a stage made anew, and try the stage once more afterwards."""
        failure = self.journal.failure(work.stage.id)
        lost = [need for need in work.stage.needs if self.journal.result(need) is None]
        if work.tries == TRIES or not all(need in self.known for need in lost):
            return self._over(work.stage, "failed")
        self.add([self.known[need] for need in lost])
        self.queue.add(Waiting.of(work.stage, work.tries + 1, next(self.orders)))
        return Event("damaged", work.stage, damage="" if failure is None else failure.message)

    def _failed(self, stage: S, failure: Failure) -> str:
        self.journal.write_failure(stage.id, failure)
        return failure.status
