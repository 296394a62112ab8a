"""A trial as a run of the store, while it is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations.driver.watched import Watched, points_of
from ablations.engine.journal import Journal
from ablations.grids.grid import Planned
from ablations.search.optimizer.trials import StoredTrial, row_of
from ablations.search.space import Params, Study
from ablations.stages.graph import training_of
from ablations.stages.rung import RungStage, rung_of
from ablations.stages.stage import Stage
from ablations.tracking.mlflow_runs import RUNNING, Points, Tracked, of_seed, trial_run
from analysis.schema import RUNG

TOLD = "nll/val"
"""The metric that a pruner is told at a rung."""


@dataclass(frozen=True)
class WatchedTrial(Watched):
    """A trial of a search with this `identity`, planned at each of its seeds; its results will be in `folder`."""

    study: Study
    identity: str
    number: int
    params: Params
    planned: list[Planned]
    journal: Journal
    folder: Path

    @property
    def stages(self) -> Sequence[Stage]:
        way = [stage for rung in self._rungs for stage in (*rung.before, rung)]
        return [*way, *(stage for item in self.planned for stage in item.stages)]

    @property
    def _rungs(self) -> list[RungStage]:
        """The steps at which the first seed's training is judged on its way."""
        training = training_of(self.planned[0].stages)
        steps = self.study.rungs(self.planned[0].cell) if self.study.prunes else []
        return [rung_of(training, step) for step in steps if training is not None]

    @property
    def key(self) -> tuple[str, str]:
        return self.identity, str(self.number)

    def run(self) -> Tracked:
        noted = {"cell_id": self.planned[0].cell_id}
        row = row_of(self.study, StoredTrial(self.number, RUNNING, self.params, (), {}, noted, {}))
        texts = {name: str(value) for name, value in row.items()}
        return trial_run(texts, [], self.study.name, self.identity, self.folder)

    def points(self) -> Points:
        points: Points = {}
        for item in self.planned:
            for name, line in points_of(item.stages, self.journal).items():
                points[of_seed(name, item.cell.seed, self.study.seeds)] = line
        for rung in self._rungs:
            result = self.journal.result(rung.id)
            if result is not None and TOLD in result.metrics:
                points.setdefault(f"{RUNG}{TOLD}", []).append((float(rung.step), result.metrics[TOLD]))
        return points
