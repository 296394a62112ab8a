"""The load of a stage, in parts that take the same time in any stage; and the seconds of stages from those of parts.

    seconds of a stage = Σ amount of a part × seconds of one of its kind
    parts              = passes of a network, by how they are used (`work_units.alike`); a judged set; begin and end

A rung that is scored on the way of a training adds its parts to that training, and has none itself. A rung that takes
its training to its step has the training's parts so far.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import NamedTuple

from ablations.data.base import Data
from ablations.driver.work_units import alike
from ablations.stages.branch import BranchStage
from ablations.stages.rung import RungStage
from ablations.stages.stage import OnTheWay, Stage
from ablations.stages.training import TrainingStage

Key = Hashable
Amounts = dict[Key, float]
"""The amount of each part."""

NOWHERE: Mapping[str, float] = {}
BEGIN, JUDGE = "begin", "judge"
"""The parts that are no passes: begin and end of a stage, counted once together; and judging one generated set."""
NEAR = 1e-3
"""Two shares that differ by less are the same: they are reported with four digits."""
SIDE_BY_SIDE = 4000
"""The most stages for which it is worked out who runs when."""


@dataclass(frozen=True)
class Scored:
    """A rung that is scored on the way of a training, at this share of it."""

    share: float
    stage: OnTheWay
    amounts: Amounts


@dataclass(frozen=True)
class Load:
    """A stage with its own parts, and the rungs `scored` on its way; it continues from the share `start`."""

    stage: Stage
    own: Amounts
    scored: tuple[Scored, ...] = ()
    start: float = 0.0

    @property
    def kinds(self) -> dict[Key, Stage]:
        """One stage for each kind of pass that it takes."""
        stages: list[Stage] = [self.stage, *(rung.stage for rung in self.scored)]
        return {alike(part): part for stage in stages for part in (stage, stage.trained)}

    @cached_property
    def whole(self) -> Amounts:
        """Everything from its start on."""
        return less(added(self.own, *(rung.amounts for rung in self.scored)), self._passed(self.start))

    def done(self, share: float) -> Amounts:
        """The parts that are done at a share as the stage reports it, which does not count the beginning and
        judging."""
        return less(self._passed(share), self._passed(self.start))

    def at(self, share: float) -> Amounts:
        """The parts of scoring at a share, after the stage has reported it."""
        return added(*(rung.amounts for rung in self.scored if abs(share - rung.share) <= NEAR))

    def _passed(self, share: float) -> Amounts:
        own = {key: share * amount for key, amount in self.own.items() if key not in (BEGIN, JUDGE)}
        return added(own, *(rung.amounts for rung in self.scored if share > rung.share + NEAR))


class Left(NamedTuple):
    """A stage and the seconds until it is over, `under_way` or not; then it `frees` a worker, unless others continue
    there."""

    stage: Stage
    seconds: float
    under_way: bool = False
    frees: bool = True


def loads_of(stages: Iterable[Stage], data: Data, starts: Mapping[str, float] = NOWHERE) -> dict[str, Load]:
    """The load of each of these stages, by its id; a rung that one of them scores on its way has none. `starts` are the
    shares from which some stages continue, by their ids."""
    stages = list(stages)
    here = {stage.id for stage in stages}
    inside = {rung.id for stage in stages if isinstance(stage, TrainingStage) for rung in stage.scored} & here
    return {stage.id: _load(stage, data, inside, starts) for stage in stages if stage.id not in inside}


def _load(stage: Stage, data: Data, inside: set[str], starts: Mapping[str, float]) -> Load:
    if isinstance(stage, TrainingStage):
        rungs = sorted((rung for rung in stage.scored if rung.id in inside), key=lambda rung: rung.step)
        steps = stage.cell.training.steps
        scored = tuple(Scored(rung.step / steps, rung, amounts_of(rung, data)) for rung in rungs)
        begins = stage.begins if isinstance(stage, BranchStage) else 0.0
        return Load(stage, amounts_of(stage, data), scored, starts.get(stage.id, begins))
    if isinstance(stage, RungStage) and stage.leads:
        # It tells how far its training is to its step, and is scored there.
        training = stage.training
        way = stage.step / training.cell.training.steps
        own = {BEGIN: 1.0, alike(training): way * training.work(data)}
        start = min(1.0, starts.get(training.id, 0.0) / way)
        return Load(stage, own, (Scored(1.0, stage, less(amounts_of(stage, data), {BEGIN: 1.0})),), start)
    return Load(stage, amounts_of(stage, data))


def amounts_of(stage: Stage, data: Data) -> Amounts:
    """The amount of each part of a stage; for a rung, of scoring alone, without the training that leads to it."""
    amounts: Amounts = {BEGIN: 1.0}
    if passes := stage.work_alone(data):
        amounts[alike(stage)] = passes
    if stage.judged:
        amounts[JUDGE] = stage.judged
    return amounts


def added(*several: Mapping[Key, float]) -> Amounts:
    """The sum of these amounts."""
    total: Amounts = {}
    for amounts in several:
        for key, amount in amounts.items():
            total[key] = total.get(key, 0.0) + amount
    return total


def less(some: Amounts, done: Amounts) -> Amounts:
    """Amounts without those that are done."""
    rest = {key: amount - done.get(key, 0.0) for key, amount in some.items()}
    return {key: amount for key, amount in rest.items() if amount > 1e-9}


def side_by_side(left: Sequence[Left], workers: int) -> float:
    """Seconds until all these stages are over, on so many workers; some are under way already.

    A stage waits for those of these that it needs; of the stages that can start, those nearest to the end of their cell
    do. Of very many stages only the sum is shared by the workers, as if any stage could be split.
    """
    if len(left) > SIDE_BY_SIDE:
        return sum(entry.seconds for entry in left if entry.frees) / workers
    ids = {entry.stage.id for entry in left}
    waits = {entry.stage.id: {need for need in entry.stage.needs if need in ids} for entry in left}
    behind: dict[str, list[int]] = {}
    ready: list[tuple[int, int]] = []
    running: list[tuple[float, int]] = []
    busy = sum(entry.under_way and entry.frees for entry in left)
    for order, (stage, seconds, under_way, _) in enumerate(left):
        if under_way:
            heappush(running, (seconds, order))
        elif not waits[stage.id]:
            heappush(ready, (-len(stage.needs), order))
        for need in () if under_way else waits[stage.id]:
            behind.setdefault(need, []).append(order)
    now = 0.0
    while ready or running:
        while ready and busy < workers:
            _, order = heappop(ready)
            heappush(running, (now + left[order].seconds, order))
            busy += 1
        now, order = heappop(running)
        busy -= left[order].frees
        for waiting in behind.get(left[order].stage.id, ()):
            stage = left[waiting].stage
            waits[stage.id].discard(left[order].stage.id)
            if not waits[stage.id]:
                heappush(ready, (-len(stage.needs), waiting))
    return now


def seconds_of(amounts: Mapping[Key, float], each: Mapping[Key, float]) -> float:
    """The seconds of these parts, given those of one of each; nan where one is not known."""
    return math.fsum(amount * each.get(key, math.nan) for key, amount in amounts.items())
