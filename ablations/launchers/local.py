"""Worker processes on this machine, one stage at a time each (Pebble).

Each is forked from a process that has imported what it needs (`warm`). A worker that is killed costs its stage alone.
With GPUs there is one worker per GPU; otherwise as many as the cores hold at the cells' threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from ablations.launchers.protocol import Launcher, WorkerDied, Workers, cores, found_devices
from ablations.launchers.warm import METHOD, warm_up
from ablations.settings import plugins
from ablations.stages.kinds import Stage
from ablations.workers.perform import perform


@dataclass(frozen=True)
class Local(Launcher):
    """Processes here: `workers` of them, or by default one per GPU, or as many as the cores hold."""

    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"launcher.workers must be at least 1, got {self.workers}")

    def devices(self, device: str, threads: int) -> list[str]:
        found = found_devices(device)
        if found == ["cpu"]:
            return found * (self.workers or max(1, cores() // threads))
        return found[: self.workers or len(found)]

    def start(self, root: Path, devices: list[str]) -> Workers:
        return Processes(root, len(devices))


class Processes(Workers):
    """A pool of so many worker processes."""

    def __init__(self, root: Path, count: int) -> None:
        warm_up()
        context = multiprocessing.get_context(METHOD)
        self.root = root
        self.pool = ProcessPool(max_workers=count, context=context, initializer=_begin, initargs=(plugins.modules(),))

    def submit(self, stage: Stage, device: str) -> Future[str]:
        future: Future[str] = self.pool.schedule(perform, args=[stage, str(self.root), device])
        return future

    def status(self, future: Future[str]) -> str:
        try:
            return future.result()
        except ProcessExpired as error:
            raise WorkerDied(str(error)) from error

    def cancel(self, future: Future[str]) -> None:
        future.cancel()

    def close(self) -> None:
        self.pool.stop()  # type: ignore[no-untyped-call]
        self.pool.join()


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
