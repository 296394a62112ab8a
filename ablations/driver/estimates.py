"""Estimates of the seconds and the memory that stages will take, from their parts, whose seconds are measured now.

    seconds = begin + Σ amount of a part × seconds of one, side by side on the workers + pages and delivery at the end

A part is measured by as many processes at a time as there will be workers, because they slow each other down. Trainings
that will share a worker (`engine/company`) are measured side by side: the seconds of one are its share. Other load of
the machine is left out, as far as that can be.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch

from ablations.data.base import Data
from ablations.driver.loads import BEGIN, JUDGE, NOWHERE, Key, Left, loads_of, seconds_of, side_by_side
from ablations.driver.work_units import Pass, alike, company_pass, count_of, maker_of, process
from ablations.engine.company import size_of_next
from ablations.metrics.judging import set_size, yardstick_of
from ablations.settings.cell import Cell
from ablations.stages.devices import devices_of, peak_memory, reset_peak_memory
from ablations.stages.stage import Stage

MEASURED = 0.5
"""Seconds of measuring for each kind of pass."""
MOST = 8
"""The most processes that measure at a time."""
QUICK = 0.1
"""The same seconds where a command is waiting to begin."""
STAGE, JUDGED = 0.3, 0.15
"""Seconds of a stage's begin and end (data, weights, files, and until somebody notices), and of judging a set."""
COMMAND, FIRST, DRAWN, DELIVERED = 5.0, 3.0, 8.0, 0.04
"""Seconds until the first worker begins, of loading before its first stages, of drawing pages, and of delivering a run
to MLflow."""


@dataclass(frozen=True)
class Measured:
    """Seconds of each part, and a worker's most bytes of memory, where this system reports them."""

    each: dict[Key, float] = field(default_factory=dict)
    memory: float | None = None

    def seconds(
        self, stages: Sequence[Stage], data: Data, workers: int, starts: Mapping[str, float] = NOWHERE
    ) -> float:
        """Seconds that these stages take on so many workers; some of them start from a share that is done, given by
        their ids."""
        loads = loads_of(stages, data, starts)
        left = [Left(load.stage, seconds_of(load.whole, self.each)) for load in loads.values()]
        return side_by_side(left, workers)


def measured(stages: Sequence[Stage], device: str, processes: int, quick: bool = False, most: int = 1) -> Measured:
    """The parts of these stages, measured by so many processes at a time, each with up to `most` trainings side by
    side. Judging, which must load much, is guessed where a `quick` answer is asked for."""
    kinds: dict[Key, Stage] = {}
    for load in loads_of(stages, stages[0].cell.data.load()).values() if stages else ():
        new = {key: stage for key, stage in load.kinds.items() if key not in kinds}
        kinds |= {key: stage for key, stage in new.items() if stage.work(stage.cell.data.load())}
    if not kinds:
        return Measured({BEGIN: STAGE, JUDGE: 0.0})
    judged = next((stage for stage in stages if stage.cell.evaluation.quality), None) if not quick else None
    members = members_of(stages, device, processes, most)
    asked = (
        [(key, stage, members.get(key, 1)) for key, stage in kinds.items()],
        judged,
        device,
        QUICK if quick else MEASURED,
    )
    count = max(1, min(processes, MOST))
    if count == 1:
        measurements = [_measured(*asked)]
    else:
        with ExitStack() as pools:
            begun = [pools.enter_context(process()).submit(_measured, *asked, turn) for turn in range(count)]
            measurements = [future.result() for future in begun]
    memory = [part.memory for part in measurements if part.memory is not None]
    each = {key: statistics.fmean(part.each[key] for part in measurements) for key in measurements[0].each}
    return Measured(each, max(memory, default=None))


def members_of(stages: Sequence[Stage], device: str, workers: int, most: int) -> dict[Key, int]:
    """The mean number of trainings that share a worker, for each kind of pass: what they save is saved once by each
    company. A training that is first taken to a rung has the same company there as later."""
    alone, shared = Counter[Key](), Counter[tuple[Key, str]]()
    for stage in {stage.trained.id: stage for stage in stages}.values():
        key, company = alike(stage.trained), stage.company(device)
        shared.update([(key, company)] if company else [])
        alone.update([] if company else [key])
    trainings, companies = alone.copy(), alone
    for (key, _), count in shared.items():
        trainings[key] += count
        companies[key] += len(companies_of(count, workers, most))
    return {key: round(count / companies[key]) for key, count in trainings.items()}


def companies_of(stages: int, workers: int, most: int) -> list[int]:
    """The sizes of the companies of so many similar stages, as workers that are all free at once take them, turn after
    turn."""
    sizes: list[int] = []
    while stages:
        sizes.append(size_of_next(stages, workers - len(sizes) % workers, most))
        stages -= sizes[-1]
    return sizes


def _measured(
    kinds: list[tuple[Key, Stage, int]], judged: Stage | None, device: str, most: float, turn: int = 0
) -> Measured:
    """Measure all of these in this process, so many side by side, for so many seconds each; the order differs by
    `turn`, because workers are at different stages."""
    here = torch.device(devices_of(device)[0])
    has_peak = reset_peak_memory(here)
    each: dict[Key, float] = {BEGIN: STAGE, JUDGE: JUDGED}
    at = turn * len(kinds) // 2 % len(kinds)
    for key, stage, members in kinds[at:] + kinds[:at]:
        torch.set_num_threads(stage.cell.threads)
        made = _pass_of(stage, members, here)
        each[key] = _seconds(made.action, here, stage.cell.threads, most) / made.passes
    if judged is not None:
        each[JUDGE] = _judging(judged.cell, here)
    return Measured(each, peak_memory(here).get("cost/peak_memory_bytes") if has_peak else None)


def _pass_of(stage: Stage, members: int, device: torch.device) -> Pass:
    """A pass of a stage, or of so many similar stages that share a worker."""
    cell, data = stage.cell, stage.cell.data.load()
    return (
        company_pass(cell, data, device, members)
        if members > 1
        else maker_of(stage)(cell, data, device, count_of(cell, data))
    )


def _judging(cell: Cell, device: torch.device) -> float:
    """Seconds of judging one set by the metrics that all cells are judged by."""
    data = cell.data.load()
    images, clock = data.images["test"], clock_of(device, cell.threads)
    images = images[torch.arange(set_size(cell, "test", data)) % len(images)].to(device)
    yardstick = yardstick_of(cell, "test", data, device)
    yardstick.default_scores([images])
    began = clock()
    yardstick.default_scores([images])
    return clock() - began


def _seconds(action: Callable[[], object], device: torch.device, threads: int, most: float) -> float:
    """Seconds of an action: the median after a first call, because something else may have run meanwhile."""
    clock = clock_of(device, threads)
    action()
    timings: list[float] = []
    while sum(timings) < most:
        before = clock()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        timings.append(clock() - before)
    return statistics.median(timings)


def clock_of(device: torch.device, threads: int) -> Callable[[], float]:
    """The clock to measure by: where one thread does all the work, the process's own CPU time, which other load does
    not slow."""
    return time.process_time if device.type == "cpu" and threads == 1 else time.perf_counter
