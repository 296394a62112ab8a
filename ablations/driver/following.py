"""A bar that follows stages while they are run: how much is done, how long the rest takes, what one of them is at.

events ─▶ pace ─▶ share, seconds left          journal ─▶ the last loss of a training that is under way
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ablations.driver.bar import Bar
from ablations.driver.pace import Pace, standing
from ablations.driver.plan import Plan
from ablations.engine.events import Event
from ablations.engine.journal import Journal
from ablations.stages.artifacts import read_history
from ablations.stages.stage import Stage
from analysis.format.notation import Rounding
from analysis.format.plain import line

SECONDS = 1.0
"""Seconds between two looks at how long the rest takes."""
TURN = 4.0
"""Seconds for which a stage under way is shown, before the next one has its turn."""


@dataclass
class Following:
    """A bar that follows stages, each of which has a name of its cell; its total is 1."""

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
        """Show how far it is. It never goes back, though stages turn out to take longer."""
        self.looked = self.now()
        self.share = max(self.share, self.pace.share(self.stages))
        self.shown.move_to(self.share)
        self.shown.left(self.pace.seconds(self.stages))

    def words(self) -> str:
        """A line about a stage under way; each has its turn."""
        if self.under_way and self.now() - self.turned >= TURN:
            self.turned = self.now()
            name, stage = next(iter(self.under_way.items()))
            self.under_way[name] = self.under_way.pop(name)
            self.latest = told_of(stage, self.names.get(name, ""), self.journal)
        return self.latest if self.under_way else ""


def told_of(stage: Stage, name: str, journal: Journal) -> str:
    """A stage under way in words, with the last loss of what trains."""
    at = [stage.doing]
    trained = stage.trained
    if trained.trains:
        reports = read_history(journal.folder(trained.id))
        losses = [value for key, value in (reports[-1] if reports else {}).items() if key.startswith("train/")]
        at += [f"loss {Rounding().number(losses[0])}"] if losses else []
    return line(": ".join(part for part in (name, ", ".join(at)) if part))


def names_of(plan: Plan) -> dict[str, str]:
    """The cell and seed of each stage of a plan, by its id, as a reader calls them; of a shared one the first."""
    names: dict[str, str] = {}
    for item in plan.planned:
        for stage in item.stages:
            names.setdefault(stage.id, f"{item.name}, seed {item.cell.seed}")
    return names
