"""The place where stages run: a launcher is chosen like a choice of an axis, and changes no number and no identity.

    Launcher.start ──▶ Workers, to which the scheduler gives stages (`engine.scheduler`)

It is a frozen class with a file in `configs/launcher/`, whose fields are set as `launcher.FIELD=`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from ablations.engine.journal import Journal
from ablations.engine.workers import Workers
from ablations.settings import grammar
from ablations.settings.registry import build
from ablations.settings.request import Common, check_device
from analysis.errors import InputError
from diffusion_core.precision import Asked, Precision, resolve_precision


@dataclass(frozen=True)
class Launcher(ABC):
    """A place where stages run, in workers that train up to `together` networks side by side."""

    together = 1

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
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))
