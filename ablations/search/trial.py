"""A trial's way through its stages: what it needs next, and what came of it.

    for each seed   [autoencoder] ▸ rung ▸ … ▸ rung ▸ training ▸ [fit] ▸ bound on validation ▸ [samples]

Rungs are there where a pruner judges trainings on their way, on the first seed: each takes the training to a step and
scores it, and the pruner says whether it is worth going on. Without a pruner all seeds go side by side. The value of a
trial is the mean over its seeds. A trial that the journal knows already needs nothing more.

What a course asks for and answers depends on the journal's results alone, so one that is begun again after a kill comes
to the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from ablations.engine.journal import Failure, Journal
from ablations.grids.planned import Planned
from ablations.results.records import own_metrics
from ablations.stages.graph import training_of
from ablations.stages.rung import RungStage, rung_of
from ablations.stages.stage import Stage
from ablations.stages.training import TrainingStage

LEFT_OUT = Failure("left_out", "a stage of it was left out, since one that it needs did not finish")
"""What became of a trial that waits for what another one lost."""

State = Literal["finished", "pruned", "failed"]

Judge = Callable[[dict[int, float]], bool]
"""Values reported so far, by step (or by seed) → whether to end here."""
Course = Generator[list[Stage], None, "TrialOutcome"]
"""Yields the stages that it waits for; returns what came of the trial."""


@dataclass(frozen=True)
class TrialOutcome:
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


def course(
    planned: list[Planned],
    journal: Journal,
    objectives: list[str],
    rungs: list[int],
    prune: Judge | None,
    prune_seeds: Judge | None,
) -> Course:
    """The way of a trial, planned at each of its seeds with the stages that validation rests on.

    It is judged at `rungs` of its first seed where `prune` is given, seed by seed where `prune_seeds` is, which then
    sees each seed's value.
    """
    if planned[0].refusal is not None:
        return TrialOutcome("failed", planned[0].refusal)
    reported: dict[int, float] = {}
    stages = [item.stages for item in planned]
    first = _training(stages[0])
    if prune is not None and first is not None:
        for rung in [rung_of(first, step) for step in rungs]:
            yield from _missing([*_before(stages[0]), rung], journal)
            failure = _failure([*_before(stages[0]), rung], journal, objectives)
            if failure is not None:
                return _failed(failure, stages[:1], journal, rung.step, reported)
            value = _metrics(rung, journal).get(objectives[0])
            if value is None:
                # Trained beyond it before it was judged there: that is not held against it.
                continue
            reported[rung.step] = value
            if prune(reported):
                reason = f"{value:.4g} at step {rung.step} of {rung.cell.training.steps}"
                seconds = _metrics(rung, journal)["cost/train_seconds"]
                return TrialOutcome("pruned", reason, reported=reported, steps=rung.step, seconds=seconds)
    groups = [[seed] for seed in stages] if prune_seeds is not None else [stages]
    done: list[list[Stage]] = []
    for group in groups:
        wanted = [stage for seed in group for stage in seed]
        yield from _missing(wanted, journal)
        done += group
        failure = _failure(wanted, journal, objectives)
        if failure is not None:
            return _failed(failure, done, journal, None, reported)
        if prune_seeds is not None:
            value = _seed_metrics(group[0], journal).get(objectives[0])
            if value is None:
                break
            reported[len(done) - 1] = value
            if prune_seeds(reported):
                break
    return _complete(done, journal, objectives, reported, all_seeds=len(done) == len(stages))


def _missing(stages: list[Stage], journal: Journal) -> Generator[list[Stage], None, None]:
    missing = [stage for stage in stages if journal.result(stage.id) is None]
    if missing:
        yield missing


def _training(stages: list[Stage]) -> TrainingStage | None:
    return training_of(stages)


def _before(stages: list[Stage]) -> list[Stage]:
    """What a training needs."""
    training = _training(stages)
    return [stage for stage in stages if training is not None and stage.id in training.needs]


def _failure(stages: list[Stage], journal: Journal, objectives: list[str]) -> tuple[str, bool] | None:
    """Why the first of these that did not finish did not, and whether that was an accident.

    A metric that is no objective does not count.
    """
    for stage in stages:
        if stage.fills and stage.fills not in objectives:
            continue
        result = journal.result(stage.id)
        if result is None:
            failure = journal.failure(stage.id) or LEFT_OUT
            return failure.message, failure.accidental
        if result.status != "finished":
            return result.reason, False
    return None


def _failed(
    failure: tuple[str, bool],
    seeds: list[list[Stage]],
    journal: Journal,
    step: int | None,
    reported: dict[int, float],
) -> TrialOutcome:
    reason, again = failure
    steps = step or sum(_steps(stages, journal) for stages in seeds)
    return TrialOutcome("failed", reason, reported=reported, steps=steps, again=again)


def _complete(
    seeds: list[list[Stage]], journal: Journal, objectives: list[str], reported: dict[int, float], *, all_seeds: bool
) -> TrialOutcome:
    of_seeds = [_seed_metrics(stages, journal) for stages in seeds]
    common = [name for name in of_seeds[0] if all(name in found for found in of_seeds)]
    metrics = {name: fmean(found[name] for found in of_seeds) for name in common}
    missing = [name for name in objectives if name not in metrics]
    if missing:
        return TrialOutcome("failed", f"{missing[0]} is no number", reported=reported)
    return TrialOutcome(
        "finished",
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
