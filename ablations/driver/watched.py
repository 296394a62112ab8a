"""Runs of the store that are updated while they are under way: of a cell, or of an autoencoder that cells share.

A run has the form that publishing gives it at its end, with what is known so far; its curves are those that its
trainings have left in the journal.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from ablations.driver.plan import Plan
from ablations.engine.journal import Journal
from ablations.grids.grid import Planned
from ablations.results import autoencoders
from ablations.results.folder import standing
from ablations.results.records import record
from ablations.stages.artifacts import CLOCK, SAMPLES, clock_of, read_history
from ablations.stages.graph import training_of
from ablations.stages.stage import OnTheWay, Scores, Stage
from ablations.tracking.mlflow_runs import RUNNING, Clock, Points, Tracked, autoencoder_run, cell_run, study_in
from analysis.schema import OVER_STEPS, RUNG


class Watched(ABC):
    """A run that is updated while it is under way."""

    journal: Journal

    @property
    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """The stages that it goes through, in order."""

    @property
    @abstractmethod
    def key(self) -> tuple[str, str]:
        """The key of its run, as `key_of` the run's tags."""

    @abstractmethod
    def run(self) -> Tracked:
        """Its run as it is known so far, without curves."""

    @abstractmethod
    def points(self) -> Points:
        """The curves over training steps so far."""

    @property
    def samples(self) -> dict[int, Path]:
        """The steps at which samples were judged so far → their files."""
        return {}


@dataclass(frozen=True)
class WatchedCell(Watched):
    """A cell at a seed; `request` names the cells of its grid, whose results are in `folder`, and `study` is the search
    that it confirms, "" for none."""

    planned: Planned
    journal: Journal
    request: str
    folder: Path
    study: str = ""

    @property
    def stages(self) -> Sequence[Stage]:
        return [stage for stage in self.planned.stages if stage.of_cell]

    @property
    def key(self) -> tuple[str, str]:
        return self.planned.cell_id, str(self.planned.cell.seed)

    def run(self) -> Tracked:
        row = {name: str(value) for name, value in record(self.planned, self.journal).row().items()}
        row |= {"status": RUNNING, "reason": "", "data_digest": self.planned.digest}
        training = training_of(self.planned.stages)
        clock = {} if training is None else clock_in(training.id, self.journal)
        return replace(cell_run(row, self.planned.name, "", self.request, self.folder, self.study), clock=clock)

    def points(self) -> Points:
        points = points_of(self.planned.stages, self.journal)
        for scores in get_args(Scores):
            for rung in (rung for rung in self._rungs if rung.scores == scores):
                result = self.journal.result(rung.id)
                if result is None:
                    # Rungs are reported in order: later ones wait until this one has its result.
                    break
                for name in (name for name in result.metrics if not name.startswith("cost/")):
                    points.setdefault(f"{RUNG}{name}", []).append((float(rung.step), result.metrics[name]))
        return points

    @property
    def samples(self) -> dict[int, Path]:
        places = {rung.step: self.journal.folder(rung.id) / SAMPLES for rung in self._rungs if rung.scores == "samples"}
        return {step: path for step, path in places.items() if path.exists()}

    @property
    def _rungs(self) -> list[OnTheWay]:
        return [stage for stage in self.planned.stages if isinstance(stage, OnTheWay)]


@dataclass(frozen=True)
class WatchedAutoencoder(Watched):
    """An autoencoder of a grid whose results are in `folder`."""

    stage: Stage
    journal: Journal
    folder: Path

    @property
    def stages(self) -> Sequence[Stage]:
        return [self.stage]

    @property
    def key(self) -> tuple[str, str]:
        return self.stage.id, str(self.stage.cell.seed)

    def run(self) -> Tracked:
        row = {name: str(value) for name, value in autoencoders.row(self.stage, RUNNING).items()}
        return replace(autoencoder_run(row, self.folder), clock=clock_in(self.stage.id, self.journal))

    def points(self) -> Points:
        return reported(self.stage.id, self.journal)


def points_of(stages: list[Stage], journal: Journal) -> Points:
    """The curves that the diffusion's training among these stages has reported."""
    training = training_of(stages)
    return {} if training is None else reported(training.id, journal)


def reported(training: str, journal: Journal) -> Points:
    """The curves of a training over its steps so far; values that are not finite are left out. Once it is over, they
    come from its result, which carries a digest."""
    result = journal.result(training)
    if result is not None:
        curves = {name: list(zip(*curve, strict=True)) for name, curve in result.curves.items()}
        return {name: points for name, points in curves.items() if points and name.startswith(OVER_STEPS)}
    so_far: Points = {}
    for line in read_history(journal.folder(training)):
        for name in (name for name in line if name.startswith(OVER_STEPS) and math.isfinite(line[name])):
            so_far.setdefault(name, []).append((line["step"], line[name]))
    return so_far


def clock_in(training: str, journal: Journal) -> Clock:
    """The clock of a training so far; empty where it is not known."""
    result = journal.result(training)
    curves = clock_of(read_history(journal.folder(training))) if result is None else result.curves
    return dict(zip(*curves.get(CLOCK, ([], [])), strict=True))


def first_judged(plan: Plan) -> int:
    """The first step at which samples are judged during training, which MLflow's page shows while there are no others;
    0 where none are."""
    rungs = [stage for stage in plan.stages() if isinstance(stage, OnTheWay) and stage.scores == "samples"]
    return min((rung.step for rung in rungs), default=0)


def watched_by_stage(plan: Plan, journal: Journal, request: str, folder: Path) -> dict[str, list[Watched]]:
    """Stage → the runs that are under way with it: the autoencoder that it trains, and the cells that wait for it."""
    by_stage: dict[str, list[Watched]] = {}
    study = study_in(standing(folder) or {})
    for item in plan.planned:
        cell = WatchedCell(item, journal, request, folder, study)
        for stage in item.stages:
            if stage.kind == "autoencoder" and stage.id not in by_stage:
                by_stage[stage.id] = [WatchedAutoencoder(stage, journal, folder)]
            if stage.of_cell:
                by_stage.setdefault(stage.id, []).append(cell)
    return by_stage
