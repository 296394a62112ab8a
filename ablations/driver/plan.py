"""The plan of a command: cells with their identities and stages, once it is known where they run.

Grids and searches share the same `Conditions`: the data, the precision that a device makes of `precision=auto`, the
extractor that samples are judged by, and the devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ablations.data.base import Data
from ablations.engine.journal import Journal
from ablations.grids.grid import Grid, Point, words
from ablations.launchers.launcher import Launcher
from ablations.metrics.judging import extractor_identity
from ablations.results.folder import never_overwritten, read_grid_json
from ablations.settings.cell import Cell
from ablations.settings.registry import cell_id
from ablations.stages.graph import Run, missing, once, stages_of
from ablations.stages.metrics import FloorStage, check, floor_of, metric_floors, metric_stages
from ablations.stages.stage import Stage
from analysis.errors import InputError
from diffusion_core.compilation import resolve_compile
from diffusion_core.precision import Precision


@dataclass(frozen=True)
class Conditions:
    """The conditions that all cells of a grid or of a search share. `extractor` is the identity of the network that
    samples are judged by, None where none are."""

    data: Data
    extractor: str | None
    launcher: Launcher
    devices: list[str]

    def precision_of(self, cell: Cell) -> Precision:
        """The precision that a cell is trained in: the one that it asks for, resolved for the device."""
        return self.launcher.precision(cell.training.precision, self.devices[0])

    def resolved(self, cell: Cell) -> Cell:
        """The cell with the compilation that it asks for, resolved for the device."""
        compile = resolve_compile(cell.training.compile, torch.device(self.devices[0]))
        return replace(cell, training=replace(cell.training, compile=compile))

    def id_of(self, cell: Cell) -> str:
        """The id of a cell, which its seeds share."""
        return cell_id(self.resolved(cell), self.data.digest, self.precision_of(cell), self.extractor)

    def run(self, point: Point, name: str = "", rungs: Sequence[int] | None = None) -> Run:
        """A point with its cell's identity, its name and, unless there is a reason why it makes no sense, its stages.
        It is scored at these `rungs`, or at those that it asks for."""
        digest, cell, reason = self.data.digest, self.resolved(point.cell), point.refusal
        stages = [] if reason else stages_of(cell, digest, self.precision_of(cell), self.extractor, rungs)
        return Run(point.levels, cell, self.id_of(cell), digest, [*stages, *metric_stages(cell, stages)], reason, name)


def conditions(cells: list[Cell], launcher: Launcher, devices: list[str], *, judged: bool) -> Conditions:
    """The conditions of these cells; InputError where they mix data sets or extractors, or ask for something that
    cannot be read."""
    plans = [cell.evaluation for cell in cells]
    for shared, one, key in (
        ({cell.data for cell in cells}, "compares cells on one data set", "data"),
        ({plan.weights for plan in plans}, "judges all samples by one extractor", "evaluation.weights"),
        ({plan.n for plan in plans}, "judges all samples by sets of one size", "evaluation.n"),
        ({plan.reference for plan in plans}, "has one reference", "evaluation.reference"),
    ):
        if len(shared) > 1:
            raise InputError(f"a grid {one}: run it once per {key}=… with a name=… each")
    check(cells)
    data = cells[0].data.load()
    try:
        return Conditions(data, extractor_identity(cells[0]) if judged else None, launcher, devices)
    except ValueError as error:
        raise InputError(str(error)) from error


@dataclass(frozen=True)
class Plan:
    """A grid's cells with their stages, the conditions that they run under, and the scores of real images beside them:
    `floors` by the metrics that every cell is judged by, if any, and by each that is asked for besides."""

    grid: Grid
    here: Conditions
    runs: list[Run]
    floors: list[FloorStage]

    def missing(self, journal: Journal) -> list[Stage]:
        """The stages still to run: they have no result, and none that they need diverged."""
        stages = self.stages()
        diverged = {stage.id for stage in stages if (it := journal.result(stage.id)) and it.status != "finished"}
        return [stage for stage in missing(stages, journal) if not diverged & set(stage.needs)]

    def first(self, seeds: Mapping[str, int]) -> Plan:
        """The same cells with only their first seeds, so many of each by its id."""
        first_seeds = self.grid.seeds[: max(seeds.values())]
        kept = [item for item in self.runs if item.cell.seed in first_seeds[: seeds[item.cell_id]]]
        return replace(self, grid=replace(self.grid, seeds=first_seeds), runs=kept)

    def stages(self) -> list[Stage]:
        """Every stage once, in order of the cells."""
        return once([*self.floors, *(stage for run in self.runs for stage in run.stages)])

    @property
    def sensible(self) -> int:
        """The number of cells that make sense."""
        return len({item.cell_id for item in self.runs if item.refusal is None})

    @property
    def trainings(self) -> set[str]:
        """The ids of the cells' trainings: diffusions, and autoencoders without one."""
        return {parts.training for item in self.runs if (parts := item.parts) is not None}


def plan(grid: Grid, launcher: Launcher, devices: list[str]) -> Plan:
    """The plan of a grid, with every cell identified; InputError where the grid mixes data sets or extractors."""
    points = grid.at_seeds()
    judged = any(point.cell.evaluation.quality for point in points)
    here = conditions([point.cell for point in points], launcher, devices, judged=judged)
    runs = [here.run(point, grid.file.cell_name(point.levels)) for point in points]
    _refuse_equal(runs)
    floors = [floor_of(runs[0].cell, here.data.digest, here.extractor)] if judged else []
    scored = [item.cell for item in runs if item.refusal is None]
    return Plan(grid, here, runs, [*floors, *metric_floors(scored, here.data.digest, here.extractor)])


def _refuse_equal(runs: list[Run]) -> None:
    """InputError where two combinations of levels are the same cell."""
    seen: dict[object, Run] = {}
    for item in runs:
        other = seen.setdefault((item.cell_id, item.cell.seed), item)
        if other is not item:
            raise InputError(f"{words(other.levels)} and {words(item.levels)} are the same cell: leave one of them out")


def check_same_request(folder: Path, plan: Plan) -> dict[str, Any] | None:
    """The grid.json of these cells that stands in `folder`, if any; InputError where the folder holds a search, or
    other cells, though by the same command."""
    head = read_grid_json(folder)
    if head is None or set(head["cells"]) == {item.cell_id for item in plan.runs}:
        return head
    raise never_overwritten(folder, head)
