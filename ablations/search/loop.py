"""From a study to its trials: ask, launch what is missing, tell.

Trials are cells, run by the launcher through the same stages and journal as a grid's, on validation data only. The
storage is written by this process alone. It may be killed at any moment: what was under way goes on from the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

from tqdm import tqdm

from ablations.data import Data
from ablations.driver.execute import extractor_of_plan
from ablations.launchers.local import LocalLauncher
from ablations.search.optimizer import Optimizer
from ablations.search.space import Params, Study
from ablations.search.trial import Course, Outcome, TrialPlan, course
from ablations.settings.cell import Cell
from ablations.stages.journal import Journal
from ablations.stages.kinds import stages_of, validated
from ablations.workers.evaluate import SHORT
from analysis.errors import InputError
from diffusion_core.precision import Precision, resolve_precision

ACCIDENTS = 3
"""Trials in a row that an accident ended, after which no more are asked for."""


@dataclass(frozen=True)
class Setting:
    """What all trials of a study share once it is known where they run: data, precision, extractor, metrics."""

    study: Study
    data: Data
    precision: Precision
    extractor: str | None
    objectives: list[str]
    devices: list[str]

    @property
    def default(self) -> Cell:
        """The cell of the paper's default."""
        return self.study.cell(self.study.default, self.study.seeds[0])

    @property
    def identity(self) -> str:
        """Of the search."""
        return self.study.identity(self.id_of(self.default))

    def elsewhere(self, identity: str, journal: Journal) -> bool:
        """Whether that is of this search as another kind of device makes it, of which nothing was trained here."""
        for precision in get_args(Precision):
            there = replace(self, precision=precision)
            if there.identity == identity:
                first = stages_of(there.default, there.data.digest, precision, there.extractor)[0]
                return journal.result(first.id) is None
        return False

    @property
    def window(self) -> int:
        """How many trials are under way: somewhat more than workers, so that one that ends early frees its worker."""
        side_by_side = 1 if self.study.file.pruner == "wilcoxon" else len(self.study.seeds)
        workers = max(1, len(self.devices) // side_by_side)
        return workers + workers // 2

    def id_of(self, cell: Cell) -> str:
        """The cell's id."""
        return cell.cell_id(self.data.digest, self.precision, self.extractor)

    def plan(self, params: Params) -> TrialPlan:
        """A point's cells and stages, or why it makes no sense."""
        try:
            cells = [self.study.cell(params, seed) for seed in self.study.seeds]
        except InputError as error:
            return TrialPlan([], [], "", str(error))
        cell_id, refusal = self.id_of(cells[0]), cells[0].refusal()
        if refusal is not None:
            return TrialPlan(cells, [], cell_id, refusal)
        stages = [validated(stages_of(cell, self.data.digest, self.precision, self.extractor)) for cell in cells]
        return TrialPlan(cells, stages, cell_id)


def setting(study: Study, devices: list[str]) -> Setting:
    """InputError where the paper's default makes no sense, since the search is compared with it."""
    import torch

    default = study.cell(study.default, study.seeds[0])
    refusal = default.refusal()
    if refusal is not None:
        raise InputError(f"what all trials share makes no sense: {refusal}")
    precision = resolve_precision(default.training.precision, torch.device(devices[0]))
    judged = "fid" in study.file.objective
    extractor = extractor_of_plan(default) if judged or default.evaluation.quality else None
    return Setting(study, default.data.load(), precision, extractor, metric_names(study, default), devices)


def metric_names(study: Study, cell: Cell) -> list[str]:
    """The metrics that the objectives are, on validation data."""
    split = SHORT["validation"]
    quality = f"energy_distance/{split}" if cell.data.extractor is None else f"fid/{split}/{cell.data.extractor}"
    return [{"nll": f"nll/{split}", "fid": quality}[name] for name in study.file.objective]


@dataclass
class Underway:
    """A trial that is not told yet: its course, the stages that it waits for, and what came of it."""

    number: int
    planned: TrialPlan
    course: Course
    pending: set[str] = field(default_factory=set)
    outcome: Outcome | None = None


class Searcher:
    """Runs a study's trials until its budget is spent; `told` is called after each.

    `ran` says whether any stage was started, `accidents` how many of the last trials failed for no fault of theirs.
    """

    def __init__(
        self, here: Setting, optimizer: Optimizer, journal: Journal, told: Callable[[], None], limit: int | None
    ) -> None:
        self.here = here
        self.optimizer = optimizer
        self.journal = journal
        self.told = told
        self.limit = limit
        self.launcher = LocalLauncher(journal.root, here.devices)
        self.underway: dict[int, Underway] = {}
        self.over: set[str] = set()
        self.accidents = 0
        self.ran = False
        self.since = time.monotonic()

    def run(self) -> None:
        """All trials; KeyboardInterrupt leaves those that are under way to be taken up again."""
        for number, params in self.optimizer.resume():
            self._begin(number, params)
        form = "{desc} {n_fmt} of {total_fmt} |{bar}| {elapsed} elapsed, {remaining} left{postfix}"
        done = self.optimizer.counted() - len(self.underway)
        with tqdm(total=self.limit, initial=done, desc="trials", bar_format=form, disable=None) as bar:
            try:
                self._pump(bar)
                for event in self.launcher.run():
                    if event.kind == "died":
                        tqdm.write(f"a worker died in {event.stage.kind} {event.stage.id}; trying it once more")
                    if event.kind in ("ended", "left_out"):
                        self.over.add(event.stage.id)
                        self._pump(bar)
            finally:
                self._spend()

    def _pump(self, bar: tqdm[Any]) -> None:
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
            moved = self._tell(bar) or moved

    def _begin(self, number: int, params: Params) -> None:
        planned, study = self.here.plan(params), self.here.study
        rungs = study.rungs(planned.cells[0]) if study.prunes and planned.cells else []
        judge = partial(self.optimizer.prunes, number, rungs=rungs)
        one_by_one = study.file.pruner == "wilcoxon"
        way = course(
            planned,
            self.journal,
            self.here.objectives,
            rungs,
            judge if study.prunes else None,
            judge if one_by_one else None,
        )
        self.underway[number] = Underway(number, planned, way)

    def _advance(self, item: Underway) -> bool:
        moved = False
        while item.outcome is None and item.pending <= self.over:
            moved = True
            try:
                stages = next(item.course)
            except StopIteration as stop:
                item.outcome = stop.value
                break
            item.pending = {stage.id for stage in stages}
            self.over -= item.pending
            self.ran = True
            for stage in stages:
                (self.journal.folder(stage.id) / "status.json").unlink(missing_ok=True)
            self.launcher.add(stages)
        return moved

    def _tell(self, bar: tqdm[Any]) -> bool:
        """Tell the first trial's outcome if it has one: what is asked next does not depend on who was faster."""
        if not self.underway or (outcome := (item := self.underway[min(self.underway)]).outcome) is None:
            return False
        self.optimizer.tell(item.number, outcome, item.planned.cell_id)
        del self.underway[item.number]
        self.accidents = self.accidents + 1 if outcome.again else 0
        self._spend()
        bar.update(0 if outcome.again else 1)
        bar.set_postfix_str(self._best(), refresh=True)
        self.told()
        return True

    def _may_ask(self) -> bool:
        hours = self.here.study.hours
        return (
            len(self.underway) < self.optimizer.window
            and (self.limit is None or self.optimizer.counted() < self.limit)
            and (hours is None or self.optimizer.seconds + time.monotonic() - self.since < 3600 * hours)
            and self.accidents < ACCIDENTS
        )

    def _best(self) -> str:
        front = self.optimizer.front()
        if not front:
            return ""
        values = {trial.number: trial.values for trial in self.optimizer.trials()}
        return f"best {min(values[number][0] for number in front):.4g}"

    def _spend(self) -> None:
        now = time.monotonic()
        self.optimizer.spend(now - self.since)
        self.since = now
