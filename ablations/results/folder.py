"""The files of `results/<grid>/`, written from records and the journal; and what stands there already.

    grid.json      the question, axes in order with labels, metrics with their direction, floors, provenance, and the
                   stages that it needs; and what was declared to be compared, and when, which no journal has
    runs.csv       a row per cell and seed: status, what made it, levels, every choice, every metric
    curves.parquet (cell_id, seed, curve, x, y): log-SNR, weight and bound per t, curves over training
    samples/       a sheet per cell and seed; the first of a cell's on its way, and the training images nearest to it;
                   held-out data

and where cells diffuse in latents, of each autoencoder once, however many cells share it

    autoencoders.csv   a row per autoencoder (its id as cell_id) and seed: its choices, cost, and its own scores
    reconstructions/   originals.png, and <autoencoder_id>.png of the same test images

All but the declarations can be written again from the journal at any time. The evidence bound of an autoencoder
(elbo/val) is its training loss at kl_weight=1, with N(0, I) as the prior of the unscaled z.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ablations.data.base import Data
from ablations.engine.journal import Journal
from ablations.results.csv_text import csv_text, curve_frame, number, union
from ablations.results.records import Record
from ablations.results.sample_sheets import write_nearest, write_sheet, write_strip
from ablations.settings.registry import parameters
from ablations.stages.artifacts import RECONSTRUCTIONS, SAMPLES, read_artifact
from ablations.stages.stage import Stage
from analysis.errors import InputError
from analysis.files import read_json, utc_now, write_json, write_text
from analysis.results import write_curves
from analysis.schema import AT, DECLARATIONS, HELD_OUT, NEAREST, SEARCH

SAID: dict[str, Any] = {"baseline": {}, "primary": [], "expects": []}
"""The keys of grid.json that declare comparisons and papers' claims → their values where nothing is declared."""
CHOICES = ("data", "space", "threads")
"""The choices of a cell that its autoencoder reads."""


def write_results(folder: Path, head: dict[str, Any], records: Sequence[Record], journal: Journal, data: Data) -> None:
    """Write all files of the folder."""
    declarations = declared(read_grid_json(folder), head)
    write_samples(folder / "samples", records, journal, data)
    write_autoencoders(folder, records, journal, data)
    write_frames(folder, head | {DECLARATIONS: declarations}, records, journal)


def write_frames(folder: Path, head: dict[str, Any], records: Sequence[Record], journal: Journal) -> None:
    """Write the files of numbers (runs.csv, curves.parquet, grid.json) without autoencoders."""
    curves = {(r.run.cell_id, r.run.cell.seed): r.curves for r in records}
    write_text(folder / "runs.csv", runs_csv(records))
    for stage in autoencoders_in(records, "autoencoder").values():
        if (result := journal.result(stage.id)) is not None:
            curves[stage.id, stage.cell.seed] = result.curves
    write_curves(folder, curve_frame(curves))
    write_json(folder / "grid.json", head)


def runs_csv(records: Sequence[Record]) -> str:
    """A row per record, metrics last; a column that a row lacks is empty there."""
    rows = [record.row() | {name: number(value) for name, value in record.metrics.items()} for record in records]
    return csv_text(sorted(union(rows), key=lambda name: ("/" in name, name if "/" in name else "")), rows)


def write_samples(folder: Path, records: Sequence[Record], journal: Journal, data: Data) -> None:
    """Write sheets of each finished record's first samples, for each cell of those on the way and of the training
    images nearest to the last, and of held-out data."""
    write_sheet(folder / HELD_OUT, data.images["test"], data)
    shown = set()
    for item in (item.run for item in records if item.status == "finished"):
        path, first = f"{item.cell_id}-{item.cell.seed}", item.cell_id not in shown
        for stage in item.stages:
            if not stage.sets or not journal.has(stage.id, SAMPLES):
                continue
            samples = read_artifact(journal.folder(stage.id), SAMPLES)[0]["samples"]
            if stage.rung and first:
                write_sheet(folder / f"{path}{AT}{stage.rung}", samples, data)
            if not stage.optional:
                write_sheet(folder / path, samples, data)
                beside = folder / f"{path}{NEAREST}.png"
                # Among many large images the search takes seconds, and results are written often.
                if item.cell_id not in shown and len(data.shape) == 3 and not beside.exists():
                    write_nearest(beside, samples, data)
                shown.add(item.cell_id)


