"""What the trainings of a search's trials reported over their steps, as rows of `trial_curves.csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.driver.watched import points_of
from ablations.engine.journal import Journal
from ablations.results.csv_text import drawn, number
from ablations.search.optimizer.told import Told
from ablations.search.plan import SearchPlan
from ablations.tracking.mlflow_runs import RUNNING

CURVES = ("trial", "seed", "curve", "x", "y")
"""The columns of trial_curves.csv."""


@dataclass(eq=False)
class TrialCurves:
    """The curves of trials that are over, each read once; `before` are those that stood in the folder, by trial: what
    has been damaged since, of a trial that has its value, is not trained again."""

    plan: SearchPlan
    journal: Journal
    before: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    known: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def rows(self, trials: Iterable[Told]) -> list[dict[str, Any]]:
        """Those of all that are over, in order."""
        found = []
        for trial in trials:
            if trial.state != RUNNING:
                if trial.number not in self.known:
                    self.known[trial.number] = self._read(trial) or self.before.get(trial.number, [])
                found += self.known[trial.number]
        return found

    def _read(self, trial: Told) -> list[dict[str, Any]]:
        return [
            dict(zip(CURVES, (trial.number, item.cell.seed, name, number(x), number(y)), strict=True))
            for item in self.plan.possible(trial.params)
            for name, line in points_of(item.stages, self.journal).items()
            for x, y in drawn(*map(list, zip(*line, strict=True)))
        ]


def standing_curves(path: Path) -> dict[int, list[dict[str, Any]]]:
    """The rows of a trial_curves.csv by trial; none where there is no such file, or it is damaged."""
    found: dict[int, list[dict[str, Any]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(int(row["trial"]), []).append({name: row[name] for name in CURVES})
    except (FileNotFoundError, ValueError, KeyError, TypeError, csv.Error):
        return {}
    return found
