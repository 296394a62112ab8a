"""A study under the conditions that all its trials share; a trial's way through its stages to its outcome.

    the first seed up to each rung, as long as the pruner lets it go on ▸ all seeds to their ends, side by side

A rung is a segment of the training and its bound on validation data; pruning is not asking for the next segment. What a
trial asks for depends on the journal alone, so one that begins again after a kill comes to the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ablations.driver.plan import Conditions, conditions
from ablations.engine.journal import Failure, Journal
from ablations.grids.grid import Point
from ablations.launchers.launcher import launcher_of
from ablations.metrics.registry import facts, metric_of, names
from ablations.metrics.scoring import against
from ablations.results.csv_text import union
from ablations.results.folder import never_overwritten, read_grid_json
from ablations.results.records import failure_of, own_metrics, record
from ablations.search.study import FIXED, Study
from ablations.settings.cell import Cell
from ablations.settings.evaluation import SHORT
from ablations.settings.making import refusal
from ablations.settings.registry import content_hash
from ablations.settings.request import SearchRequest
from ablations.stages.graph import unique
from ablations.stages.stage import Run, Stage, missing, needed_by
from analysis.errors import InputError
from analysis.schema import SEARCH, TRIALS

Prunes = Callable[[int, int, float], bool]
Tell = Callable[[int, TrialState, list[float] | None, dict[str, Any]], None]
"""Optuna's say on a trial by its number (`optimizer`): to end it at this step, with this value; and its end."""


@dataclass(frozen=True)
class SearchPlan:
    """A study under the conditions that all its trials share, with the metrics of its objectives; `window` trials are
    under way at a time, somewhat more than workers, so that one which ends early frees its worker."""

    study: Study
    here: Conditions
    objectives: list[str]
    window: int = 1

    @property
    def identity(self) -> str:
        """A name for what is searched and how (and for where trials are kept, which has changed), by which a search is
        continued. The budget is not part of it."""
        study, cell = self.study, self.here.id_of(self.study.default_cell)
        how = study.file.model_dump(include={"objective", "sampler", "startup", "seed", "pruner", "rungs"})
        space = {key: parameter.model_dump(exclude={"label"}) for key, parameter in study.parameters.items()}
        fixed = {key: value for key, value in study.fixed.items() if key.split(".")[0] not in FIXED}
        return content_hash(how | {"kept": TRIALS, "space": space, "fixed": fixed, "cell": cell, "seeds": study.seeds})

    def runs(self, params: dict[str, Any]) -> tuple[list[Run], str]:
        """A point of the space at each seed, with the stages that scores on validation data rest on, and at the first
        seed the rungs. Where its values make no cell, or one that makes no sense, the reason."""
        try:
            cells = [self.study.cell(params, seed) for seed in self.study.seeds]
        except InputError as error:
            return [], str(error)
        reason, runs = refusal(cells[0]), list[Run]()
        for cell in cells:
            run = self.here.run(Point({}, cell, reason), rungs=() if runs else self.study.rungs(cell))
            scores = [stage for stage in run.stages if stage.validates or stage.held_out == "validation"]
            runs.append(replace(run, stages=leading_to(scores, run.stages)))
        return runs, reason or ""


def leading_to(ends: Sequence[Stage], stages: Sequence[Stage]) -> list[Stage]:
    """The stages that lead to these, and these."""
    return unique(stage for end in ends for stage in needed_by(end, stages))


