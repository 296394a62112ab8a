"""The plan of a command: cells with their identities and stages, once it is known where they run.

Grids and searches share the same `Conditions`: the data, the precision that a device makes of `precision=auto`, the
extractor that samples are judged by, and the devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ablations.data.base import Data
from ablations.engine.journal import Journal
from ablations.grids.footnotes import words
from ablations.grids.grid import SEEDS, Grid, Planned
from ablations.launchers.protocol import Launcher
from ablations.metrics.judging import extractor_identity
from ablations.settings.cell import Cell
from ablations.settings.identity import cell_id
from ablations.stages.asked import check, check_labels, metric_floors, metric_stages
from ablations.stages.devices import devices_of
from ablations.stages.floor import FloorStage, floor_of
from ablations.stages.graph import once, stages_of
from ablations.stages.rung import RungStage
from ablations.stages.samples import more_sets
from ablations.stages.stage import Stage
from analysis.errors import InputError
from diffusion_core.precision import Precision
from diffusion_core.spaces import Latents


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

    def id_of(self, cell: Cell) -> str:
        """The id of a cell, which its seeds share."""
        return cell_id(cell, self.data.digest, self.precision_of(cell), self.extractor)

    def planned(
        self, levels: dict[str, str], cell: Cell, reason: str | None, *, early: bool = False, name: str = ""
    ) -> Planned:
        """A cell with its identity, its name and, unless there is a reason why it makes no sense, its stages. With
        `early`, its samples are judged at the first rung, because the first answer rests on that."""
        digest = self.data.digest
        stages = [] if reason else stages_of(cell, digest, self.precision_of(cell), self.extractor, early=early)
        return Planned(levels, cell, self.id_of(cell), digest, [*stages, *metric_stages(cell, stages)], reason, name)


def conditions(cells: list[Cell], launcher: Launcher, devices: list[str], *, judged: bool) -> Conditions:
    """The conditions of these cells; InputError where they mix data sets or extractors, or ask for something that
    cannot be read."""
    if len({cell.data for cell in cells}) > 1:
        raise InputError("a grid compares cells on one data set: run it once per data=… with a name=… each")
    if len({cell.evaluation.weights for cell in cells}) > 1:
        raise InputError("a grid judges all samples by one extractor: run it once per evaluation.weights=…")
    if len({cell.evaluation.n for cell in cells}) > 1:
        raise InputError(
            "a grid judges all samples by sets of one size: run it once per evaluation.n=… with a name=… each, or ask "
            "for evaluation.metrics=[fid_infinity], which has no n"
        )
    if len({cell.evaluation.reference for cell in cells}) > 1:
        raise InputError("a grid has one reference: run it once per evaluation.reference=… with a name=… each")
    for cell in cells:
        check(cell)
        check_shared(cell, len(devices_of(devices[0])))
    check_labels(cells)
    data = cells[0].data.load()
    try:
        return Conditions(data, extractor_identity(cells[0]) if judged else None, launcher, devices)
    except ValueError as error:
        raise InputError(str(error)) from error


def check_shared(cell: Cell, devices: int) -> None:
    """InputError where a cell's batches cannot be divided equally among so many devices."""
    batches = {"training.batch": cell.training.batch}
    if isinstance(cell.space, Latents):
        batches["space.batch"] = cell.space.batch
    for name, batch in batches.items():
        if batch % devices:
            raise InputError(
                f"{name}={batch} is not shared equally by {devices} GPUs: take a multiple of {devices}, or another "
                "launcher.gpus_per_cell"
            )


@dataclass(frozen=True)
class Plan:
    """A grid's cells with their stages, the scores of real images beside them, and the conditions that they run under.
    `floor` is measured by the metrics that every cell is judged by, None where there is none; `metric_floors` by those
    that are asked for besides."""

    grid: Grid
    here: Conditions
    planned: list[Planned]
    floor: FloorStage | None
    metric_floors: list[FloorStage]

    def missing(self, journal: Journal) -> list[Stage]:
        """The stages still to run: they have no result, and none that they need diverged."""
        results = {stage.id: journal.result(stage.id) for stage in self.stages()}
        over = {stage_id for stage_id, result in results.items() if result is not None and result.status != "finished"}
        return [stage for stage in self.stages() if results[stage.id] is None and not over & set(stage.needs)]

    def first(self, seeds: Mapping[str, int]) -> Plan:
        """The same cells with only their first seeds, so many of each by its id."""
        first_seeds = self.grid.seeds[: max(seeds.values())]
        kept = [item for item in self.planned if item.cell.seed in first_seeds[: seeds[item.cell_id]]]
        return replace(self, grid=replace(self.grid, seeds=first_seeds), planned=kept)

    def with_sets(self, sets: int) -> Plan:
        """The same plan with so many generated sets, not only the first ones, in the cells with
        `evaluation.sets=auto`."""
        return replace(self, planned=[self._with_sets(item, sets) for item in self.planned])

    def _with_sets(self, item: Planned, sets: int) -> Planned:
        if item.cell.evaluation.sets != "auto":
            return item
        more = more_sets(item.stages, self.here.extractor, sets)
        return replace(item, stages=[*item.stages, *more, *metric_stages(item.cell, more)])

    def stages(self) -> list[Stage]:
        """Every stage once, in order of the cells."""
        floor = [] if self.floor is None else [self.floor]
        return once([*floor, *self.metric_floors, *(stage for planned in self.planned for stage in planned.stages)])


