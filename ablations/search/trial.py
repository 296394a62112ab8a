"""A study under the conditions that all its trials share; a trial's way through its stages, and its outcome.

    the first seed up to each rung, as long as the pruner lets it go on ▸ all seeds to their ends, side by side

A rung is a segment of the training and its bound on validation data; pruning is not asking for the next segment. The
value of a trial is the mean over its seeds. What a way asks for depends on the journal alone, so one that begins again
after a kill comes to the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ablations.driver.plan import Conditions, conditions
from ablations.engine.journal import Journal
from ablations.grids.grid import Run
from ablations.launchers.protocol import Launcher
from ablations.metrics.judging import against
from ablations.metrics.registry import facts, metric_of, names, refuse_foreign
from ablations.results.records import failure_of, own_metrics, record
from ablations.search.space import Params, Study
from ablations.settings.cell import Cell
from ablations.settings.evaluation import SHORT
from ablations.settings.rules import refusal
from ablations.stages.graph import missing, needed_by, once, training_of
from ablations.stages.stage import Stage
from analysis.errors import InputError


@dataclass(frozen=True)
class SearchPlan:
    """A study under the conditions that all its trials share, with the metrics of its objectives; `window` trials are
    under way at a time, somewhat more than workers, so that one which ends early frees its worker."""

    study: Study
    here: Conditions
    objectives: list[str]
    window: int = 1

    @property
    def default(self) -> Cell:
        """The cell of the default."""
        return self.study.cell(self.study.default, self.study.seeds[0])

    @property
    def identity(self) -> str:
        """The name of the search in its storage: only a search of equal identity continues it."""
        return self.study.identity(self.here.id_of(self.default))

    def runs(self, params: Params) -> list[Run]:
        """A point of the space at each seed, with the stages that validation needs, and at the first seed the rungs.
        InputError where its values make no cell."""
        cells = [self.study.cell(params, seed) for seed in self.study.seeds]
        reason, rungs = refusal(cells[0]), self.study.rungs(cells[0])
        each = [self.here.run({}, cell, reason, rungs=rungs if cell is cells[0] else ()) for cell in cells]
        return [replace(item, stages=_on_validation(item.stages)) for item in each]


def _on_validation(stages: list[Stage]) -> list[Stage]:
    """The stages that scores on validation data rest on; they read no test data."""
    scores = [stage for stage in stages if stage.validates or stage.held_out == "validation"]
    return once(stage for score in scores for stage in needed_by(score, stages))


def plan_search(study: Study, launcher: Launcher, devices: list[str]) -> SearchPlan:
    """The plan of a study; InputError where the default makes no sense, because the search is compared with
    it."""
    default = study.cell(study.default, study.seeds[0])
    reason = refusal(default)
    if reason is not None:
        raise InputError(f"what all trials share makes no sense: {reason}")
    here = conditions([default], launcher, devices, judged=bool(default.evaluation.quality))
    workers = max(1, len(devices) // len(study.seeds))
    objectives = [_column(study, name, default) for name in study.file.objective]
    return SearchPlan(study, here, objectives, workers + workers // 2)


def _column(study: Study, name: str, cell: Cell) -> str:
    """The metric of an objective on validation data; InputError where it does not exist for such data."""
    extractor = cell.data.extractor
    # What FID is to images, the energy distance is to points.
    measured = "energy_distance" if name == "fid" and extractor is None else name
    if measured != name and measured in study.file.objective:
        raise InputError(f"study.objective={','.join(study.file.objective)} is twice the same on this data: {measured}")
    if measured not in names():
        return facts()[measured].name.replace("/test", f"/{SHORT['validation']}")
    metric = metric_of(measured)
    refuse_foreign(metric, measured, extractor)
    return metric.column(against(cell, "validation"), extractor).name


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial: "finished" with the objectives' `values`, "pruned" or "failed"; the means over its seeds
    of all metrics, and what it took. `again` is True where it failed by accident, which says nothing about it."""

    state: str
    reason: str = ""
    values: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    again: bool = False


