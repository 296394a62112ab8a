"""Announcements of a search, before its trials and before their confirmation: what is run, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

from ablations.driver.bar import minutes
from ablations.driver.beginning import measured_there
from ablations.driver.estimates import DRAWN, FIRST, Measured
from ablations.search.plan import SearchPlan
from ablations.search.space import Study
from ablations.stages.rung import rung_of
from ablations.stages.stage import Stage
from ablations.stages.training import TrainingStage
from analysis.labels import counted
from analysis.schema import LEARNING


@dataclass(frozen=True)
class Announced:
    """The stages of a trial of the default, and the stages of its confirmation at a fresh seed, with test data;
    the seconds of their parts were `measured`."""

    plan: SearchPlan
    trial: list[Stage] = field(default_factory=list)
    confirming: list[Stage] = field(default_factory=list)
    measured: Measured = field(default_factory=Measured)

    @staticmethod
    def of(plan: SearchPlan, quick: bool = False) -> Announced:
        """Measured now, with as many trainings side by side as a trial has; a confirmation has more, and takes no
        longer."""
        study = plan.study
        trial = [stage for item in plan.planned(study.default) for stage in item.stages]
        for training in [stage for stage in trial if stage.kind == TrainingStage.kind] if study.prunes else []:
            assert isinstance(training, TrainingStage), "there is no other of its kind"
            after = (*training.needs, training.id)
            rungs = [rung_of(training, step).waiting_for(after) for step in study.rungs(training.cell)]
            trial += [stage for rung in rungs for stage in (*rung.before, rung)]
        confirming = plan.here.planned({}, study.cell(study.default, study.seeds[-1] + 1), None).stages
        # Trainings of both are alike, and not run at the same time.
        kinds = [*trial, *(stage for stage in confirming if not stage.trains)]
        return Announced(plan, trial, confirming, measured_there(plan.here, kinds, quick))

    def lines(self, ended: int = 0) -> list[str]:
        """Lines on the trials to come, after so many have ended."""
        study, workers = self.plan.study, len(self.plan.here.devices)
        sampler = f"{study.file.sampler}{_drawn(study)}"
        how = f"{sampler}, pruner {study.file.pruner}, by {' and '.join(self.plan.objectives)}"
        if study.limit is None:
            trials = f"{study.hours:g} hours of trials ({how})"
        else:
            left = max(0, study.limit - ended)
            takes = self._about(FIRST + left * self._alone(self.trial) / workers)
            trials = f"{counted(left, 'trial')} ({how}){takes}{', if none is pruned' if takes and study.prunes else ''}"
        seeds = counted(study.file.confirm, "fresh seed")
        return [
            f"{trials}, on {counted(workers, 'worker')}",
            f"then, on test data, the winner and the default at {seeds}{self.confirmation(2)}",
        ]

    def confirmation(self, cells: int) -> str:
        """The time of confirming so many cells, each like the default, and of drawing the pages."""
        seeds, each = self.plan.study.file.confirm, self._alone(self.confirming)
        return self._about(DRAWN + max(each, cells * seeds * each / len(self.plan.here.devices)))

    def _alone(self, stages: list[Stage]) -> float:
        return self.measured.seconds(stages, self.plan.here.data, 1)

    def _about(self, seconds: float) -> str:
        return f": about {minutes(seconds)}" if self.measured.each else ""


def _drawn(study: Study) -> str:
    """The words for the trials that a sampler has drawn at random, before it has values to learn from; "" for none."""
    if study.file.sampler not in LEARNING or not study.file.startup:
        return ""
    if study.limit is not None and study.limit <= study.file.startup:
        return f" after {study.file.startup} trials, and so all at random"
    return f" after {counted(study.file.startup, 'trial')} at random"
