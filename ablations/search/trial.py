"""A trial's way through its stages: what it needs next, and its outcome.

    for each seed   [autoencoder] ▸ rung ▸ … ▸ rung ▸ training ▸ [fit] ▸ bound on validation ▸ [samples]

There are rungs where a pruner judges trainings on their way, on the first seed: each takes the training to a step and
scores it, and the pruner says whether to continue. Without a pruner all seeds run side by side. The value of a trial is
the mean over its seeds. A trial whose results the journal already has needs nothing more.

What a course asks for depends on the journal's results alone, so one that starts again after a kill comes to the same
end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from statistics import fmean

from ablations.engine.journal import Failure, Journal
from ablations.grids.grid import Planned
from ablations.results.records import own_metrics
from ablations.search.optimizer.trials import TrialOutcome
from ablations.stages.graph import training_of
from ablations.stages.rung import rung_of
from ablations.stages.stage import Stage

LEFT_OUT = Failure("left_out", "a stage of it was left out, since one that it needs did not finish")
"""The outcome of a trial that waits for a stage which another one lost."""

Judge = Callable[[dict[int, float]], bool]
"""Values reported so far, by step (or by seed) → True to end the trial here."""
Way = Generator[list[Stage], None, TrialOutcome]
"""Yields the stages that it waits for; returns the trial's outcome."""


@dataclass(frozen=True)
class Course:
    """A trial, planned at each of its seeds with the stages that validation needs. With `prune` it is judged at the
    `rungs` of its first seed; with `prune_seeds` after each seed, by the values of all seeds so far."""

    planned: list[Planned]
    journal: Journal
    objectives: list[str]
    rungs: list[int] = field(default_factory=list)
    prune: Judge | None = None
    prune_seeds: Judge | None = None

    def run(self) -> Way:
        """Its way: first the rungs, then the whole."""
        refusal = self.planned[0].refusal
        if refusal is not None:
            return TrialOutcome("failed", refusal)
        reported: dict[int, float] = {}
        ended = yield from self._by_rungs(reported)
        return ended or (yield from self._whole(reported))

    def _by_rungs(self, reported: dict[int, float]) -> Generator[list[Stage], None, TrialOutcome | None]:
        """The outcome of the trial if its first seed's training is ended at a rung; None where it continues."""
        stages = self.planned[0].stages
        training = training_of(stages)
        if self.prune is None or training is None:
            return None
        before = [stage for stage in stages if stage.id in training.needs]
        for rung in (rung_of(training, step) for step in self.rungs):
            way = [*before, *rung.before, rung]
            yield from self._missing(way)
            failure = self._failure(way)
            if failure is not None:
                return TrialOutcome("failed", failure[0], reported=reported, steps=rung.step, again=failure[1])
            metrics = self._metrics(rung)
            value = metrics.get(self.objectives[0])
            if value is None:
                # Trained beyond it before it was judged there: that is not held against it.
                continue
            reported[rung.step] = value
            if self.prune(reported):
                reason, seconds = f"{value:.4g} at step {rung.step} of {rung.cell.training.steps}", "cost/train_seconds"
                return TrialOutcome("pruned", reason, reported=reported, steps=rung.step, seconds=metrics[seconds])
        return None

    def _whole(self, reported: dict[int, float]) -> Way:
        """All its seeds side by side, or one by one as long as the pruner allows."""
        seeds = [item.stages for item in self.planned]
        done: list[list[Stage]] = []
        for group in [seeds] if self.prune_seeds is None else [[seed] for seed in seeds]:
            wanted = [stage for seed in group for stage in seed]
            yield from self._missing(wanted)
            done += group
            failure = self._failure(wanted)
            if failure is not None:
                steps = sum(map(self._steps, done))
                return TrialOutcome("failed", failure[0], reported=reported, steps=steps, again=failure[1])
            if self.prune_seeds is not None:
                value = self._of_seed(group[0]).get(self.objectives[0])
                if value is None:
                    break
                reported[len(done) - 1] = value
                if self.prune_seeds(reported):
                    break
        return self._finished(done, reported)

    def _finished(self, seeds: list[list[Stage]], reported: dict[int, float]) -> TrialOutcome:
        of_seeds = [self._of_seed(stages) for stages in seeds]
        common = [name for name in of_seeds[0] if all(name in metrics for metrics in of_seeds)]
        means = {name: fmean(metrics[name] for metrics in of_seeds) for name in common}
        missing = [name for name in self.objectives if name not in means]
        if missing:
            return TrialOutcome("failed", f"{missing[0]} is no number", reported=reported)
        left_out = len(seeds) < len(self.planned)
        return TrialOutcome(
            "finished",
            f"the first {len(seeds)} seeds only: the others were left out" if left_out else "",
            tuple(means[name] for name in self.objectives),
            means,
            reported,
            sum(map(self._steps, seeds)),
            sum(value for metrics in of_seeds for name, value in metrics.items() if name.endswith("_seconds")),
        )

    def _missing(self, stages: list[Stage]) -> Generator[list[Stage], None, None]:
        missing = [stage for stage in stages if self.journal.result(stage.id) is None]
        if missing:
            yield missing

    def _failure(self, stages: list[Stage]) -> tuple[str, bool] | None:
        """The failure of the first unfinished stage, and whether it was an accident. A metric that is no objective does
        not count."""
        for stage in stages:
            if stage.fills and stage.fills not in self.objectives:
                continue
            result = self.journal.result(stage.id)
            if result is None:
                failure = self.journal.failure(stage.id) or LEFT_OUT
                return failure.message, failure.accidental
            if result.status != "finished":
                return result.reason, False
        return None

    def _steps(self, stages: list[Stage]) -> int:
        training = training_of(stages)
        return training.cell.training.steps if training is not None and self.journal.result(training.id) else 0

    def _of_seed(self, stages: list[Stage]) -> dict[str, float]:
        named = [own_metrics(stage, self._metrics(stage)) for stage in stages]
        return {name: value for metrics in named for name, value in metrics.items()}

    def _metrics(self, stage: Stage) -> dict[str, float]:
        result = self.journal.result(stage.id)
        return {} if result is None else result.metrics
