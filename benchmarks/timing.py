"""Ratios that hold on a busy machine: all cases take turns, round after round, and medians are compared.

ratio = median over rounds of (seconds of the case in a round / seconds of the reference in the same round)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch

from ablations.stages.devices import processor


@dataclass(frozen=True)
class Timing:
    """Median seconds of one call, and the median ratio to the reference."""

    seconds: float
    ratio: float


def interleaved(cases: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, Timing]:
    """Every case timed in every round after one call that is not counted; the first case is the reference."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()
    for _ in range(rounds):
        for name, case in cases.items():
            seconds[name].append(timed(case, device))
    first = next(iter(seconds.values()))
    ratios = {name: [a / b for a, b in zip(values, first, strict=True)] for name, values in seconds.items()}
    return {name: Timing(median(seconds[name]), median(ratios[name])) for name in cases}


def timed(case: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, until the device has done what was asked of it."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda _: None
    wait(device)
    began = time.perf_counter()
    case()
    wait(device)
    return time.perf_counter() - began


def machine(device: torch.device, threads: int) -> str:
    """The processor with its cores, the GPU where one is used, and torch."""
    gpu = f"{torch.cuda.get_device_name(device)}; " if device.type == "cuda" else ""
    return f"{gpu}{processor()}, {os.cpu_count()} cores, {threads} threads used, torch {torch.__version__}"
