"""The place where stages run: a launcher is chosen like a choice of an axis, and changes no number and no identity.

    Launcher.start ──▶ Workers, to which the scheduler gives stages (`engine.scheduler`)

On this machine it is worker processes, each forked from one that has imported what it needs, or the command's own
process. With GPUs there are so many workers per GPU; otherwise as many as the cores hold, at the cells' threads.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Annotated

import torch
from pydantic import Field
from tqdm import tqdm

from ablations.engine.journal import Journal
from ablations.engine.workers import Processes, ThisProcess, Workers, warm_up
from ablations.settings import grammar, plugins
from ablations.settings.registry import build
from ablations.settings.request import Common, check_device
from analysis.errors import InputError
from diffusion_core.precision import Asked, Precision, resolve_precision

Shares = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True)
class Launcher(ABC):
    """A place where stages run, in workers that train up to `together` networks side by side. A cell's bound and its
    samples are computed in so many `shares`, by a worker each: for large networks, of which there are few cells."""

    together = 1
    shares = 1

    @abstractmethod
    def devices(self, device: str, threads: int) -> list[str]:
        """The devices on which stages run at a time, for the `device` that was asked for and cells of so many threads.
        InputError where there is none such."""

    def precision(self, asked: Asked, device: str) -> Precision:
        """The precision that cells with this setting are trained in on a device."""
        return resolve_precision(asked, torch.device(device))

    @abstractmethod
    def start(self, journal: Journal, devices: list[str]) -> Workers:
        """Workers that run stages with this journal on these devices."""


def launcher_of(request: Common) -> Launcher:
    """The launcher that a command asks for; InputError where its name or a field is wrong."""
    values = grammar.load("launcher", request.launcher) | request.launcher_fields
    launcher: Launcher = build("launcher", values)
    return launcher


def found_devices(device: str) -> list[str]:
    """All devices of this machine that `device` (auto, cpu, cuda, cuda:N) means; InputError where there is none."""
    check_device(device)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= count:
        raise InputError(f"device={device} is not here: this machine has {count} CUDA devices; take device=cpu or auto")
    if device == "cpu" or (device == "auto" and not count):
        return ["cpu"]
    return [f"cuda:{i}" for i in range(count)] if device in ("auto", "cuda") else [device]


def cores() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Local(Launcher):
    """Processes here: `workers` of them, or by default `per_gpu` on each GPU, or as many as the cores hold. On a CPU
    each trains up to `together` small networks of one shape side by side, which is faster and changes no number."""

    workers: Annotated[int, Field(ge=1, le=4096)] | None = None
    per_gpu: Annotated[int, Field(ge=1)] = 1
    together: Annotated[int, Field(ge=1, le=64)] = 8
    shares: Shares = 1

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
