"""A progress bar with the time passed and the time left, at the rate so far; into a pipe or a log, a line of it now and
then.

Where stages run, the unit is a forward pass of one example, and beside the bar stands one that is under way.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.stages.artifacts import read_history
from ablations.stages.stage import Stage
from analysis.errors import line
from analysis.labels import Rounding

LINE_SECONDS = 30.0
TURN = 4.0
"""Seconds between two words on a stage that is under way."""


@dataclass
class Bar:
    """The task of a `Progress`; where there is no terminal, it is written as a line now and then."""

    progress: Progress
    task: TaskID
    next_line: float = 0.0

    def move_to(self, done: float, total: float | None = None) -> None:
        """Show that so much is done of the total."""
        self.progress.update(self.task, completed=done, total=total)
        now = time.monotonic()
        if now > self.next_line and not self.progress.console.is_terminal:
            self.next_line = now + LINE_SECONDS
            self.progress.console.print(self.progress)

    def tell(self, what: str) -> None:
        self.progress.update(self.task, told=line(what))

    def write(self, text: str) -> None:
        """A line above the bar, which stays."""
        self.progress.console.print(line(text), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def bar(name: str, total: float, *, done: int = 0, counts: bool = False) -> Iterator[Bar]:
    """A bar with this name; it shows numbers where its total `counts` things, else a share."""
    share = TextColumn("{task.completed:.0f} of {task.total:.0f}" if counts else "{task.percentage:3.0f}%")
    times = TimeElapsedColumn(), TextColumn("elapsed"), TimeRemainingColumn(), TextColumn("left")
    told = TextColumn("{task.fields[told]}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    columns = TextColumn("{task.description}"), share, BarColumn(24), *times, told
    terminal = sys.stderr.isatty()
    console = Console(stderr=True, force_terminal=terminal, width=None if terminal else 120)
    # What is printed meanwhile stands above the bar, unless it goes into a pipe.
    above = sys.stdout.isatty()
    with Progress(
        *columns, console=console, redirect_stdout=above, expand=terminal, speed_estimate_period=1e9
    ) as progress:
        yield Bar(progress, progress.add_task(name, total=total, completed=done, told=""))


@dataclass
class StageProgress:
    """A bar that follows stages: the `passes` of each, by its id, and the `shares` that are done."""

    shown: Bar
    journal: Journal
    passes: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    next_turn: float = 0.0

    def add(self, stages: Iterable[Stage]) -> None:
        """Follow these stages as well. What an earlier command had done of them is no part of the rate."""
        for stage in stages:
            self.passes[stage.id] = stage.passes()[1]
            self.shares[stage.id] = self.journal.progress(stage.id)

    def note(self, event: Event[Stage]) -> None:
        """Take note of what happened to a stage."""
        stage, now = event.stage, time.monotonic()
        self.shares[stage.id] = max(event.share, self.shares[stage.id])
        if event.kind == "retried":
            self.shown.write(f"a worker died in {stage.kind} {stage.id}; trying it once more")
        elif event.kind == "elsewhere":
            self.shown.write(f"waits for {stage.kind} {stage.id}, which another command runs")
        elif event.kind == "progress" and now > self.next_turn:
            self.next_turn = now + TURN
            reports = read_history(self.journal.folder(stage.id)) if stage.trains else []
            losses = [value for key, value in (reports[-1] if reports else {}).items() if key.startswith("train/")]
            loss = f", loss {Rounding().number(losses[0])}" if losses else ""
            self.shown.tell(f"seed {stage.cell.seed}: {stage.doing}{loss}")
        done = sum(passes * self.shares[name] for name, passes in self.passes.items())
        self.shown.move_to(done, sum(self.passes.values()))


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
