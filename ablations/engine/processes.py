"""Worker processes on this machine, one stage at a time each (Pebble).

A worker that is killed costs its own stage alone. Each has a pool of its own, which is replaced once it is broken: a
pool of several would break with one idle worker, and lose a stage that another had taken and not yet begun. A worker
whose GPU no longer answers ends, so that another tries its stage again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from ablations.engine.journal import STOPPED, Journal
from ablations.engine.perform import perform, perform_all
from ablations.engine.stage import Stage
from ablations.engine.workers import WorkerDied, Workers

METHOD = "forkserver"
"""The way to start them: each is forked from a process that has imported what it needs."""
LOOK_SECONDS = 0.2
"""Seconds between two looks at whether an awaited stage is over."""

Begin = Callable[[], None]
"""Called in each new worker; it is pickled on its way there."""


class Share(Future[str]):
    """The future of one stage of a group that one worker runs together; `whole` is the future of the group, from which
    it learns its end, and `beside` are the futures of the others."""

    def __init__(self, stage: Stage, whole: Future[list[str | BaseException]], beside: list[Share]) -> None:
        super().__init__()
        self.stage = stage
        self.whole = whole
        self.beside = beside
        self.place = len(beside)
        beside.append(self)
        whole.add_done_callback(self._end)

    def _end(self, whole: Future[list[str | BaseException]]) -> None:
        if whole.cancelled() or whole.exception() is not None or not self.set_running_or_notify_cancel():
            return
        end = whole.result()[self.place]
        self.set_exception(end) if isinstance(end, BaseException) else self.set_result(end)


@dataclass
class Worker:
    """A process on a device, in a pool of its own, and the last stage that it was given."""

    device: str
    pool: ProcessPool
    last: Future[Any] | None = None

    @property
    def free(self) -> bool:
        """True while it has nothing to do."""
        return self.last is None or self.last.done()

    @property
    def pids(self) -> list[int]:
        """The pid of its process, where there is one: Pebble offers no other way to learn it."""
        return list(self.pool._pool_manager.worker_manager.workers)

    @property
    def broken(self) -> bool:
        """True where its pool is broken, or about to be: a pool whose process has died may still take a stage, and lose
        it."""
        last = self.last
        if last is None or not last.done() or last.cancelled():
            return not self.pool.active
        return isinstance(last.exception(), (ProcessExpired, BrokenProcessPool)) or not self.pool.active


class Processes(Workers):
    """A worker process for each of these devices, which may be named more than once; up to `most` stages that gain from
    it run side by side in each."""

    prompt = True

    def __init__(self, journal: str, devices: list[str], begin: Begin, most: int = 1) -> None:
        self.journal = Journal(Path(journal))
        self.begin = begin
        self.most = most
        self.workers = [Worker(device, self._pool()) for device in devices]

    def submit(self, stage: Stage, device: str) -> Future[str]:
        worker = self._worker(device)
        future: Future[str] = worker.pool.schedule(_perform, args=[stage, self.journal, device])
        worker.last = future
        return future

    def submit_all(self, stages: Sequence[Stage], device: str) -> list[Future[str]]:
        if len(stages) == 1:
            return [self.submit(stages[0], device)]
        worker = self._worker(device)
        whole: Future[list[str | BaseException]] = worker.pool.schedule(
            perform_all, args=[stages, self.journal, device]
        )
        worker.last = whole
        beside: list[Share] = []
        return [Share(stage, whole, beside) for stage in stages]

    def _worker(self, device: str) -> Worker:
        there = [worker for worker in self.workers if worker.device == device]
        worker = next((worker for worker in there if worker.free), there[0])
        if worker.broken:
            _end(worker.pool)
            worker.pool = self._pool()
        return worker

    def over(self, future: Future[str]) -> bool:
        """True where the future has ended; a broken pool never ends those that it has not started."""
        whole = future.whole if isinstance(future, Share) else future
        if future.done() or whole.done():
            return True
        return any(worker.last is whole and not worker.pool.active for worker in self.workers)

    def status(self, future: Future[str]) -> str:
        whole: Future[Any] = future.whole if isinstance(future, Share) else future
        while not self.over(future):
            wait([whole], LOOK_SECONDS)
        if not whole.done():
            raise WorkerDied("it was killed before it began")
        try:
            ended = whole.result()
        except (ProcessExpired, BrokenProcessPool) as error:
            raise WorkerDied(str(error)) from error
        return future.result() if isinstance(future, Share) else ended

    def cancel(self, future: Future[str]) -> None:
        if not isinstance(future, Share):
            future.cancel()
            return
        future.cancel()
        if all(share.done() for share in future.beside):
            future.whole.cancel()
        else:
            # It finds at its next report that its lease was taken away, or as it begins that it was stopped, and leaves
            # the others to go on.
            self.journal.write_failure(future.stage.id, STOPPED)
            pids = (pid for worker in self.workers if worker.last is future.whole for pid in worker.pids)
            self.journal.take_away(future.stage.id, list(pids))

    def close(self) -> None:
        for worker in self.workers:
            worker.pool.stop()  # type: ignore[no-untyped-call]
        for worker in self.workers:
            worker.pool.join()

    def _pool(self) -> ProcessPool:
        context = multiprocessing.get_context(METHOD)
        return ProcessPool(max_workers=1, context=context, initializer=_begin, initargs=(self.begin,))


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _perform(stage: Stage, journal: Journal, device: str) -> str:
    """In a worker: perform a stage; the process ends if that broke its GPU."""
    status = perform(stage, journal, device)
    if status == "failed" and stage.has_lost(device):
        # After an illegal access, say, a context fails whatever comes next.
        os._exit(1)
    return status


def _begin(begin: Begin) -> None:
    """In a new worker: begin as the driver asks, ignore Ctrl-C, and end when the driver does."""
    begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        driver = multiprocessing.parent_process()
        assert driver is not None, "a worker has a driver"
        driver.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    # torch-fidelity makes a bar even where it is silent, whose lock is otherwise a semaphore of the machine: a worker
    # that is stopped leaves it behind, with a warning.
    tqdm.set_lock(threading.RLock())
