"""From a grid to its results: plan the stages, launch what is missing, publish what is found.

The driver is the only process that writes results/<grid>/ and the tracking store. Everything it writes can be written
again from the journal, so it may be killed at any moment.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ablations.data import Data
from ablations.grids.grid import Grid, words
from ablations.launchers.local import LocalLauncher
from ablations.results.grid_json import head_of
from ablations.results.records import Planned, Record, check_same_request, finished_in, record, write_results
from ablations.settings.cell import Cell
from ablations.stages.journal import Journal
from ablations.stages.kinds import FloorStage, Stage, floor_of, once, stages_of, work
from ablations.tracking.mlflow_store import Tracker, TrackingError
from ablations.workers.evaluate import extractor_identity
from analysis.errors import InputError
from diffusion_core.precision import resolve_precision

WRITE_SECONDS = 15.0


@dataclass(frozen=True)
class Plan:
    """A grid's cells with their stages, on the devices that will run them."""

    grid: Grid
    data: Data
    planned: list[Planned]
    floor: FloorStage | None
    devices: list[str]

    def missing(self, journal: Journal) -> list[Stage]:
        """The stages still to run: without a result, and not behind one that diverged."""
        results = {stage.id: journal.result(stage.id) for stage in self.stages()}
        over = {stage_id for stage_id, result in results.items() if result is not None and result.status != "finished"}
        return [stage for stage in self.stages() if results[stage.id] is None and not over & set(stage.needs)]

    def stages(self) -> list[Stage]:
        """Every stage once, in order of the cells."""
        floor = [] if self.floor is None else [self.floor]
        return once([*floor, *(stage for planned in self.planned for stage in planned.stages)])


def plan(grid: Grid, devices: list[str]) -> Plan:
    """Identify every cell; InputError where the grid mixes data sets or extractors, or no cell makes sense."""
    import torch

    cells = grid.cells()
    if len({cell.data for _, cell in cells}) > 1:
        raise InputError("a grid compares cells on one data set: run it once per data=… with a name=… each")
    data = cells[0][1].data.load()
    digest = data.digest
    if len({cell.evaluation.weights for _, cell in cells}) > 1:
        raise InputError("a grid judges all samples by one extractor: run it once per evaluation.weights=…")
    judged = any(cell.evaluation.quality for _, cell in cells)
    extractor = extractor_of_plan(cells[0][1]) if judged else None
    device = torch.device(devices[0])
    planned = []
    refusals: dict[str, str | None] = {}
    for point, cell in cells:
        precision = resolve_precision(cell.training.precision, device)
        cell_id = cell.cell_id(digest, precision, extractor)
        if cell_id not in refusals:
            refusals[cell_id] = cell.refusal()
        refusal = refusals[cell_id]
        stages = [] if refusal else stages_of(cell, digest, precision, extractor)
        planned.append(Planned(point, cell, cell_id, stages, refusal, digest))
    if all(item.refusal for item in planned):
        raise InputError(planned[0].refusal if len(planned) == 1 else f"no cell makes sense: {planned[0].refusal}")
    _refuse_equal(planned)
    floor = floor_of(cells[0][1], digest, extractor) if judged else None
    return Plan(grid, data, planned, floor, devices)


def _refuse_equal(planned: list[Planned]) -> None:
    """InputError where two crossings of levels are one cell, for they differ in what it does not read."""
    seen: dict[object, Planned] = {}
    for item in planned:
        # A chain of no steps reads little of a cell: what is scored is told by its stages.
        stages = tuple(stage.id for stage in item.stages) if item.cell.horizon == 0 else None
        other = seen.setdefault((stages or item.cell_id, item.cell.seed), item)
        if other is not item:
            raise InputError(f"{words(other.point)} and {words(item.point)} are the same cell: leave one of them out")


def extractor_of_plan(cell: Cell) -> str | None:
    """The identity of what a cell's samples are judged by; InputError where it cannot be read."""
    try:
        return extractor_identity(cell)
    except ValueError as error:
        raise InputError(str(error)) from error