Way = Generator[list[Stage], None, Outcome]
"""Yields the stages that it waits for; returns the trial's outcome."""


@dataclass(frozen=True)
class Course:
    """A trial, its runs at each of its seeds. It is ended where `prunes` says so of its values so far, by step."""

    runs: list[Run]
    journal: Journal
    objectives: list[str]
    prunes: Callable[[dict[int, float]], bool]

    def run(self) -> Way:
        """Its way, by rungs, and then the whole. A metric that fails counts where it is an objective."""
        reported: dict[int, float] = {}
        if self.runs[0].refusal is not None:
            return Outcome("failed", self.runs[0].refusal)
        for rung in self._rungs():
            yield from self._missing([rung])
            if failure := self._failure([rung]):
                return failure
            result = self.journal.result(rung.id)
            value = None if result is None else result.metrics.get(self.objectives[0])
            # Where it has diverged it has none, and its end says so.
            reported |= {} if value is None else {rung.rung: value}
            if value is not None and self.prunes(reported):
                reason = f"{value:.4g} at step {rung.rung} of {rung.cell.training.steps}"
                return replace(self._outcome("pruned", reason), steps=rung.rung)
        ends = [stage for item in self.runs for stage in item.stages if not stage.rung]
        yield from self._missing(ends)
        counted = [stage for stage in ends if not stage.fills or stage.fills in self.objectives]
        return self._failure(counted) or self._finished()

    def _rungs(self) -> list[Stage]:
        """The rungs at which it is judged. A training that was finished without being judged on its way is not trained
        again for that."""
        training = training_of(self.runs[0].stages)
        over = training is not None and self.journal.result(training.id) is not None
        rungs = (stage for stage in self.runs[0].stages if stage.rung and stage.kind == "bound")
        return [rung for rung in rungs if not over or self.journal.result(rung.id) is not None]

    @property
    def _stages(self) -> list[Stage]:
        return once(stage for item in self.runs for stage in item.stages)

    def _missing(self, ends: Sequence[Stage]) -> Generator[list[Stage], None, None]:
        """The stages that lead to these, as far as they have no result."""
        leading = once(stage for end in ends for stage in needed_by(end, self._stages))
        if left := missing(leading, self.journal):
            yield left

    def _failure(self, ends: Sequence[Stage]) -> Outcome | None:
        """The outcome of a trial if one of these stages has not finished."""
        for stage in ends:
            result = self.journal.result(stage.id)
            if result is None:
                failure = failure_of(stage, self._stages, self.journal)
                return self._outcome("failed", failure.message, again=failure.accidental)
            if result.status != "finished":
                return self._outcome("failed", result.reason)
        return None

    def _finished(self) -> Outcome:
        each = [record(item, self.journal).metrics for item in self.runs]
        means = {name: fmean(of[name] for of in each) for name in each[0] if all(name in of for of in each)}
        for name in self.objectives:
            if name not in means:
                return self._outcome("failed", f"{name} is no number")
        return self._outcome("finished", values=tuple(means[name] for name in self.objectives), metrics=means)

    def _outcome(self, state: str, reason: str = "", **more: Any) -> Outcome:
        """An outcome, with the training steps and the seconds that were taken."""
        steps, seconds = 0, 0.0
        for item in self.runs:
            done = [(stage, result) for stage in item.stages if (result := self.journal.result(stage.id)) is not None]
            steps += max((one.rung or one.cell.training.steps for one, _ in done if one.kind == "training"), default=0)
            # A segment counts from the first step on, so the last one has the seconds of all.
            metrics = {name: value for stage, of in done for name, value in own_metrics(stage, of.metrics).items()}
            seconds += sum(value for name, value in metrics.items() if name.endswith("_seconds"))
        return Outcome(state, reason, steps=steps, seconds=seconds, **more)
