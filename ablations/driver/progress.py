"""A progress bar with the time passed and the time left, at the rate so far; into a pipe or a log, a line of it now and
then.

Where stages run, the unit is a forward pass of one example, and beside the bar stands one of them in turn.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.stages.artifacts import read_history
from ablations.stages.stage import Stage
from analysis.labels import Rounding
from analysis.plain import line

LINE_SECONDS = 30.0
"""Seconds between two lines where there is no terminal."""
TURN = 4.0
"""Seconds for which a stage under way is named before the next one is."""


class Left(ProgressColumn):
    """The time left in words, once it is known."""

    def render(self, task: Task) -> Text:
        return Text(f"about {minutes(task.time_remaining)} left" if task.time_remaining else "")


@dataclass(frozen=True)
class Bar:
    """A task of a `Progress`; where that is not shown, lines of it."""

    progress: Progress
    task: TaskID

    def move_to(self, done: float, total: float | None = None) -> None:
        """Show that so much is done of the total."""
        self.progress.update(self.task, completed=done, total=total)

    def tell(self, what: str) -> None:
        """Say something beside the bar."""
        self.progress.update(self.task, told=line(what))

    def write(self, text: str) -> None:
        """A line above the bar, which stays."""
        self.progress.console.print(line(text), markup=False, highlight=False, soft_wrap=True)

    def line(self) -> None:
        """Write the bar as a line: how much is done, and the times."""
        (task,) = self.progress.tasks
        texts = (str(it(task)) for it in self.progress.columns if isinstance(it, TextColumn | TimeElapsedColumn | Left))
        self.write(" ".join(text.strip() for text in texts if text.strip()))


@contextmanager
def bar(name: str, total: float | None, *, done: int = 0, counts: bool = False) -> Iterator[Bar]:
    """A bar with this name, or its lines. It shows numbers where its total `counts` things, else a share; without a
    total only the time."""
    share = "{task.completed:.0f} of {task.total:.0f}" if counts else "{task.percentage:3.0f}%"
    amount = [] if total is None else [TextColumn(share)]
    times = TimeElapsedColumn(), TextColumn("elapsed"), Left()
    told = TextColumn("{task.fields[told]}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    columns = (TextColumn("{task.description}"), *amount, BarColumn(24), *times, told)
    console, terminal, over = Console(stderr=True), sys.stderr.isatty(), threading.Event()
    # What is printed meanwhile stands above the bar, unless it goes into a pipe.
    above = sys.stdout.isatty()
    with Progress(
        *columns, console=console, disable=not terminal, redirect_stdout=above, expand=True, speed_estimate_period=1e9
    ) as progress:
        shown = Bar(progress, progress.add_task(name, total=total, completed=done, told=""))
        if terminal:
            yield shown
            return

        def lines() -> None:
            while not over.wait(LINE_SECONDS):
                shown.line()

        shown.line()
        thread = threading.Thread(target=lines, daemon=True)
        thread.start()
        try:
            yield shown
        finally:
            over.set()
            thread.join()
            shown.line()


@dataclass
class Following:
    """A bar that follows stages, by id: the names of their cells, the `passes` of each, and the `shares` that are
    done."""

    shown: Bar
    journal: Journal
    names: dict[str, str] = field(default_factory=dict)
    passes: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    under_way: dict[str, Stage] = field(default_factory=dict)
    turned: float = -TURN

    def add(self, stages: Iterable[Stage], names: Mapping[str, str]) -> None:
        """Follow these stages as well. What an earlier command had done of them is no part of the rate."""
        self.names |= names
        self.passes |= {stage.id: stage.passes(stage.cell.data.load())[1] for stage in stages}
        self.shares |= {name: self.journal.progress(name) for name in self.passes.keys() - self.shares.keys()}

    def note(self, event: Event[Stage]) -> None:
        """Take note of what happened to a stage."""
        name, now = event.stage.id, time.monotonic()
        self.shares[name] = max(event.share, self.shares[name])
        if event.kind == "started":
            self.under_way[name] = event.stage
        elif event.kind == "ended":
            self.under_way.pop(name, None)
        elif event.kind == "retried":
            self.shown.write(f"a worker died in {event.stage.kind} {name}; trying it once more")
        elif event.kind == "elsewhere":
            self.shown.write(f"waits for {event.stage.kind} {name}, which another command runs")
        done = sum(passes * self.shares[stage] for stage, passes in self.passes.items())
        self.shown.move_to(done, sum(self.passes.values()))
        if now - self.turned > TURN:
            self.turned = now
            self.shown.tell(self._next())

    def _next(self) -> str:
        """The next stage under way in words, with its last loss if it trains; "" where there is none."""
        if not self.under_way:
            return ""
        name, stage = next(iter(self.under_way.items()))
        self.under_way[name] = self.under_way.pop(name)
        reports = read_history(self.journal.folder(name)) if stage.trains else []
        losses = [value for key, value in (reports[-1] if reports else {}).items() if key.startswith("train/")]
        loss = f", loss {Rounding().number(losses[0])}" if losses else ""
        return f"{self.names.get(name, stage.kind)}: {stage.doing}{loss}"


def minutes(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
