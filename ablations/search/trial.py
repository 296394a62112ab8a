"""A trial's way through its stages: what it needs next, and what came of it.

    for each seed   [autoencoder] ▸ rung ▸ … ▸ rung ▸ training ▸ [fit] ▸ bound on validation ▸ [samples]

Rungs are there where a pruner watches, on the first seed: each takes the training to a step and scores it, and the
pruner says whether it is worth going on. Without a pruner all seeds go side by side. The value of a trial is the mean
over its seeds. A trial that the journal knows already needs nothing more.

What a course asks for and answers depends on the journal's results alone, so one that is begun again after a kill comes
to the same end.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from ablations.results.records import own_metrics
from ablations.settings.cell import Cell
from ablations.stages.journal import Journal
from ablations.stages.kinds import RungStage, Stage, TrainingStage, rung_of

NOT_RUN = "a stage of it was left out, since one that it needs did not finish"
"""The reason of a trial that waits for what another one lost."""

State = Literal["complete", "pruned", "failed"]

Judge = Callable[[dict[int, float]], bool]
"""Values reported so far, by step (or by seed) → whether to end here."""
Course = Generator[list[Stage], None, "Outcome"]
"""Yields the stages that it waits for; returns what came of the trial."""


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    `values` are the objectives, where it is complete; `metrics` the means over the seeds that were run; `reported` what
    the pruner was told, by step; `steps` the training steps that it took. `again` where what failed is no finding about
    the trial, but an accident (a full disk, a worker that was killed twice).
    """

    state: State
    reason: str = ""
    values: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    reported: dict[int, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    again: bool = False


@dataclass(frozen=True)
class TrialPlan:
    """A trial's cells, one per seed, with the stages that validation rests on; `refusal` says why it makes no sense."""

    cells: list[Cell]
    stages: list[list[Stage]]
    cell_id: str
    refusal: str | None = None


def course(
    planned: TrialPlan,
    journal: Journal,
    objectives: list[str],
    rungs: list[int],
    prune: Judge | None,
    prune_seeds: Judge | None,
) -> Course:
    """The way of a trial: watched at `rungs` of its first seed where `prune` is given, seed by seed where `prune_seeds`
    is, which then sees each seed's value."""
    if planned.refusal is not None:
        return Outcome("failed", planned.refusal)
    reported: dict[int, float] = {}
    first = _training(planned.stages[0])
    if prune is not None and first is not None:
        for rung in [rung_of(first, step) for step in rungs]:
            yield from _missing([*_before(planned.stages[0]), rung], journal)
            failure = _failure([*_before(planned.stages[0]), rung], journal)
            if failure is not None:
                return _failed(failure, planned.stages[:1], journal, rung.step, reported)
            value = _metrics(rung, journal).get(objectives[0])
            if value is None:
                # Trained beyond it before anyone watched: it is not held against it.
                continue
            reported[rung.step] = value
            if prune(reported):
                reason = f"{value:.4g} at step {rung.step} of {rung.cell.training.steps}"
                seconds = _metrics(rung, journal)["cost/train_seconds"]
                return Outcome("pruned", reason, reported=reported, steps=rung.step, seconds=seconds)
    groups = [[stages] for stages in planned.stages] if prune_seeds is not None else [planned.stages]
    done: list[list[Stage]] = []
    for group in groups:
        wanted = [stage for stages in group for stage in stages]
        yield from _missing(wanted, journal)
        done += group
        failure = _failure(wanted, journal)
        if failure is not None:
            return _failed(failure, done, journal, None, reported)
        if prune_seeds is not None:
            value = _seed_metrics(group[0], journal).get(objectives[0])
            if value is None:
                break
            reported[len(done) - 1] = value
            if prune_seeds(reported):
                break
    return _complete(done, journal, objectives, reported, all_seeds=len(done) == len(planned.stages))


def _missing(stages: list[Stage], journal: Journal) -> Generator[list[Stage], None, None]:
    missing = [stage for stage in stages if journal.result(stage.id) is None]
    if missing:
        yield missing


def _training(stages: list[Stage]) -> TrainingStage | None:
    return next((stage for stage in stages if isinstance(stage, TrainingStage)), None)


def _before(stages: list[Stage]) -> list[Stage]:
    """What a training needs."""
    training = _training(stages)
    return [stage for stage in stages if training is not None and stage.id in training.needs]


def _failure(stages: list[Stage], journal: Journal) -> tuple[str, bool] | None:
    """Why the first of these that did not finish did not, and whether that was an accident."""
    for stage in stages:
        result = journal.result(stage.id)
        if result is None:
            _, reason = journal.status(stage.id) or ("failed", NOT_RUN)
            return reason.splitlines()[0], accidental(reason)
        if result.status != "finished":
            return result.reason, False
    return None


def accidental(reason: str) -> bool:
    """Whether a stage failed by what is no fault of its cell: the machine's disk, a worker that was killed, a stop."""
    error = getattr(builtins, reason.partition(":")[0], None)
    of_the_machine = isinstance(error, type) and issubclass(error, OSError)
    return of_the_machine or reason.startswith(("its worker died", "its journal", "the command was stopped", NOT_RUN))


def _failed(
    failure: tuple[str, bool],
    seeds: list[list[Stage]],
    journal: Journal,
    step: int | None,
    reported: dict[int, float],
) -> Outcome:
    reason, again = failure
    steps = step or sum(_steps(stages, journal) for stages in seeds)
    return Outcome("failed", reason, reported=reported, steps=steps, again=again)


def _complete(
    seeds: list[list[Stage]], journal: Journal, objectives: list[str], reported: dict[int, float], *, all_seeds: bool
) -> Outcome:
    of_seeds = [_seed_metrics(stages, journal) for stages in seeds]
    common = [name for name in of_seeds[0] if all(name in found for found in of_seeds)]
    metrics = {name: fmean(found[name] for found in of_seeds) for name in common}
    missing = [name for name in objectives if name not in metrics]
    if missing:
        return Outcome("failed", f"{missing[0]} is no number", reported=reported)
    return Outcome(
        "complete",
        "" if all_seeds else f"the first {len(seeds)} seeds only: the others were left out",
        tuple(metrics[name] for name in objectives),
        metrics,
        reported,
        sum(_steps(stages, journal) for stages in seeds),
        sum(value for found in of_seeds for name, value in found.items() if name.endswith("_seconds")),
    )


def _steps(stages: list[Stage], journal: Journal) -> int:
    """Training steps that a seed took."""
    training = _training(stages)
    return training.cell.training.steps if training is not None and journal.result(training.id) is not None else 0


def _seed_metrics(stages: list[Stage], journal: Journal) -> dict[str, float]:
    found: dict[str, float] = {}
    for stage in stages:
        found |= own_metrics(stage, _metrics(stage, journal))
    return found


def _metrics(stage: Stage | RungStage, journal: Journal) -> dict[str, float]:
    result = journal.result(stage.id)
    return {} if result is None else result.metrics