def execute(
    plan: Plan, journal: Journal, folder: Path, tracker: Tracker | None, provenance: dict[str, Any]
) -> tuple[list[Record], Tracker | None, bool]:
    """Run what is missing; the records, the tracker (None once it has failed), and whether it was interrupted."""
    before = check_same_request(folder, plan.planned, journal)
    if all(journal.result(item.stages[0].id) is None for item in plan.planned if item.stages):
        # Results that came with a checkout: nothing here is continued.
        before = None
    missing = plan.missing(journal)
    for stage in missing:
        (journal.folder(stage.id) / "status.json").unlink(missing_ok=True)
    started = written = time.monotonic()
    interrupted = False
    with stopping(), _bar(missing, plan.data) as bar:
        try:
            for ended in _launch(plan, journal, missing, bar):
                if ended and time.monotonic() - written > WRITE_SECONDS:
                    since = _since(before, provenance, started, ran=True)
                    _, tracker = publish(plan, journal, folder, tracker, since, ended=False)
                    written = time.monotonic()
        except KeyboardInterrupt:
            interrupted = True
    since = _since(before, provenance, started, ran=bool(missing))
    records, tracker = publish(plan, journal, folder, tracker, since, ended=not interrupted)
    return records, tracker, interrupted


def _launch(plan: Plan, journal: Journal, missing: list[Stage], bar: tqdm[Any]) -> Iterator[bool]:
    """Run stages and move the bar; yields whether a stage ended."""
    if not missing:
        return
    total = {stage.id: work(stage, plan.data) for stage in missing}
    done: dict[str, float] = {}
    launcher = LocalLauncher(journal.root, plan.devices)
    launcher.add(missing)
    for event in launcher.run():
        if event.kind == "died":
            tqdm.write(f"a worker died in {event.stage.kind} {event.stage.id}; trying it once more")
        elif event.kind != "started":
            done[event.stage.id] = event.share * total[event.stage.id]
            bar.update(sum(done.values()) - bar.n)
        yield event.kind == "ended"


def _bar(missing: list[Stage], data: Data) -> tqdm[Any]:
    total = sum(work(stage, data) for stage in missing)
    form = "{desc} {percentage:3.0f}% |{bar}| {elapsed} elapsed, {remaining} left"
    quiet = None if missing else True
    return tqdm(total=total, desc=f"{len(missing)} stages", bar_format=form, disable=quiet, dynamic_ncols=True)


@contextmanager
def stopping() -> Iterator[None]:
    """SIGTERM stops like Ctrl-C."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _since(before: dict[str, Any] | None, provenance: dict[str, Any], started: float, *, ran: bool) -> dict[str, Any]:
    """Provenance with the seconds of all runs so far, and whether the grid was continued with more seeds."""
    if before is None:
        return {**provenance, "seconds": round(time.monotonic() - started, 1), "continued": False}
    more = not set(provenance["seeds"]) <= set(before["seeds"])
    seconds = before["seconds"] + (time.monotonic() - started if ran else 0.0)
    made_by = provenance if ran else before
    return {
        **provenance,
        "command": made_by["command"],
        "code": made_by["code"],
        "seconds": round(seconds, 1),
        "continued": bool(before.get("continued")) or more,
    }


def publish(
    plan: Plan, journal: Journal, folder: Path, tracker: Tracker | None, provenance: dict[str, Any], *, ended: bool
) -> tuple[list[Record], Tracker | None]:
    """Write results/<grid>/ and deliver it; a tracker that fails is dropped with a line that says what to do."""
    records = [record(planned, journal) for planned in plan.planned]
    if not ended and sum(item.status == "finished" for item in records) < finished_in(folder):
        # Results that came with a checkout stand until there are as many new ones.
        return records, tracker
    sets = plan.planned[0].cell.evaluation.sets
    floor = journal.result(plan.floor.id) if plan.floor else None
    facts = {"device": next((r.facts["device"] for r in records if "device" in r.facts), "")}
    head = head_of(plan.grid, plan.planned, plan.data, floor, sets, {**provenance, **facts})
    write_results(folder, head, records, journal, plan.data)
    return records, deliver(tracker, folder)


def deliver(tracker: Tracker | None, folder: Path) -> Tracker | None:
    """Publish to the tracker; None, with a warning, where it fails."""
    if tracker is None:
        return None
    try:
        tracker.publish(folder)
    except TrackingError as error:
        tqdm.write(f"warning: {error}. Results are safe in {folder}; deliver them later: python -m ablations.publish")
        return None
    return tracker
