"""This machine: worker processes, each forked from one that has imported what it needs, or the command's own process.

With GPUs there are so many workers per GPU, and each uses that GPU alone; otherwise as many as the cores hold, at the
cells' number of threads. Stages go through the same journal, and give the same numbers, either way.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from ablations.engine.journal import Journal
from ablations.engine.workers import Processes, ThisProcess, Workers, warm_up
from ablations.launchers.protocol import Launcher, cores, found_devices
from ablations.settings import plugins


@dataclass(frozen=True)
class Local(Launcher):
    """Processes here: `workers` of them, or by default `per_gpu` on each GPU, or as many as the cores hold. On a CPU
    each trains up to `together` small networks of one shape side by side, which is faster and changes no number."""

    workers: Annotated[int, Field(ge=1, le=4096)] | None = None
    per_gpu: Annotated[int, Field(ge=1)] = 1
    together: Annotated[int, Field(ge=1, le=64)] = 8

    def devices(self, device: str, threads: int) -> list[str]:
        names = found_devices(device)
        if names == ["cpu"]:
            return names * (self.workers or max(1, cores() // threads))
        return (names * self.per_gpu)[: self.workers]

    def start(self, journal: Journal, devices: list[str]) -> Workers:
        warm_up()
        return Processes(journal, devices, partial(_begin, plugins.modules()), self.together)


def _begin(modules: list[str]) -> None:
    """In a new worker: import the modules that register the classes of its command."""
    # torch-fidelity makes a bar even where it is silent, whose lock is otherwise a semaphore of the machine: a worker
    # that is stopped leaves it behind, with a warning.
    tqdm.set_lock(threading.RLock())
    for name in modules:
        import_module(name)


@dataclass(frozen=True)
class Serial(Launcher):
    """One stage at a time, in this process: for a debugger, a profiler, or where processes cannot be started."""

    def devices(self, device: str, threads: int) -> list[str]:
        return found_devices(device)[:1]

    def start(self, journal: Journal, devices: list[str]) -> Workers:
        return ThisProcess(journal, devices[0])
