"""Seconds until the rest is done, from the seconds of stages that ended, and of those under way so far.

The seconds of a worker that several stages share are divided among them: a stage that waits for its turn takes no time.
A stage's seconds are divided among its parts (`loads`) in proportion to what each is expected to take. What was not
measured yet is taken from an estimate, or guessed from the operations of its network; both are scaled by how far the
measured parts were off their expectation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ablations.data.base import Data
from ablations.driver.loads import (
    BEGIN,
    JUDGE,
    NOWHERE,
    Amounts,
    Key,
    Left,
    Load,
    added,
    less,
    loads_of,
    seconds_of,
    side_by_side,
)
from ablations.driver.work_units import guessed
from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.stages.artifacts import read_history
from ablations.stages.rung import RungStage
from ablations.stages.stage import Stage
from ablations.stages.training import TrainingStage

Measured = tuple[float, Amounts]
"""Seconds, and the parts that were done in them."""

GUESSED: dict[Key, float] = {BEGIN: 0.4, JUDGE: 0.15}
"""Seconds of parts that are no passes, roughly, until they are measured."""
TRUST = 5.0
"""The seconds of measuring that an expectation weighs as much as: the first stage, which loads much, is not typical."""
ENOUGH = 4.0
"""Seconds of passes that must be measured before a time is shown, where there is no estimate."""
TURNS = 3
INSTANT = 1e-9
"""A number of seconds that counts as none."""
LAST = 0.1
"""The share assumed to be left of a stage that reports none, once it has taken as long as was expected."""


@dataclass(eq=False)
class Clock:
    """The clock of `members` stages that share a worker: with n of them it runs at 1/n of real time."""

    since: float
    shown: float = 0.0
    members: int = 0

    def at(self, now: float) -> float:
        """The seconds that it shows at a time."""
        return self.shown + (now - self.since) / max(1, self.members)

    def join(self, more: int, now: float) -> None:
        """Add so many members from now on, or remove them."""
        self.shown, self.since = self.at(now), now
        self.members += more


@dataclass
class UnderWay:
    """A stage under way since a time: its `share` and when that was reported; and the share and the time at which it
    was first seen to move. All times are its clock's."""

    load: Load
    clock: Clock
    began: float
    share: float
    since: float
    first: float = 0.0
    moved: float | None = None

    def tell(self, share: float, now: float) -> None:
        """Note the share that is done; a smaller share than before is ignored."""
        if share > self.share:
            if self.moved is None:
                self.first, self.moved = share, now
            self.share, self.since = share, now

    def seconds(self, each: Mapping[Key, float], now: float) -> float:
        """Seconds that are left of it; where it reports no share, by the time that it has taken so far."""
        left = seconds_of(less(self.load.whole, self.load.done(self.share)), each)
        tells = 0.0 < self.share < 1.0 and self.moved is not None
        untold = seconds_of(self.load.at(self.share), each) if tells else left
        return left - min(now - self.since, (1 - LAST) * untold)

    def measured(self) -> list[Measured]:
        """The parts that are done, with their seconds, once the share moves; before that it may be loading."""
        if self.moved is None:
            return []
        return _known(self.since - self.moved, less(self.load.done(self.share), self.load.done(self.first)))

    def ended(self, now: float) -> list[Measured]:
        """The same for a stage that is over: the parts until its share began to move, and those from there on."""
        if self.moved is None:
            return _known(now - self.began, self.load.whole)
        first = self.load.done(self.first)
        last = {key: amount for key, amount in less(self.load.whole, first).items() if key != BEGIN}
        return [*_known(self.moved - self.began, added({BEGIN: 1.0}, first)), *_known(now - self.moved, last)]


def _known(seconds: float, parts: Amounts) -> list[Measured]:
    return [(seconds, parts)] if parts and seconds > 0 else []


