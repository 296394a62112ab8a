"""A trial while it is under way, as a run of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations.driver.watched import Watched, points_of
from ablations.engine.journal import Journal
from ablations.grids.planned import Planned
from ablations.search.optimizer.told import Told
from ablations.search.rows import row_of
from ablations.search.space import Params, Study
from ablations.stages.graph import training_of
from ablations.stages.rung import rung_of
from ablations.stages.stage import Stage
from ablations.tracking.mlflow_runs import RUNNING, Points, Tracked, of_seed, trial_run
from analysis.format.names import RUNG

TOLD = "nll/val"
"""What a pruner is told at a rung."""


@dataclass(frozen=True)
class WatchedTrial(Watched):
    """A trial of a search of this `identity`, planned at each of its seeds; its results are to be in `folder`."""

    study: Study
    identity: str
    number: int
    params: Params
    planned: list[Planned]
    journal: Journal
    folder: Path

    @property
    def stages(self) -> Sequence[Stage]:
        training = training_of(self.planned[0].stages)
        steps = self.study.rungs(self.planned[0].cell) if self.study.prunes else []
        rungs = [rung_of(training, step) for step in steps if training is not None]
        return [*rungs, *(stage for item in self.planned for stage in item.stages)]

    @property
    def key(self) -> tuple[str, str]:
        return self.identity, str(self.number)

    def run(self) -> Tracked:
        known = {"cell_id": self.planned[0].cell_id}
        row = row_of(self.study, Told(self.number, RUNNING, self.params, (), {}, known, {}))
        told = {name: str(value) for name, value in row.items()}
        return trial_run(told, [], self.study.name, self.identity, self.folder)

    def points(self) -> Points:
        found: Points = {}
        for item in self.planned:
            seed = item.cell.seed
            for name, line in points_of(item.stages, self.journal).items():
                found[of_seed(name, seed, self.study.seeds)] = line
        rungs = self._rungs()
        return found | ({f"{RUNG}{TOLD}": rungs} if rungs else {})

    def _rungs(self) -> list[tuple[float, float]]:
        """What the pruner has been told of the first seed."""
        item = self.planned[0]
        training = training_of(item.stages)
        if training is None or not self.study.prunes:
            return []
        found = []
        for step in self.study.rungs(item.cell):
            result = self.journal.result(rung_of(training, step).id)
            if result is not None and TOLD in result.metrics:
                found.append((float(step), result.metrics[TOLD]))
        return found
