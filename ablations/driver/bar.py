"""A progress bar with the time passed and the time left; into a pipe or a log, a line of it now and then."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from ablations.engine.dispatch import Dispatch
from ablations.engine.stage import Event
from ablations.stages.stage import Stage
from analysis.plain import line

LINE_SECONDS = 30.0
"""Seconds between two lines where there is no terminal."""
WIDTH = 24
"""The length of the bar itself, in letters."""
JUMP = 5
"""The time left is shown in steps of so many seconds, because it cannot be known better."""


class Bar:
    """One task of a `Progress`; where that is not shown, lines of it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress = progress
        self.task = task

    def move_to(self, done: float) -> None:
        """Show that so much is done."""
        self.progress.update(self.task, completed=done)

    def tell(self, what: str) -> None:
        """Say something beside the bar."""
        self.progress.update(self.task, told=line(what))

    def left(self, seconds: float | None) -> None:
        """Show the seconds that are left; nothing where they are not known."""
        self.progress.update(self.task, left=f"about {in_steps(seconds)} left" if seconds else "")

    def write(self, text: str) -> None:
        """A line above the bar, which stays."""
        self.progress.console.print(line(text), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Hide the bar meanwhile, so that something else can be printed, on whatever stream."""
        if self.progress.disable:
            yield
            return
        self.progress.stop()
        try:
            yield
        finally:
            self.progress.start()

    def line(self) -> None:
        """Write the bar as a line: how much is done, and the times."""
        columns = [column for column in self.progress.columns if isinstance(column, ProgressColumn)]
        task = next(task for task in self.progress.tasks if task.id == self.task)
        shown = [column for column in columns if not isinstance(column, (BarColumn, SpinnerColumn))]
        self.write(" ".join(text for column in shown if (text := str(column(task)).strip())))


@contextmanager
def bar(name: str, total: float | None, *, done: int = 0, counts: bool = False) -> Iterator[Bar]:
    """A bar with this name, or its lines; it shows numbers where its total `counts` things, else a share. Whoever moves
    it also sets the time left."""
    amount = "{task.completed:.0f} of {task.total:.0f}" if counts and total is not None else "{task.percentage:3.0f}%"
    amount = "{task.completed:.0f}" if counts and total is None else amount
    with _shown(name, total, [TextColumn(amount), BarColumn(WIDTH)], [LEFT, TOLD], done) as shown:
        yield shown


@contextmanager
def counting(name: str, total: float) -> Iterator[Bar]:
    """A bar whose time left goes by its own speed: of one thing that is always done alike."""
    left = [TimeRemainingColumn(), TextColumn("left")]
    with _shown(name, total, [TextColumn("{task.percentage:3.0f}%"), BarColumn(WIDTH)], left) as shown:
        yield shown


@contextmanager
def waiting(name: str) -> Iterator[None]:
    """The time since the start, while something runs whose progress nobody knows."""
    with _shown(name, None, [SpinnerColumn()], []):
        yield


LEFT = TextColumn("{task.fields[left]}", markup=False)
TOLD = TextColumn("{task.fields[told]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))


@contextmanager
def _shown(
    name: str, total: float | None, before: list[ProgressColumn], after: list[ProgressColumn], done: int = 0
) -> Iterator[Bar]:
    """A bar with these columns before and after the time since its start."""
    terminal = sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), *before, TimeElapsedColumn(), TextColumn("elapsed"), *after)
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not terminal, expand=True) as progress:
        bar_of_task = Bar(progress, progress.add_task(name, total=total, completed=int(done), told="", left=""))
        if terminal:
            yield bar_of_task
            return
        bar_of_task.line()
        with every(LINE_SECONDS, bar_of_task.line):
            try:
                yield bar_of_task
            finally:
                bar_of_task.line()


@contextmanager
def every(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Call `action` every so many seconds meanwhile, in a thread of its own, whatever else is done or waited for."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def minutes(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def in_steps(seconds: float) -> str:
    """The seconds left in words, rounded."""
    return minutes(seconds if seconds > 90 else max(JUMP, JUMP * round(seconds / JUMP)))


@dataclass
class OtherCommands:
    """The text beside the bar: `words`, and the number of stages that other commands run. Prints one line where there
    is nothing to do but to wait for them."""

    dispatch: Dispatch[Stage]
    shown: Bar
    words: Callable[[], str] = str
    text: str = ""
    waits: bool = False

    def tell(self) -> None:
        """Show what has changed."""
        number = len(self.dispatch.elsewhere)
        text = ", ".join(word for word in (self.words(), f"{number} run elsewhere" if number else "") if word)
        if text != self.text:
            self.text = text
            self.shown.tell(text)
        if number and not self.dispatch.running and not self.waits and (holders := self.dispatch.holders()):
            self.waits = True
            who = ", ".join(map(str, holders))
            self.shown.write(f"waits for {number} stage(s) that another command runs: {who}")


def tried_again(event: Event[Stage]) -> str:
    """A line about a stage whose worker died, or which found damaged what it needs."""
    if event.kind == "damaged":
        return f"damaged, and made anew: {event.damage}"
    return f"a worker died in {event.stage.kind} {event.stage.id}; trying it once more"
