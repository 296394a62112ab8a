"""The plan of a command: cells with their identities and stages, once it is known where they run; and its looks, the
parts that end in verdicts, with the decision between two of them.

    seeds=N       one look, at all seeds
    seeds=auto    at each look, which of the comparisons that the grid declares (`Meta.declared`) are over; a comparison
                  that is over stays so, and cells that no open comparison needs stop

A decision is read from files like those of the grid's results (`analysis.looks`), and depends only on the journal: so
a command that is given again decides the same, and so does whoever reads its results.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ablations.data.base import Data
from ablations.engine.journal import Journal, Result
from ablations.grids.grid import Grid, Point, words
from ablations.launchers.launcher import Launcher
from ablations.metrics.scoring import extractor_identity
from ablations.results.folder import never_overwritten, read_grid_json, write_frames
from ablations.results.grid_json import head_of
from ablations.results.records import record
from ablations.settings.cell import Cell
from ablations.settings.registry import cell_id
from ablations.stages.graph import stages_of, unique
from ablations.stages.metrics import FloorStage, check, floor_of, metric_floors, metric_stages
from ablations.stages.stage import Run, Stage, missing
from analysis.errors import InputError
from analysis.grid_json import Meta, parse_meta
from analysis.labels import counted, some
from analysis.looks import Progress, progress
from diffusion_core.precision import Precision, resolve_compile


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
        asked = digest, self.precision_of(cell), self.extractor, rungs, self.launcher.shares
        stages = [] if reason else stages_of(cell, *asked)
        return Run(point.levels, cell, self.id_of(cell), digest, [*stages, *metric_stages(cell, stages)], reason, name)


def conditions(cells: list[Cell], launcher: Launcher, devices: list[str], *, judged: bool) -> Conditions:
    """The conditions of these cells; InputError where they mix data sets or extractors, or ask for something that
    cannot be read."""
    plans = [cell.evaluation for cell in cells]
    for shared, says, key in (
        ({cell.data for cell in cells}, "compares cells on one data set", "data"),
        ({plan.weights for plan in plans}, "judges all samples by one extractor", "evaluation.weights"),
        ({plan.n for plan in plans}, "judges all samples by sets of one size", "evaluation.n"),
        ({plan.reference for plan in plans}, "has one reference", "evaluation.reference"),
    ):
        if len(shared) > 1:
            raise InputError(f"a grid {says}: run it once per {key}=… with a name=… each")
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

    def head(self, floor: Result | None, provenance: dict[str, Any]) -> dict[str, Any]:
        """Its grid.json, with the scores of real images, once there are some, and where it comes from."""
        return head_of(self.grid.name, self.grid.file, self.runs, self.here.data, floor, provenance)

    def size(self, journal: Journal) -> str:
        """A line on its cells and trainings, the new ones among them, and the workers."""
        trainings, new = self.trainings, self.trainings & {stage.id for stage in self.missing(journal)}
        cells, seeds = counted(self.sensible, "cell"), counted(len(self.grid.seeds), "seed")
        workers = counted(len(self.here.devices), "worker")
        return f"{cells} × {seeds}: {counted(len(trainings), 'training')}, {len(new)} of them new, on {workers}"

    def stages(self) -> list[Stage]:
        return unique([*(stage for run in self.runs for stage in run.stages), *self.floors])

    @property
    def sensible(self) -> int:
        return len({item.cell_id for item in self.runs if item.refusal is None})

    @property
    def trainings(self) -> set[str]:
        """The ids of the cells' trainings: diffusions, and autoencoders without one."""
        trained = (item for item in self.runs if not item.cell.imported)
        return {parts.training for item in trained if (parts := item.parts) is not None}


def plan_of_grid(grid: Grid, launcher: Launcher, devices: list[str]) -> Plan:
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


@dataclass(frozen=True, eq=False)
class Looks:
    """The declarations before the first look: the looks, and the pairs of cells by their ids, none of which makes no
    sense."""

    plan: Plan
    looks: tuple[int, ...]
    meta: Meta
    pairs: list[tuple[str, str]]

    @staticmethod
    def of(plan: Plan) -> Looks:
        """The declarations of a grid; InputError where there is nothing to decide."""
        assert plan.grid.looks is not None, "its seeds are not added by looks"
        head = plan.head(None, {})
        meta = parse_meta(json.dumps(head), f"grid {plan.grid.name}")
        refused = {item.cell_id: f" ({item.refusal})" for item in plan.runs if item.refusal is not None}
        pairs = [pair for pair in meta.declared if not refused.keys() & set(pair)]
        lacking = "" if any(metric.deciding for metric in meta.metrics) else "a metric that decides"
        if not pairs:
            lacking = f"two cells that can be compared{next(iter(refused.values()), '')}"
        if lacking:
            raise InputError(f"seeds=auto adds seeds until comparisons are settled, and needs {lacking}: give seeds=N")
        return Looks(plan, plan.grid.looks, meta, pairs)

    def least(self) -> Plan:
        return self.plan.first(dict.fromkeys(self.meta.cells, self.looks[0]))

    def take(self, journal: Journal) -> Iterator[Plan]:
        """Look after look: all cells at the seeds that they have, until nothing is open, or at the most seeds. Each is
        to be run before the next is asked for. A comparison that is over stays so."""
        seeds, left = dict.fromkeys(self.meta.cells, self.looks[0]), self.pairs
        for n, more in zip(self.looks, (*self.looks[1:], 0), strict=True):
            part = self.plan.first(seeds)
            yield part
            with TemporaryDirectory() as place:
                # What a results folder of this look would hold.
                head = part.head(None, looks_of(part))
                write_frames(Path(place), head, [record(item, journal) for item in part.runs], journal)
                stood = progress(Path(place))
            now = {pair: "over" if stood[pair] == "open" and pair not in left else stood[pair] for pair in self.pairs}
            left = [pair for pair in self.pairs if now[pair] == "open"]
            going = list(dict.fromkeys(cell for pair in left for cell in pair))
            print(self.described(n, more, Counter(now.values()), going), flush=True)
            if not left:
                return
            seeds |= dict.fromkeys(going, more)

    def described(self, n: int, more: int, count: Counter[Progress], going: list[str]) -> str:
        """Lines for a terminal about the look at n seeds, after which cells are `going` on to `more`, if to any."""
        counts = f"{count['settled']} of {len(self.pairs)} comparisons settled, {count['over']} over without a verdict"
        names = some([self.plan.grid.file.cell_name(self.meta.cells[cell]) for cell in going])
        on = f"\n  go on to {more} seeds: {names}" if more else f"\n  open at seeds.max={n}: {names}"
        return f"{n} seeds: {counts}, {count['open']} open{on if going else ''}"


def looks_of(plan: Plan) -> dict[str, Any]:
    """The field of grid.json about the looks, and the seeds that cells have so far; none of a fixed number of seeds."""
    if plan.grid.looks is None:
        return {}
    stopped = Counter(item.cell_id for item in plan.runs if item.refusal is None)
    return {"auto": {"looks": list(plan.grid.looks), "most": plan.grid.looks[-1], "stopped": dict(stopped)}}


def planned_anew(before: dict[str, Any], grid: Grid) -> bool:
    """True where other seeds, or looks, are planned than a grid.json says that stood `before`."""
    looks = (before.get("auto") or {}).get("looks")
    if looks is None and grid.looks is None:
        return not set(grid.seeds) <= set(before["seeds"])
    return looks != list(grid.looks or ()) or before["seeds"][:1] != grid.seeds[:1]