def planned(request: SearchRequest, study: Study) -> SearchPlan:
    """The plan of a study; InputError where the default, which a search is compared with, makes no sense, or where the
    folder holds something else."""
    launcher = launcher_of(request)
    default = study.default_cell
    if reason := refusal(default):
        raise InputError(f"what all trials share makes no sense: {reason}")
    devices = launcher.devices(request.device, default.threads)
    here = conditions([default], launcher, devices, judged=bool(default.evaluation.quality))
    workers = max(1, len(devices) // len(study.seeds))
    objectives = [_column(name, default) for name in study.file.objective]
    plan, head = SearchPlan(study, here, objectives, workers + workers // 2), read_grid_json(request.folder)
    if head is not None and head.get(SEARCH, {}).get("identity") != plan.identity:
        raise never_overwritten(request.folder, head)
    return plan


def _column(name: str, cell: Cell) -> str:
    extractor = cell.data.extractor
    # What FID is to images, the energy distance is to points.
    measured = "energy_distance" if name == "fid" and extractor is None else name
    if measured in names():
        return metric_of(measured).column(against(cell, "validation"), extractor).name
    return facts()[measured].name.replace("/test", f"/{SHORT['validation']}")


class Course:
    """A trial under way, at all its seeds; `pending` are the ids of the stages that it waits for. It has no outcome
    where an `accident` lost one of its stages."""

    def __init__(self, trial: FrozenTrial, plan: SearchPlan, journal: Journal, prunes: Prunes, tell: Tell) -> None:
        self.number, self.plan, self.journal = trial.number, plan, journal
        self.prunes, self.tell = prunes, tell
        self.runs, self.reason = plan.runs(trial.params)
        self.stages = unique(stage for run in self.runs for stage in run.stages)
        self.way, self.pending, self.accident = self._run(), set[str](), ""

    def _run(self) -> Iterator[list[Stage]]:
        """Yield the stages that it waits for, and tell its outcome."""
        for step, ends in [*self._judged(), (0, [stage for stage in self.stages if not stage.rung])]:
            if left := missing(leading_to(ends, self.stages), self.journal):
                yield left
            if failure := self._failure(ends):
                self.accident = failure.message if failure.accidental else ""
                if not self.accident:
                    self._tell(TrialState.FAIL, failure.message)
                return
            value = self._metrics(ends).get(self.plan.objectives[0])
            # Where it has diverged it has none, and its end says so.
            if step and value is not None and self.prunes(self.number, step, value):
                self._tell(TrialState.PRUNED, f"{value:.4g} at step {step} of {self.stages[0].cell.training.steps}")
                return
        self._tell(TrialState.COMPLETE)

    def _judged(self) -> list[tuple[int, list[Stage]]]:
        """The steps at which it is judged, each with what comes before. A training that was finished without being
        judged on its way is not trained again for that."""
        over = any(it.kind == "training" and not it.rung and self.journal.result(it.id) for it in self.stages)
        rungs = (stage for stage in self.stages if stage.rung and stage.kind == "bound")
        return [(rung.rung, [rung]) for rung in rungs if not over or self.journal.result(rung.id) is not None]

    def _failure(self, ends: Sequence[Stage]) -> Failure | None:
        """The reason why one of these stages has not finished, if so. A metric counts where it is an objective."""
        if self.reason:
            return Failure("error", self.reason)
        for stage in (stage for stage in ends if not stage.fills or stage.fills in self.plan.objectives):
            result = self.journal.result(stage.id)
            if result is None:
                return failure_of(stage, self.stages, self.journal)
            if result.status != "finished":
                return Failure("error", result.reason)
        return None

    def _metrics(self, stages: Sequence[Stage]) -> dict[str, float]:
        """The metrics that these have measured. Of a training's segments, each of which counts from the first step on,
        the last one has the seconds of all."""
        done = [(stage, result) for stage in stages if (result := self.journal.result(stage.id)) is not None]
        return {name: value for stage, result in done for name, value in own_metrics(stage, result.metrics).items()}

    def _tell(self, state: TrialState, reason: str = "") -> None:
        """Tell its end, with the means over its seeds, and the training steps and the seconds that were taken."""
        each = [record(run, self.journal).metrics for run in self.runs]
        means = {name: fmean(of[name] for of in each) for name in union(each) if all(name in of for of in each)}
        lacking = [name for name in self.plan.objectives if name not in means]
        if state is TrialState.COMPLETE and lacking:
            state, reason = TrialState.FAIL, f"{lacking[0]} is no number"
        steps, seconds = 0, 0.0
        for run in self.runs:
            done = (stage for stage in run.stages if stage.kind == "training" and self.journal.result(stage.id))
            steps += max((stage.rung or stage.cell.training.steps for stage in done), default=0)
            seconds += sum(value for name, value in self._metrics(run.stages).items() if name.endswith("_seconds"))
        values = [means[name] for name in self.plan.objectives] if state is TrialState.COMPLETE else None
        metrics = {**means, "cost/steps": steps, "cost/seconds": seconds}
        self.tell(self.number, state, values, {"reason": reason, "metrics": metrics if self.runs else {}})
