"""From a study to its trials: ask, run what is missing, tell.

Trials are cells, run by the launcher through the same stages and journal as a grid's, on validation data only. Only
this process writes the storage. It may be killed at any moment: what was under way continues from the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ablations.driver.bar import Bar, OtherCommands, bar, tried_again
from ablations.driver.live import Live
from ablations.driver.wanted import Wanted
from ablations.driver.watch import Watch
from ablations.driver.watched import Watched
from ablations.engine.dispatch import Dispatch
from ablations.engine.journal import Journal
from ablations.metrics.registry import fact_of
from ablations.search.optimizer import Optimizer
from ablations.search.optimizer.trials import TrialOutcome
from ablations.search.plan import SearchPlan
from ablations.search.space import Params
from ablations.search.trial import Course, Way
from ablations.search.watched import WatchedTrial
from ablations.stages.stage import Stage
from analysis.errors import InputError

ACCIDENTS = 3
"""The number of trials in a row that end by accident, after which no more are asked for."""


@dataclass
class Underway:
    """A trial that was not told yet: its course, its run, the stages that it waits for, and its outcome. A trial whose
    values make no cell has no course."""

    number: int
    cell_id: str
    course: Way | None = None
    watched: Watched | None = None
    pending: set[str] = field(default_factory=set)
    outcome: TrialOutcome | None = None


@dataclass(eq=False)
class Searcher:
    """The trials of a study, run until its budget is spent.

    After a trial `after_each` is called, and `live` shows those under way. Their results go to `folder`. `done` trials
    are over, of which the `best` is shown; so many were there `before` this command. `ran` says whether any stage was
    started, `accidents` how many of the last trials failed by accident.
    """

    plan: SearchPlan
    optimizer: Optimizer
    journal: Journal
    folder: Path
    after_each: Callable[[], None]
    live: Live | None = None
    underway: dict[int, Underway] = field(default_factory=dict)
    accidents: int = 0
    ran: bool = False
    best: str = ""
    before: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        self.limit = self.plan.study.limit
        self.wanted = Wanted(self.folder)
        self.dispatch = Dispatch[Stage](self.plan.here.launcher, self.journal, self.plan.here.devices)
        self.began = self.since = time.monotonic()

    def run(self) -> None:
        """Run all trials; after KeyboardInterrupt, those under way can be taken up again."""
        for number, params in self.optimizer.resume():
            self._begin(number, params)
        self.before = self.done = self.optimizer.counted() - len(self.underway)
        self.best = self._best()
        total = None if self.limit is None else max(self.limit, self.done)
        with bar("trials", total, done=self.done, counts=True) as shown:
            try:
                self._pump(shown)
                others = OtherCommands(self.dispatch, shown, lambda: self.best)
                watch = Watch.of(None if self.live is None else self.live.tracker)
                with closing(self.dispatch.run()) as events:
                    for event in events:
                        others.tell()
                        shown.left(self._left())
                        watch.tell(shown)
                        if self.live is not None:
                            self.live.note(event)
                        if event.kind in ("died", "damaged"):
                            shown.write(tried_again(event))
                        if event.kind in ("ended", "left_out"):
                            for item in self.underway.values():
                                item.pending.discard(event.stage.id)
                            self._pump(shown)
            finally:
                self._spend()

    def _pump(self, shown: Bar) -> None:
        """Move every trial on that waits for nothing, tell what can be told, and ask for more, until all wait."""
        moved = True
        while moved:
            moved = False
            # Between any two that are told: trial n is asked when exactly those up to n - window are.
            while self._may_ask():
                self._begin(*self.optimizer.ask())
                moved = True
            for item in list(self.underway.values()):
                moved = self._advance(item) or moved
            moved = self._tell(shown) or moved

    def _begin(self, number: int, params: Params) -> None:
        study = self.plan.study
        try:
            planned = self.plan.planned(params)
        except InputError as error:
            self.underway[number] = Underway(number, "", outcome=TrialOutcome("failed", str(error)))
            return
        rungs = study.rungs(planned[0].cell) if study.prunes else []
        judge = partial(self.optimizer.prunes, number, rungs=rungs)
        by_seeds = judge if study.file.pruner == "wilcoxon" else None
        course = Course(planned, self.journal, self.plan.objectives, rungs, judge if study.prunes else None, by_seeds)
        watched = WatchedTrial(study, self.plan.identity, number, params, planned, self.journal, self.folder)
        self.wanted.add(watched.stages)
        self.underway[number] = Underway(number, planned[0].cell_id, course.run(), watched)

    def _advance(self, item: Underway) -> bool:
        moved = False
        while item.outcome is None and not item.pending:
            moved = True
            assert item.course is not None, "a trial that makes no cell has its outcome"
            try:
                stages = next(item.course)
            except StopIteration as stop:
                item.outcome = stop.value
                break
            item.pending = {stage.id for stage in stages}
            self.ran = True
            if self.live is not None and item.watched is not None:
                self.live.expect(item.watched, stages)
            self.dispatch.add(stages, [] if item.watched is None else item.watched.stages)
        return moved

    def _tell(self, shown: Bar) -> bool:
        """Tell the first trial's outcome if it has one: so what is asked next does not depend on which trial was
        faster."""
        if not self.underway or (outcome := (item := self.underway[min(self.underway)]).outcome) is None:
            return False
        self.optimizer.tell(item.number, outcome, item.cell_id)
        del self.underway[item.number]
        self.accidents = self.accidents + 1 if outcome.again else 0
        self._spend()
        self.done = self.optimizer.counted() - len(self.underway)
        shown.move_to(self.done)
        self.best = self._best()
        self.after_each()
        return True

    def _may_ask(self) -> bool:
        hours = self.plan.study.hours
        return (
            len(self.underway) < self.optimizer.window
            and (self.limit is None or self.optimizer.counted() < self.limit)
            and (hours is None or self.optimizer.seconds + time.monotonic() - self.since < 3600 * hours)
            and self.accidents < ACCIDENTS
        )

    def _left(self) -> float | None:
        """Seconds left: the trials to come, each as long as those of this command, or what is left of its hours."""
        seconds = time.monotonic() - self.began
        over = self.done - self.before
        if self.limit is not None:
            return seconds / over * (self.limit - self.done) if over else None
        assert self.plan.study.hours is not None, "a search has a number of trials, or hours"
        return max(0.0, 3600 * self.plan.study.hours - self.optimizer.seconds - (time.monotonic() - self.since))

    def _best(self) -> str:
        front = self.optimizer.front()
        if not front:
            return ""
        values = {trial.number: trial.values for trial in self.optimizer.trials()}
        sign = fact_of(self.plan.objectives[0]).sign
        best = max((values[number][0] for number in front), key=lambda value: sign * value)
        return f"best {best:.4g}"

    def _spend(self) -> None:
        now = time.monotonic()
        self.optimizer.spend(now - self.since)
        self.since = now