def read_grid_json(folder: Path) -> dict[str, Any] | None:
    """The grid.json that stands in a results folder, None without one; InputError where the file is not a grid.json."""
    head: dict[str, Any] | None = read_json(folder / "grid.json")
    if head is not None and not (isinstance(head, dict) and isinstance(head.get("cells"), dict)):
        raise InputError(f"{folder / 'grid.json'} is not the description of a grid: move {folder} away and run again")
    return head


def never_overwritten(folder: Path, head: dict[str, Any]) -> InputError:
    """The error that a results folder, whose grid.json this is, holds something else."""
    made_by = (head.get(SEARCH) or head).get("command", "unknown")
    return InputError(
        f"{folder} holds the results of other choices, or of another version of this code, of your classes or of a "
        f"file ({made_by}), which are never overwritten: give this one a name of its own with name=…, which uses again "
        f"whatever is trained, or move {folder} away"
    )


def declared(before: dict[str, Any] | None, now: dict[str, Any]) -> list[dict[str, Any]]:
    """The declarations of a grid: what was to be compared, and when that was declared. None is ever removed.

    The present one is added where it is another; `seen` tells whether runs had finished by then. A grid.json that was
    written before declarations were kept is the first one, at an unknown time.
    """
    kept: list[dict[str, Any]] = []
    if before is not None:
        kept = before.get(DECLARATIONS) or [{"time": None, "seen": False, **_said_in(before)}]
    declaration, seen = _said_in(now), bool(before and (before.get("round") or {"finished": 1})["finished"])
    if kept and _said_in(kept[-1]) == declaration:
        return kept
    return [*kept, {"time": utc_now(), "seen": seen, **declaration}]


def _said_in(head: dict[str, Any]) -> dict[str, Any]:
    """The part of a grid.json that is a declaration, as JSON has it."""
    request: dict[str, Any] = json.loads(json.dumps({key: head.get(key, nothing) for key, nothing in SAID.items()}))
    return request


def autoencoders_in(records: Iterable[Record], kind: str) -> dict[str, Stage]:
    """Every autoencoder of these cells once, in order; or by its id the stage that judges its reconstructions."""
    stages = [stage for record in records for stage in record.run.stages if stage.kind == kind]
    return {stage.id if kind == "autoencoder" else stage.needs[0]: stage for stage in stages}


def write_autoencoders(folder: Path, records: Sequence[Record], journal: Journal, data: Data) -> None:
    """Write autoencoders.csv and reconstructions/, where there are autoencoders."""
    lines, judges = [], autoencoders_in(records, "reconstruction")
    for stage_id, stage in autoencoders_in(records, "autoencoder").items():
        judge = judges[stage_id].id
        judged = journal.result(judge)
        if (result := journal.result(stage_id)) is not None:
            scores = judged.metrics if judged else {}
            numbers = {name: number(value) for name, value in (result.metrics | scores).items()}
            first = {"cell_id": stage_id, "seed": stage.cell.seed, "status": result.status, "reason": result.reason}
            own = {name: text for name, text in parameters(stage.cell).items() if name.split(".")[0] in CHOICES}
            lines.append(first | {"code": result.metadata.get("code", "")} | own | numbers)
        if judged is not None:
            tensors, _ = read_artifact(journal.folder(judge), RECONSTRUCTIONS)
            write_strip(folder / "reconstructions" / "originals.png", tensors["originals"], data)
            write_strip(folder / "reconstructions" / f"{stage_id}.png", tensors["reconstructions"], data)
    if lines:
        write_text(folder / "autoencoders.csv", csv_text(union(lines), lines))
