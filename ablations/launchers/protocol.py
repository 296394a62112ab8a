"""Axis: where stages run.

    Launcher ──▶ Workers: each takes a stage and a device, and gives a future of how the stage ended
    Dispatch ──▶ which stage starts when, on which device (`engine.dispatch`)

A launcher is a choice like any other: a frozen class, a file in `configs/launcher/`, fields that are set as
`launcher.FIELD=`. Where stages run is no part of any identity, and changes no number.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from ablations.engine.workers import Workers
from ablations.settings import grammar
from ablations.settings.registry import build
from ablations.settings.request import Common, check_device
from ablations.stages.devices import devices_of
from ablations.stages.machine import kind_of_machine
from analysis.errors import InputError
from diffusion_core.precision import Asked, Precision, resolve_precision

T = TypeVar("T")


@dataclass(frozen=True)
class Launcher(ABC):
    """A place where stages run."""

    @abstractmethod
    def devices(self, device: str, threads: int) -> list[str]:
        """The devices on which stages run at a time, for the `device` that was asked for and cells of so many threads.
        InputError where there is none such."""

    @property
    def most(self) -> int:
        """The most trainings that a worker runs side by side."""
        return 1

    def packed(self, devices: list[str], fit: Callable[[list[str]], int]) -> list[str]:
        """These devices, each repeated where the launcher lets several stages run at a time on a GPU by its memory:
        `fit` measures how many fit on each."""
        return devices

    def there(self, device: str, function: Callable[..., T], *given: Any) -> T:
        """The value of a function, called where stages with this device run: here, unless that is elsewhere."""
        return function(*given)

    def precision(self, asked: Asked, device: str) -> Precision:
        """The precision that cells with this setting are trained in on a device."""
        return self.there(device, resolve_precision, asked, torch.device(devices_of(device)[0]))

    def kind(self, device: str) -> str:
        """The kind of machine that stages run on; "" where there may be several."""
        return self.there(device, kind_of_machine, torch.device(devices_of(device)[0]))

    @abstractmethod
    def start(self, journal: str, devices: list[str]) -> Workers:
        """Workers that keep their journal in this folder."""


def launcher_of(request: Common) -> Launcher:
    """The launcher that a command asks for; InputError where its name or a field is wrong."""
    values = grammar.load("launcher", request.launcher) | request.launcher_fields
    launcher: Launcher = build("launcher", values, Launcher)
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
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))
