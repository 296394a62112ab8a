"""How long stages will take, and with how much memory.

Their passes of a network, times the seconds of a pass, measured now per network; and what this process took meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable

import torch

from ablations.driver.passes import alike, count_of, maker_of
from ablations.stages.graph import work
from ablations.stages.kinds import Stage
from ablations.workers.memory import peak_memory, reset_peak_memory
from ablations.workers.together import devices_of

MEASURED = 0.5
"""Seconds of measuring, per network and kind of pass."""


def seconds_and_memory(stages: Iterable[Stage], device: str) -> tuple[float, float | None]:
    """Seconds that these stages take, one after another, and the bytes that a worker takes at its most, where this
    system says that."""
    here = torch.device(devices_of(device)[0])
    told = reset_peak_memory(here)
    seconds = seconds_of(stages, device)
    return seconds, peak_memory(here).get("cost/peak_memory_bytes") if told else None


def seconds_of(stages: Iterable[Stage], device: str) -> float:
    """Seconds that these stages take, one after another."""
    here = torch.device(devices_of(device)[0])
    known: dict[Hashable, float] = {}
    total = 0.0
    for stage in stages:
        data = stage.cell.data.load()
        passes = work(stage, data)
        if not passes:
            continue
        cell, key = stage.cell, alike(stage)
        if key not in known:
            torch.set_num_threads(cell.threads)
            made = maker_of(stage)(cell, data, here, count_of(cell, data))
            known[key] = _seconds(made.action, here) / made.passes
        total += passes * known[key]
    return total


def _seconds(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of an action, after a first one."""
    action()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < MEASURED:
        count += 1
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / count
