"""A bar that follows stages while they run: how much is done, how long the rest takes, and what one of them is doing.
The missing stages of a plan are given to the engine here (`launch`).

    events ─▶ pace ─▶ share, seconds left          journal ─▶ the last loss of a training that is under way
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from ablations.driver.bar import Bar, OtherCommands, tried_again
from ablations.driver.pace import Pace, standing
from ablations.driver.plan import Plan
from ablations.engine.dispatch import Dispatch
from ablations.engine.journal import Journal
from ablations.engine.queue import Queue
from ablations.engine.stage import Event
from ablations.stages.artifacts import read_history
from ablations.stages.stage import Stage
from analysis.labels import Rounding
from analysis.plain import line
from analysis.schema import MACHINE

SECONDS = 1.0
"""Seconds between two updates of the time left."""
TURN = 4.0
"""Seconds for which a stage under way is named before the next one is."""


@dataclass
class Following:
    """A bar that follows stages, each with the name of its cell; its total is 1."""

    shown: Bar
    pace: Pace
    stages: Sequence[Stage]
    journal: Journal
    names: Mapping[str, str]
    now: Callable[[], float] = time.monotonic
    under_way: dict[str, Stage] = field(default_factory=dict)
    looked: float = -SECONDS
    turned: float = -TURN
    share: float = 0.0
    latest: str = ""

    def __post_init__(self) -> None:
        self.pace.plan(self.stages, standing(self.stages, self.journal))

    def note(self, event: Event[Stage]) -> None:
        """Take note of what happened to a stage."""
        self.pace.note(event)
        if event.kind == "started":
            self.under_way[event.stage.id] = event.stage
        elif event.kind != "progress":
            self.under_way.pop(event.stage.id, None)
        if self.now() - self.looked >= SECONDS:
            self.look()

    def look(self) -> None:
        """Show how far it is. The bar never moves back, even if stages turn out to take longer."""
        self.looked = self.now()
        self.share = max(self.share, self.pace.share(self.stages))
        self.shown.move_to(self.share)
        self.shown.left(self.pace.seconds(self.stages))

    def words(self) -> str:
        """A line about a stage under way; the stages take turns."""
        if self.under_way and self.now() - self.turned >= TURN:
            self.turned = self.now()
            name, stage = next(iter(self.under_way.items()))
            self.under_way[name] = self.under_way.pop(name)
            self.latest = told_of(stage, self.names.get(name, ""), self.journal)
        return self.latest if self.under_way else ""


def told_of(stage: Stage, name: str, journal: Journal) -> str:
    """A stage under way in words; with the last loss, if it trains."""
    at = [stage.doing]
    trained = stage.trained
    if trained.trains:
        reports = read_history(journal.folder(trained.id))
        losses = [value for key, value in (reports[-1] if reports else {}).items() if key.startswith("train/")]
        at += [f"loss {Rounding().number(losses[0])}"] if losses else []
    return line(": ".join(part for part in (name, ", ".join(at)) if part))


def names_of(plan: Plan) -> dict[str, str]:
    """The cell and seed of each stage of a plan, by its id, as a reader calls them; of several that share it the
    first."""
    names: dict[str, str] = {}
    for item in plan.planned:
        for stage in item.stages:
            names.setdefault(stage.id, f"{item.name}, seed {item.cell.seed}")
    return names


class OtherKinds:
    """The stages that this command leaves to machines of other kinds than its `own`, judged by the trainings that it
    was told of.

    Cells are compared at the seeds at which one kind of machine trained all of them. So commands that share a folder
    leave each other's seeds alone: a stage is late here if another kind trained its input, or has trained more of its
    seed than this one. Late stages run when there is nothing else to do, so that no machine stands idle. Where a
    command does not know its own kind, since its workers are of several, no stage is late.
    """

    def __init__(self, own: str, journal: Journal, finished: Iterable[Stage]) -> None:
        self.own = own
        self.journal = journal
        self.made: dict[str, str] = {}
        self.of_seed: dict[int, Counter[str]] = {}
        for stage in finished if own else ():
            self.note(stage)

    def note(self, stage: Stage) -> None:
        """Note the kind of machine that trained a stage, if the stage trains and has its result."""
        result = self.journal.result(stage.id) if self.own and stage.trains and stage.id not in self.made else None
        kind = "" if result is None else result.metadata.get(MACHINE, "")
        if kind:
            self.made[stage.id] = kind
            self.of_seed.setdefault(stage.cell.seed, Counter())[kind] += 1

    def late(self, stage: Stage) -> bool:
        if not self.own or not stage.of_cell:
            return False
        needed = {self.made[need] for need in stage.needs if need in self.made}
        if needed:
            return needed != {self.own}
        of_seed = self.of_seed.get(stage.cell.seed, Counter[str]())
        return of_seed[self.own] < max(of_seed.values(), default=0)


def launch(
    plan: Plan, journal: Journal, missing: list[Stage], shown: Bar, pace: Pace
) -> Generator[Event[Stage], None, None]:
    """Run stages, which the bar follows; yields what happens to them."""
    if not missing:
        return
    launcher, devices = plan.here.launcher, plan.here.devices
    kinds = OtherKinds(launcher.kind(devices[0]), journal, plan.stages())
    dispatch = Dispatch[Stage](launcher, journal, devices, Queue(kinds.late))
    dispatch.add(missing, plan.stages())
    following = Following(shown, pace, missing, journal, names_of(plan))
    others = OtherCommands(dispatch, shown, following.words)
    with closing(dispatch.run()) as events:
        for event in events:
            following.note(event)
            others.tell()
            if event.kind == "ended":
                kinds.note(event.stage)
            if event.kind in ("died", "damaged"):
                shown.write(tried_again(event))
            yield event
    following.look()


@contextmanager
def stopping() -> Iterator[None]:
    """SIGTERM stops like Ctrl-C."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
