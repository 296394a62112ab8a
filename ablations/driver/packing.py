"""`launcher.per_gpu=auto`: the number of cells at a time on a GPU, by the most memory that a worker takes.

    cells at a time = ⌊0.9 · free / taken⌋, at least 1, at most `MOST`, at most the CPU cores per GPU

A worker's memory is measured before any is started. A separate process loads the training images and takes every pass
of the plan's networks, each at its batch; what is then no longer free on the card is a worker's memory. The card's
context counts too: it is how much less a second process finds free than a first one. GPUs are assumed to be alike. No
result depends on this number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from ablations.driver.plan import Conditions
from ablations.driver.work_units import alike, maker_of, process
from ablations.launchers.protocol import cores
from ablations.stages.devices import claim, placed
from ablations.stages.stage import Stage
from diffusion_core.recorded import WARM_UP

MOST = 16
"""Cells at a time on a GPU."""
SHARE = 0.9
"""The share of the free memory that is given to workers: allocators leave gaps."""
CALLS = WARM_UP + 2
"""The calls after which a training step is recorded as a graph, which takes memory of its own."""
BATCH = 512
"""Examples that go through a network at once where it is evaluated."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a card that are free before a worker opens it, and the most that one takes."""

    free: int
    taken: int

    @property
    def fitting(self) -> int:
        """The number of workers that fit, at least one."""
        return max(1, math.floor(SHARE * self.free / self.taken))

    def __str__(self) -> str:
        return f"a worker takes {self.taken / 1e9:.2f} GB at its most of {self.free / 1e9:.2f} GB that are free"


def packed(here: Conditions, stages: Sequence[Stage]) -> Conditions:
    """The conditions with each device repeated as often as the launcher runs cells on it at a time, for these
    stages."""
    if not any(stage.work(here.data) for stage in stages):
        return here
    return replace(here, devices=here.launcher.packed(here.devices, partial(cells_at_a_time, here, stages)))


def cells_at_a_time(here: Conditions, stages: Sequence[Stage], gpus: list[str]) -> int:
    """The number of cells that fit on each of these GPUs; prints a line that says so."""
    distinct = {alike(stage): stage for stage in stages if stage.work(here.data)}
    most = max(1, min(MOST, cores() // len(gpus)))
    try:
        memory = measured(list(distinct.values()), gpus[0])
    except Exception as error:
        # What cannot be run, for want of memory say, is said of each cell when its turn comes.
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"launcher.per_gpu=auto: 1 cell at a time, its memory could not be measured ({reason})", flush=True)
        return 1
    count = min(memory.fitting, most)
    limit = "" if count == memory.fitting else f", where {memory.fitting} would fit (at most {most}: CPU cores, {MOST})"
    print(f"launcher.per_gpu=auto: {count} cell(s) at a time on a GPU, {memory}{limit}", flush=True)
    return count


def measured(stages: list[Stage], device: str) -> Memory:
    """The memory of a worker that runs these stages."""
    with process() as first, process() as second:
        left = first.submit(free_on, device).result()
        begun, ended = second.submit(free_around, stages, device).result()
    context = max(0, left - begun)
    return Memory(left + context, max(1, context + begun - ended))


def free_on(device: str) -> int:
    """Bytes of a card that are free once this process has opened it."""
    claim(device, 1)
    return int(torch.cuda.mem_get_info(device)[0])


def free_around(stages: Iterable[Stage], device: str) -> tuple[int, int]:
    """Bytes of a card that are free before and after it has run the passes of these stages."""
    begun = free_on(device)
    held = []
    for stage in stages:
        cell = stage.cell
        data, here = cell.data.load(), claim(device, cell.threads)
        # As a worker does: all training images, or their codes, stay there.
        held = [placed(data.images["train"], here)]
        if cell.space.encoded:
            held.append(torch.empty(len(held[0]), *cell.space.shape_of(data.shape), device=here))
        count = min(BATCH, len(data.images["test"]))
        step = maker_of(stage)(cell, data, here, count)
        for _ in range(CALLS):
            step.action()
    torch.cuda.synchronize(device)
    return begun, int(torch.cuda.mem_get_info(device)[0])
