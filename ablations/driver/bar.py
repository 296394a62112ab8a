"""What is done, the time since, and the time left: a bar on a terminal; into a pipe or a log, a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ablations.launchers.dispatch import Dispatch
from ablations.launchers.events import Event
from analysis.plain import line

LINE_SECONDS = 30.0
"""Between two lines where there is no terminal."""


class Bar:
    """One task of a `Progress`; where that is not shown, lines of it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress = progress
        self.task = task
        self.last = time.monotonic()

    def move_to(self, done: float) -> None:
        """So much is done."""
        self.progress.update(self.task, completed=done)
        if self.progress.disable and time.monotonic() - self.last > LINE_SECONDS:
            self.line()

    def tell(self, what: str) -> None:
        """Say something beside the bar."""
        self.progress.update(self.task, told=line(what))

    def write(self, text: str) -> None:
        """A line above the bar, which stays."""
        self.progress.console.print(line(text), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Out of the way of what is printed meanwhile, on whatever stream."""
        if self.progress.disable:
            yield
            return
        self.progress.stop()
        try:
            yield
        finally:
            self.progress.start()

    def line(self) -> None:
        """How far it is, as a line."""
        self.last = time.monotonic()
        columns = [one for one in self.progress.columns if isinstance(one, ProgressColumn)]
        task = next(task for task in self.progress.tasks if task.id == self.task)
        self.write(" ".join(str(one(task)) for one in columns if not isinstance(one, BarColumn)).strip())


@contextmanager
def bar(name: str, total: float | None, *, done: int = 0, counts: bool = False) -> Iterator[Bar]:
    """A bar that is called so, or its lines; it shows numbers where its total `counts` things, else a share."""
    amount = "{task.completed:.0f} of {task.total:.0f}" if counts and total is not None else "{task.percentage:3.0f}%"
    amount = "{task.completed:.0f}" if counts and total is None else amount
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        TextColumn(amount),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left {task.fields[told]}", markup=False),
    )
    # Its speed is that of the last ten minutes, since stages differ in theirs.
    shown = sys.stderr.isatty()
    with Progress(*columns, console=console, disable=not shown, speed_estimate_period=600) as progress:
        one = Bar(progress, progress.add_task(name, total=total, completed=int(done), told=""))
        if shown:
            yield one
            return
        one.line()
        try:
            yield one
        finally:
            one.line()


@dataclass
class OtherCommands:
    """What a terminal shows of the stages that other commands run: their number beside the bar, after `words`; and a
    line, once, where there is nothing to do but to wait for them."""

    dispatch: Dispatch
    shown: Bar
    words: Callable[[], str] = str
    number: int = 0
    said: bool = False

    def tell(self) -> None:
        """Show what has changed."""
        number = len(self.dispatch.elsewhere)
        if number != self.number:
            self.number = number
            told = [self.words(), f"{number} run elsewhere" if number else ""]
            self.shown.tell(", ".join(word for word in told if word))
        if number and not self.dispatch.running and not self.said and (holders := self.dispatch.holders()):
            self.said = True
            who = ", ".join(map(str, holders))
            self.shown.write(f"waits for {number} stage(s) that another command runs: {who}")


def tried_again(event: Event) -> str:
    """What is said of a stage whose worker died, or which found damaged what it needs."""
    if event.kind == "damaged":
        return f"damaged, and made anew: {event.told}"
    return f"a worker died in {event.stage.kind} {event.stage.id}; trying it once more"