@dataclass
class Pace:
    """Seconds of the parts of stages, and from them those of stages, with so many `workers` at a time. `expected` are
    seconds of parts by an estimate; without one there are `guesses`. `took` and `amounts` are the measurements of each
    part in stages that are over."""

    data: Data
    workers: int
    expected: Mapping[Key, float] = field(default_factory=dict)
    now: Callable[[], float] = time.monotonic
    loads: dict[str, Load] = field(default_factory=dict)
    under_way: dict[str, UnderWay] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    took: dict[Key, float] = field(default_factory=dict)
    amounts: Amounts = field(default_factory=dict)
    kinds: dict[Key, Stage] = field(default_factory=dict)
    guesses: dict[Key, float] = field(default_factory=lambda: dict[Key, float](GUESSED))

    def plan(self, stages: Iterable[Stage], starts: Mapping[str, float] = NOWHERE) -> None:
        """Add stages that are to be run; some continue from a share, given by their ids. Rungs among them are scored on
        the way of their training, if it is among them too."""
        loads = loads_of(stages, self.data, starts)
        self.loads |= loads
        self.over -= loads.keys()
        for load in loads.values():
            self.kinds |= {key: stage for key, stage in load.kinds.items() if stage.work(self.data)}
        if self.kinds.keys() - self.guesses.keys() - self.expected.keys():
            self.guesses = GUESSED | guessed(self.kinds, self.data)

    def note(self, event: Event[Stage]) -> None:
        """Take note of what happened to a stage."""
        stage, now = event.stage, self.now()
        name = stage.id
        if event.kind == "started":
            if name not in self.loads:
                # It is made anew, and was not planned.
                self.plan([stage])
            self.over.discard(name)
            shared = (self.under_way[other].clock for other in event.beside if other in self.under_way)
            clock = next(shared, Clock(now))
            clock.join(1, now)
            began = clock.at(now)
            self.under_way[name] = UnderWay(self.loads[name], clock, began, self.loads[name].start, began)
        elif event.kind == "progress":
            if name in self.under_way:
                self.under_way[name].tell(event.share, self.under_way[name].clock.at(now))
        else:
            ended = self.under_way.pop(name, None)
            if ended is not None:
                ended.clock.join(-1, now)
                if event.status == "finished":
                    self._learn(ended.ended(ended.clock.at(now)))
            if event.kind in ("ended", "left_out"):
                self.over.add(name)

    def seconds(self, stages: Iterable[Stage]) -> float | None:
        """Seconds until all these stages are over; None while too little was measured to say."""
        if not self.expected and self.measured < ENOUGH:
            return None
        each = self.each()
        under_way = self._under_way(each)
        left = []
        for stage in stages:
            if stage.id in under_way:
                left.append(under_way[stage.id])
            elif stage.id in self.loads and stage.id not in self.over:
                left.append(Left(stage, seconds_of(self.loads[stage.id].whole, each)))
        return side_by_side(left, self.workers)

    def _under_way(self, each: Mapping[Key, float]) -> dict[str, Left]:
        """The rest of the stages under way: of those that share a worker, the shortest ends first, after all have had
        equal time, and the longest frees the worker."""
        now, shared = self.now(), dict[Clock, list[tuple[float, Stage]]]()
        for running in self.under_way.values():
            own = running.seconds(each, running.clock.at(now))
            shared.setdefault(running.clock, []).append((own, running.load.stage))
        left: dict[str, Left] = {}
        for members in shared.values():
            members.sort(key=lambda member: member[0])
            passed = 0.0
            for i, (own, stage) in enumerate(members):
                rest = len(members) - i
                left[stage.id] = Left(stage, passed + rest * own, True, rest == 1)
                passed += own
        return left

    def share(self, stages: Iterable[Stage]) -> float:
        """The share of these stages that is done, by the seconds that they take."""
        each, done, total = self.each(), 0.0, 0.0
        for load in [self.loads[stage.id] for stage in stages if stage.id in self.loads]:
            whole = seconds_of(load.whole, each)
            total += whole
            if load.stage.id in self.over:
                done += whole
            elif load.stage.id in self.under_way:
                done += seconds_of(load.done(self.under_way[load.stage.id].share), each)
        return done / total if total else 1.0

    @property
    def measured(self) -> float:
        """Seconds of passes that were measured."""
        under_way = [part for stage in self.under_way.values() for part in stage.measured()]
        over = sum(seconds for key, seconds in self.took.items() if key not in GUESSED)
        return over + sum(seconds for seconds, _ in under_way)

    def each(self) -> dict[Key, float]:
        """Seconds of each part, by what is known now: a mean of the measurement and the expectation, the latter with a
        weight of `TRUST` seconds and scaled by how far the measured parts were off theirs."""
        expected = {**self.guesses, **self.expected}
        under_way = [part for stage in self.under_way.values() for part in stage.measured()]
        each = expected
        for _ in range(TURNS):
            # A stage's seconds are shared out by the seconds of its parts, which follow from that in turn.
            took = added(self.took, *(shared_out(seconds, parts, each) for seconds, parts in under_way))
            amounts = added(self.amounts, *(parts for _, parts in under_way))
            each = self._known(expected, took, amounts)
        return each

    def _known(self, expected: Mapping[Key, float], took: Amounts, amounts: Amounts) -> dict[Key, float]:
        passes = {key: amount for key, amount in amounts.items() if key not in GUESSED}
        trust = TRUST if self.expected else 0.0
        planned = trust + seconds_of(passes, expected)
        ratio = (trust + sum(took[key] for key in passes)) / planned if planned else 1.0
        seconds_of_one = {key: seconds * (1.0 if key in GUESSED else ratio) for key, seconds in expected.items()}
        # What took no time that a clock shows counts like what it took.
        return {
            key: (TRUST + took.get(key, 0.0)) / (TRUST / max(seconds, INSTANT) + amounts.get(key, 0.0))
            for key, seconds in seconds_of_one.items()
        }

    def _learn(self, measured: list[Measured]) -> None:
        each = self.each()
        for seconds, parts in measured:
            self.took = added(self.took, shared_out(seconds, parts, each))
            self.amounts = added(self.amounts, parts)


def standing(stages: Iterable[Stage], journal: Journal) -> dict[str, float]:
    """The share that trainings among these stages, or before them, have reached in a journal on a disk, by their
    ids."""
    shares = {}
    trainings = [stage.training if isinstance(stage, RungStage) else stage for stage in stages]
    for training in {stage.id: stage for stage in trainings if isinstance(stage, TrainingStage)}.values():
        history = read_history(journal.folder(training.id))
        if history:
            shares[training.id] = history[-1]["step"] / training.cell.training.steps
        elif (begun := training.begun(journal)) is not None:
            shares[training.id] = begun
    return shares


def shared_out(seconds: float, parts: Amounts, each: Mapping[Key, float]) -> dict[Key, float]:
    """The seconds of each part, in proportion to what it is expected to take."""
    expected = seconds_of(parts, each)
    return {key: seconds * amount * each[key] / expected for key, amount in parts.items()}
