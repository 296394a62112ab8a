"""Ratios that hold on a busy machine: all cases take turns, round after round, and medians are compared.

ratio = median over rounds of (seconds of the case in a round / seconds of the reference in the same round)
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


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
    reference = next(iter(seconds.values()))
    return {
        name: Timing(
            statistics.median(values), statistics.median(a / b for a, b in zip(values, reference, strict=True))
        )
        for name, values in seconds.items()
    }


def timed(case: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, until the device has done what was asked of it."""
    _wait(device)
    began = time.perf_counter()
    case()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
