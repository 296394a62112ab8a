"""What the trainings of a search's trials reported over their steps, as rows of `trial_curves.csv`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ablations.driver.watched import points_of
from ablations.results.csv_text import drawn, number
from ablations.search.loop import SearchPlan
from ablations.search.optimizer.told import Told
from ablations.stages.journal import Journal
from ablations.tracking.mlflow_runs import RUNNING

CURVES = ("trial", "seed", "curve", "x", "y")
"""The columns of trial_curves.csv."""


@dataclass(eq=False)
class TrialCurves:
    """The curves of trials that are over, each read once."""

    plan: SearchPlan
    journal: Journal
    known: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def rows(self, trials: Iterable[Told]) -> list[dict[str, Any]]:
        """Those of all that are over, in order."""
        found = []
        for trial in trials:
            if trial.state != RUNNING:
                if trial.number not in self.known:
                    self.known[trial.number] = self._read(trial)
                found += self.known[trial.number]
        return found

    def _read(self, trial: Told) -> list[dict[str, Any]]:
        return [
            dict(zip(CURVES, (trial.number, item.cell.seed, name, number(x), number(y)), strict=True))
            for item in self.plan.possible(trial.params)
            for name, line in points_of(item.stages, self.journal).items()
            for x, y in drawn(*map(list, zip(*line, strict=True)))
        ]
