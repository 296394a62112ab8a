"""From a study to its trials: ask, run what is missing, tell.

Trials are cells, run by the launcher through the same stages and journal as a grid's, on validation data only. Only
this process writes the storage. It may be killed at any moment: what was under way continues from the journal.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial

from optuna.trial import FrozenTrial

from ablations.driver.live import Live
from ablations.driver.progress import Bar, bar
from ablations.engine.scheduler import Scheduler
from ablations.search.trial import Course, Outcome, Way
from ablations.search.trials_csv import SearchFolder
from ablations.stages.stage import Stage
from analysis.errors import InputError

ACCIDENTS = 3
"""The number of trials in a row that end by accident, after which no more are asked for."""


@dataclass
class Underway:
    """A trial that was not told yet: its way, the id of its cell, and the stages that it waits for."""

    way: Way
    cell_id: str
    pending: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Searcher:
    """The trials of a study, run until there are as many as were asked for, and `kept` as each is over; the `live` view
    shows those under way. The last `accidents` trials failed by accident."""

    kept: SearchFolder
    live: Live | None = None
    underway: dict[int, Underway] = field(default_factory=dict)
    accidents: int = 0

    def __post_init__(self) -> None:
        here, journal = self.kept.plan.here, self.kept.journal
        self.study, self.optimizer = self.kept.plan.study, self.kept.optimizer
        self.scheduler = Scheduler[Stage](journal, here.launcher.start(journal, here.devices))

    def run(self) -> None:
        """Run all trials; after KeyboardInterrupt, those under way can be taken up again."""
        for trial in self.optimizer.trials():
            if not trial.state.is_finished():
                self._begin(trial)
        with bar("trials", self.study.limit, done=self._done, counts=True) as shown:
            self._move(shown)
            with closing(self.scheduler.run()) as events:
                for event in events:
                    if self.live is not None:
                        self.live.note(event)
                    if event.kind in ("retried", "elsewhere"):
                        shown.write(f"{event.kind}: {event.stage.kind} {event.stage.id}")
                    if event.kind == "ended":
                        for item in self.underway.values():
                            item.pending.discard(event.stage.id)
                        self._move(shown)

    @property
    def _done(self) -> int:
        return self.optimizer.counted() - len(self.underway)

    def _move(self, shown: Bar) -> None:
        """Move every trial on that waits for nothing, tell those that are over, and ask for more, until all wait."""
        moved = True
        while moved:
            moved = False
            while self._may_ask():
                self._begin(self.optimizer.ask())
            for number, item in [(number, it) for number, it in self.underway.items() if not it.pending]:
                moved = True
                try:
                    stages = next(item.way)
                except StopIteration as stop:
                    del self.underway[number]
                    self._tell(number, stop.value, item.cell_id)
                else:
                    item.pending = {stage.id for stage in stages}
                    self.scheduler.add(stages)
            best = self.optimizer.front()
            shown.move_to(self._done, max(self._done, self.study.limit))
            shown.tell(f"best {best[0].values[0]:.4g}" if best else "")

    def _may_ask(self) -> bool:
        free = len(self.underway) < self.kept.plan.window and self.accidents < ACCIDENTS
        return free and self.optimizer.counted() < self.study.limit

    def _begin(self, trial: FrozenTrial) -> None:
        plan = self.kept.plan
        try:
            runs = plan.runs(trial.params)
        except InputError as error:
            self._tell(trial.number, Outcome("failed", str(error)), "")
            return
        prunes = partial(self.optimizer.prunes, trial.number, rungs=self.study.rungs(runs[0].cell))
        course = Course(runs, self.kept.journal, plan.objectives, prunes)
        self.underway[trial.number] = Underway(course.run(), runs[0].cell_id)
        if self.live is not None:
            self.live.watch([self.kept.watched(trial, runs)])

    def _tell(self, number: int, outcome: Outcome, cell_id: str) -> None:
        notes = asdict(outcome) | {"cell_id": cell_id}
        self.optimizer.tell(number, notes.pop("state"), notes.pop("values"), notes)
        self.accidents = self.accidents + 1 if outcome.again else 0
        self.kept.write_one()