def plan(grid: Grid, launcher: Launcher, devices: list[str]) -> Plan:
    """The plan of a grid, with every cell identified; InputError where the grid mixes data sets or extractors."""
    points = grid.at_seeds()
    judged = any(point.cell.evaluation.quality for point in points)
    here = conditions([point.cell for point in points], launcher, devices, judged=judged)
    first = grid.seeds[: SEEDS[0]] if len([point for point in grid.points if point.refusal is None]) > 1 else []
    planned = [
        here.planned(
            point.levels,
            point.cell,
            point.refusal,
            early=point.cell.seed in first,
            name=grid.file.cell_name(point.levels),
        )
        for point in points
    ]
    _refuse_equal(planned)
    floor = floor_of(planned[0].cell, here.data.digest, here.extractor) if judged else None
    scored = [item.cell for item in planned if item.refusal is None]
    return Plan(grid, here, planned, floor, metric_floors(scored, here.data.digest, here.extractor))


def _refuse_equal(planned: list[Planned]) -> None:
    """InputError where two combinations of levels are the same cell, or differ only in what the cell does not read."""
    seen: dict[object, Planned] = {}
    for item in planned:
        # A chain of no steps reads little of a cell: what is scored is told by its stages.
        stages = tuple(stage.id for stage in item.stages) if item.cell.horizon == 0 else None
        other = seen.setdefault((stages or item.cell_id, item.cell.seed), item)
        if other is not item:
            raise InputError(f"{words(other.levels)} and {words(item.levels)} are the same cell: leave one of them out")


@dataclass(frozen=True)
class Round:
    """A step of a command: the `plan` that is run, and the `whole` plan whose results are written.

    It is the `number`-th `of` so many at most. The pages after it rest on the first `seeds` seeds, at the first `rung`
    of each training or at its end, and are `preliminary` unless it is a planned look or the end. `details` are added to
    grid.json.
    """

    number: int
    of: int
    plan: Plan
    whole: Plan
    seeds: int
    rung: bool
    preliminary: bool
    details: dict[str, Any]

    @property
    def named(self) -> str:
        """Its number and what it runs, in words."""
        return f"round {self.number} of {self.of}: {self.title}"

    @property
    def title(self) -> str:
        """Its trainings and seeds, in words."""
        seeds = f"{self.seeds} seed{'s' * (self.seeds > 1)}"
        return (
            f"trainings to their first rung ({steps_of(self.plan)}), {seeds}"
            if self.rung
            else f"whole trainings, {seeds}"
        )

    def described(self, finished: int) -> dict[str, Any]:
        """Its entry in grid.json, where so many trainings have `finished`."""
        return {
            "number": self.number,
            "of": self.of,
            "seeds": self.seeds,
            "rung": self.rung,
            "preliminary": self.preliminary,
            "finished": finished,
            "trainings": len(trainings(self.whole)),
        }

    def none_yet(self) -> Round:
        """An empty round to show while this first one is not complete."""
        return replace(self, number=0, seeds=0, rung=False, preliminary=True)


def trainings(plan: Plan) -> set[str]:
    """The ids of a plan's last trainings: diffusions, and autoencoders without one."""
    return {parts.training for item in plan.planned if (parts := item.parts) is not None}


def steps_of(plan: Plan) -> str:
    """The steps that trainings go to, in words: 150 of 300 steps."""
    rungs = [stage for item in plan.planned for stage in item.stages if isinstance(stage, RungStage)]
    reached = sorted({(rung.step, rung.cell.training.steps) for rung in rungs})
    return " to ".join(f"{step} of {steps}" for step, steps in dict.fromkeys((reached[0], reached[-1]))) + " steps"
