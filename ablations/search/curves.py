"""What trainings of trials reported over their steps, and what the pruner was told, as rows of curves.csv."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ablations.driver.watched import points_of
from ablations.engine.journal import Journal
from ablations.results.csv_text import curve_rows
from ablations.results.trials import Line
from ablations.search.optimizer.told import Told
from ablations.search.plan import SearchPlan
from ablations.tracking.mlflow_runs import RUNNING
from analysis.format.names import RUNG


@dataclass(eq=False)
class TrialCurves:
    """The curves of trials that are over, each read once. Those that stood in the folder `before` stay where the
    journal has none: what has been damaged since, of a trial that has its value, is not trained again."""

    plan: SearchPlan
    journal: Journal
    before: list[Line]
    known: dict[int, list[Line]] = field(default_factory=dict)

    def rows(self, trials: Iterable[Told]) -> list[Line]:
        """Those of all that are over, in order; a cell that was tried twice has them once."""
        points: dict[tuple[object, ...], Line] = {}
        for trial in trials:
            if trial.state != RUNNING:
                if trial.number not in self.known:
                    self.known[trial.number] = self._read(trial)
                points |= {tuple(line.values())[:-1]: line for line in self.known[trial.number]}
        return list(points.values())

    def _read(self, trial: Told) -> list[Line]:
        cell = trial.metadata.get("cell_id", "")
        reported = {
            (cell, item.cell.seed): {name: _curve(line) for name, line in points_of(item.stages, self.journal).items()}
            for item in self.plan.possible(trial.params)
        }
        told = _curve(sorted((float(step), value) for step, value in trial.reported.items()))
        rung = {(cell, self.plan.study.seeds[0]): {f"{RUNG}{self.plan.objectives[0]}": told}}
        stood = [line for line in self.before if line["cell_id"] == cell and not line["curve"].startswith(RUNG)]
        lines = list(curve_rows(reported)) or stood
        return [*lines, *curve_rows(rung)] if self.plan.study.prunes else lines


def _curve(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
