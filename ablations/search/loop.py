"""From a study to its trials: ask, launch what is missing, tell.

Trials are cells, run by the launcher through the same stages and journal as a grid's, on validation data only. The
storage is written by this process alone. It may be killed at any moment: what was under way goes on from the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ablations.driver.bar import Bar, OtherCommands, bar, tried_again
from ablations.driver.live import Live
from ablations.driver.plan import Conditions, conditions
from ablations.driver.watch import Watch
from ablations.driver.watched import Watched
from ablations.grids.planned import Planned
from ablations.launchers.dispatch import Dispatch
from ablations.launchers.protocol import Launcher
from ablations.metrics.judging import SHORT, against
from ablations.metrics.registry import fact_of, facts, metric_of, names, refuse_foreign
from ablations.search.optimizer import Optimizer
from ablations.search.space import Params, Study, whole
from ablations.search.trial import Course, TrialOutcome, course
from ablations.search.watched import WatchedTrial
from ablations.settings.cell import Cell
from ablations.settings.rules import refusal
from ablations.stages.graph import validated
from ablations.stages.journal import Journal
from ablations.stages.kinds import Stage
from analysis.errors import InputError

ACCIDENTS = 3
"""Trials in a row that an accident ended, after which no more are asked for."""


@dataclass(frozen=True)
class SearchPlan:
    """A study under the conditions that all its trials share, and the metrics that its objectives are there."""

    study: Study
    here: Conditions
    objectives: list[str]

    @property
    def default(self) -> Cell:
        """The cell of the paper's default."""
        return self.study.cell(self.study.default, self.study.seeds[0])

    @property
    def identity(self) -> str:
        """What the search is known by in its storage: it goes on only as the same one."""
        return self.study.identity(self.here.id_of(self.default))

    @property
    def window(self) -> int:
        """How many trials are under way: somewhat more than workers, so that one that ends early frees its worker."""
        side_by_side = 1 if self.study.file.pruner == "wilcoxon" else len(self.study.seeds)
        workers = max(1, len(self.here.devices) // side_by_side)
        return workers + workers // 2

    def planned(self, params: Params) -> list[Planned]:
        """A point of the space at each seed, with the stages that validation rests on.

        InputError where its values make no cell.
        """
        cells = [self.study.cell(params, seed) for seed in self.study.seeds]
        reason = refusal(cells[0])
        each = [self.here.planned({}, cell, reason) for cell in cells]
        return [replace(item, stages=validated(item.stages)) for item in each]

    def possible(self, params: Params) -> list[Planned]:
        """The same; nothing where its values make no cell."""
        try:
            return self.planned(params)
        except (InputError, KeyError):
            return []

    def demanding(self) -> list[Stage]:
        """The stages of the paper's default, with each end and choice of a parameter alone, and with all upper ends."""
        study = self.study
        known = {name: study.parameters[name] for name in study.default}
        points: list[Params] = [{name: value} for name, one in known.items() for value in one.choices or one.ends]
        points += [{}, {name: one.ends[1] for name, one in known.items() if not one.choices}]
        found = []
        for point in points:
            values = {name: int(v) if whole(name, known[name]) else v for name, v in (study.default | point).items()}
            params = {name: value for name, value in values.items() if study.applies(name, values)}
            found += [stage for item in self.possible(params)[:1] for stage in item.stages]
        return found

    def refusal(self, params: Params) -> str | None:
        """Why a point of the space makes no sense; None if it does."""
        try:
            return self.planned(params)[0].refusal
        except InputError as error:
            return str(error)


def plan_search(study: Study, launcher: Launcher, devices: list[str]) -> SearchPlan:
    """InputError where the paper's default makes no sense, since the search is compared with it."""
    default = study.cell(study.default, study.seeds[0])
    reason = refusal(default)
    if reason is not None:
        raise InputError(f"what all trials share makes no sense: {reason}")
    here = conditions([default], launcher, devices, judged=bool(default.evaluation.quality))
    return SearchPlan(study, here, metric_names(study, default))


def metric_names(study: Study, cell: Cell) -> list[str]:
    """The metrics that the objectives are, on validation data; InputError where one is not for such data."""
    extractor = cell.data.extractor
    found = []
    for name in study.file.objective:
        # What FID is to images, the energy distance is to points.
        known = "energy_distance" if name == "fid" and extractor is None else name
        if known not in names():
            found.append(facts()[known].name.replace("/test", f"/{SHORT['validation']}"))
            continue
        metric = metric_of(known)
        refuse_foreign(metric, known, extractor)
        found.append(metric.column(against(cell.data, "validation"), extractor).name)
    if len(set(found)) < len(found):
        raise InputError(f"study.objective={','.join(study.file.objective)} is twice the same on this data: {found[0]}")
    return found


@dataclass
class Underway:
    """A trial that is not told yet: its course, its run, the stages that it waits for, and what came of it.

    One whose values make no cell has no course.
    """

    number: int
    cell_id: str
    course: Course | None = None
    watched: Watched | None = None
    pending: set[str] = field(default_factory=set)
    outcome: TrialOutcome | None = None


class Searcher:
    """Runs a study's trials until its budget is spent; `told` is called after each, and `live` shows them meanwhile.
    Their results are to be in `folder`.

    `done` of them are over, the `best` of which is shown, and were `before` this command. `ran` says whether any stage
    was started, `accidents` how many of the last trials failed for no fault of theirs.
    """

    def __init__(
        self,
        plan: SearchPlan,
        optimizer: Optimizer,
        journal: Journal,
        folder: Path,
        told: Callable[[], None],
        limit: int | None,
        live: Live | None = None,
    ) -> None:
        self.plan = plan
        self.identity = plan.identity
        self.optimizer = optimizer
        self.journal = journal
        self.folder = folder
        self.told = told
        self.limit = limit
        self.live = live
        self.dispatch = Dispatch(plan.here.launcher, journal, plan.here.devices)
        self.underway: dict[int, Underway] = {}
        self.over: set[str] = set()
        self.accidents = 0
        self.ran = False
        self.best = ""
        self.began = self.since = time.monotonic()
        self.before = self.done = 0

    def run(self) -> None:
        """All trials; KeyboardInterrupt leaves those that are under way to be taken up again."""
        for number, params in self.optimizer.resume():
            self._begin(number, params)
        self.before = self.done = self.optimizer.counted() - len(self.underway)
        self.best = self._best()
        with bar("trials", self.limit, done=self.done, counts=True) as shown:
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
                            self.over.add(event.stage.id)
                            self._pump(shown)
            finally:
                self._spend()

    def _pump(self, shown: Bar) -> None:
        """Move every trial on that waits for nothing, tell what can be told, ask for more, until all wait."""
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
        one_by_one = study.file.pruner == "wilcoxon"
        way = course(
            planned,
            self.journal,
            self.plan.objectives,
            rungs,
            judge if study.prunes else None,
            judge if one_by_one else None,
        )
        watched = WatchedTrial(study, self.identity, number, params, planned, self.journal, self.folder)
        self.underway[number] = Underway(number, planned[0].cell_id, way, watched)

    def _advance(self, item: Underway) -> bool:
        moved = False
        while item.outcome is None and item.pending <= self.over:
            moved = True
            assert item.course is not None, "a trial that makes no cell has its outcome"
            try:
                stages = next(item.course)
            except StopIteration as stop:
                item.outcome = stop.value
                break
            item.pending = {stage.id for stage in stages}
            self.over -= item.pending
            self.ran = True
            if self.live is not None and item.watched is not None:
                self.live.expect(item.watched, stages)
            self.dispatch.add(stages, [] if item.watched is None else item.watched.stages)
        return moved

    def _tell(self, shown: Bar) -> bool:
        """Tell the first trial's outcome if it has one: what is asked next does not depend on who was faster."""
        if not self.underway or (outcome := (item := self.underway[min(self.underway)]).outcome) is None:
            return False
        self.optimizer.tell(item.number, outcome, item.cell_id)
        del self.underway[item.number]
        self.accidents = self.accidents + 1 if outcome.again else 0
        self._spend()
        self.done = self.optimizer.counted() - len(self.underway)
        shown.move_to(self.done)
        self.best = self._best()
        self.told()
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
        """Seconds that the trials left take, as long as those of this command took, or are left of its hours."""
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
