"""Worker processes on this machine, one stage at a time each (Pebble).

Each is forked from a process that has imported what it needs (`warm`). A worker that is killed costs its stage alone,
and nothing where it had none: each has a pool of its own, which is replaced once it is broken, for a pool of several
would break with an idle one, and lose a stage that one took and did not begin.
With GPUs there are so many workers per GPU, each of which opens no other; otherwise as many as the cores hold at the
cells' threads. A worker whose GPU no longer answers ends, so that its stage is tried again by another.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from ablations.engine.stage import Stage
from ablations.engine.workers import WorkerDied, Workers
from ablations.launchers.protocol import Launcher, cores, found_devices
from ablations.launchers.warm import METHOD, warm_up
from ablations.settings.plugins import classes as plugins
from ablations.stages.devices import SEPARATOR, answers
from ablations.stages.perform import perform
from analysis.format.errors import InputError

AUTO = "auto"
MOST_WORKERS = 4096
LOOK_SECONDS = 0.2
"""Between two looks at whether a stage is over that is waited for."""


@dataclass(frozen=True)
class Local(Launcher):
    """Processes here: `workers` of them, or by default `per_gpu` on each GPU, or as many as the cores hold.

    With `per_gpu=auto` they are as many on each GPU as its memory holds, which is measured. Large cells are trained on
    `gpus_per_cell` GPUs each.
    """

    workers: int | None = None
    per_gpu: int | str = 1
    gpus_per_cell: int = 1

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"launcher.workers must be at least 1, got {self.workers}")
        if self.workers is not None and self.workers > MOST_WORKERS:
            raise ValueError(f"launcher.workers must be at most {MOST_WORKERS}, got {self.workers}: each is a process")
        if self.per_gpu != AUTO and (isinstance(self.per_gpu, str) or self.per_gpu < 1):
            raise ValueError(
                f"launcher.per_gpu must be at least 1, the cells at a time on a GPU, or auto, got {self.per_gpu}"
            )

        if self.gpus_per_cell < 1:
            raise ValueError(f"launcher.gpus_per_cell must be at least 1, got {self.gpus_per_cell}")
        if self.gpus_per_cell > 1 and self.per_gpu != 1:
            raise ValueError(
                f"launcher.gpus_per_cell={self.gpus_per_cell} spreads a large cell over GPUs, and "
                f"launcher.per_gpu={self.per_gpu} puts small ones on the same: leave one of them out"
            )

    def devices(self, device: str, threads: int) -> list[str]:
        found = found_devices(device)
        if self.gpus_per_cell > 1:
            return self._limited(self._together([one for one in found if one.startswith("cuda")], device))
        if found == ["cpu"]:
            return found * (self.workers or max(1, cores() // threads))
        return self._limited(found * self.per_gpu if isinstance(self.per_gpu, int) else found)

    def packed(self, devices: list[str], fit: Callable[[list[str]], int]) -> list[str]:
        gpus = [device for device in dict.fromkeys(devices) if device.startswith("cuda")]
        return self._limited(gpus * fit(gpus)) if gpus and self.per_gpu == AUTO else devices

    def _together(self, gpus: list[str], asked: str) -> list[str]:
        """GPUs by so many for a cell, as one device each; InputError where there are fewer."""
        each = self.gpus_per_cell
        if len(gpus) < each:
            raise InputError(
                f"launcher.gpus_per_cell={each} asks for so many GPUs, and device={asked} means {len(gpus)} here: take "
                "fewer, or leave it out"
            )
        return [SEPARATOR.join(gpus[start : start + each]) for start in range(0, len(gpus) - each + 1, each)]

    def _limited(self, devices: list[str]) -> list[str]:
        return devices[: self.workers or len(devices)]

    def start(self, journal: str, devices: list[str]) -> Workers:
        return Processes(journal, devices)


@dataclass
class Worker:
    """A process on a device, in a pool of its own, and the last stage that it was given."""

    device: str
    pool: ProcessPool
    last: Future[str] | None = None

    @property
    def free(self) -> bool:
        """Whether it has nothing to do."""
        return self.last is None or self.last.done()

    @property
    def broken(self) -> bool:
        """Whether its pool is, or will be: one whose process has died may still take a stage, and lose it."""
        last = self.last
        if last is None or not last.done() or last.cancelled():
            return not self.pool.active
        return isinstance(last.exception(), (ProcessExpired, BrokenProcessPool)) or not self.pool.active


class Processes(Workers):
    """A worker process for each of these devices, which may be named more than once."""

    def __init__(self, journal: str, devices: list[str]) -> None:
        warm_up()
        self.journal = journal
        self.workers = [Worker(device, _pool()) for device in devices]

    def submit(self, stage: Stage, device: str) -> Future[str]:
        there = [worker for worker in self.workers if worker.device == device]
        worker = next((worker for worker in there if worker.free), there[0])
        if worker.broken:
            _end(worker.pool)
            worker.pool = _pool()
        future: Future[str] = worker.pool.schedule(_perform, args=[stage, self.journal, device])
        worker.last = future
        return future

    def over(self, future: Future[str]) -> bool:
        """A pool that is broken forgets what it has not given away yet."""
        return future.done() or any(worker.last is future and not worker.pool.active for worker in self.workers)

    def status(self, future: Future[str]) -> str:
        while not self.over(future):
            wait([future], LOOK_SECONDS)
        if not future.done():
            raise WorkerDied("it was killed before it began")
        try:
            return future.result()
        except (ProcessExpired, BrokenProcessPool) as error:
            raise WorkerDied(str(error)) from error

    def cancel(self, future: Future[str]) -> None:
        future.cancel()

    def close(self) -> None:
        for worker in self.workers:
            worker.pool.stop()  # type: ignore[no-untyped-call]
        for worker in self.workers:
            worker.pool.join()


def _pool() -> ProcessPool:
    """A pool of one process."""
    context = multiprocessing.get_context(METHOD)
    return ProcessPool(max_workers=1, context=context, initializer=_begin, initargs=(plugins.modules(),))


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _perform(stage: Stage, journal: str, device: str) -> str:
    """In a worker: perform a stage; the process ends where that has cost it its GPU."""
    status = perform(stage, journal, device)
    if status == "failed" and not answers(device):
        # After an illegal access, say, a context fails whatever comes next.
        os._exit(1)
    return status


def _begin(modules: list[str]) -> None:
    """In a new worker: know what the driver has registered, leave Ctrl-C to it, and end with it."""
    plugins.import_modules(modules)
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
