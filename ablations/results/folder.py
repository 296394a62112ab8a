"""The files of `results/<grid>/`, written from records and the journal; and what stands there already.

    grid.json      the question, axes in order with labels, metrics with their direction, floors, provenance; and what
                   was declared to be compared, and when, which no journal has
    runs.csv       a row per cell and seed: status, what made it, levels, every choice, every metric; where a search is
                   confirmed, its trials too (`trials`)
    curves.csv     (cell_id, seed, curve, x, y): schedules, weights, bound per t, training curves
    clock.csv      (cell_id, seed, step, seconds): when a training was at its steps (`clock`)
    images.csv     (cell_id, seed, metric, 0, 1, …): bits/dim of each test image
    samples/       a sheet per cell and seed; the training images nearest to the first of a cell's; held-out data

and where cells diffuse in latents

    autoencoders.csv   a row per autoencoder and seed: its choices, and what it scores by itself
    reconstructions/   test images, and what each autoencoder makes of them

All else can be written again from the journal at any time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Curves, Journal
from ablations.results import autoencoders, clock
from ablations.results.csv_text import csv_text, curve_rows, number, rows_of, union
from ablations.results.records import Record
from ablations.results.sample_sheets import write_nearest, write_sheet
from ablations.results.trials import Line, Part, parts_of, runs_text, write_parts
from ablations.stages.artifacts import CLOCK, PER_IMAGE, SAMPLES, read_artifact
from analysis.errors import InputError
from analysis.files import read_json, utc_now, write_json, write_text
from analysis.schema import DECLARATIONS, HELD_OUT, KEYS, NEAREST, TRIAL

OF_ITS_WRITER = ("command", "code", "seconds", "continued")
"""The fields of grid.json about the command that wrote it."""


def write_results(folder: Path, head: dict[str, Any], records: list[Record], journal: Journal, data: Data) -> None:
    """Write all files of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    head = head | {DECLARATIONS: kept_declarations(standing(folder), head, seen=finished_in(folder) > 0)}
    write_samples(folder / "samples", records, journal, data)
    autoencoders.write(folder, judged_autoencoders(records), journal, data)
    write_frames(folder, head, records, journal)


def declare(folder: Path, head: dict[str, Any]) -> None:
    """Add the declarations of this grid.json to the one in a folder, before anything more is run."""
    there = standing(folder)
    if there is not None:
        kept = declared(there, head, seen=finished_in(folder) > 0)
        if kept != there.get(DECLARATIONS):
            write_json(folder / "grid.json", there | {DECLARATIONS: kept})


def stands_already(folder: Path, head: dict[str, Any], records: list[Record]) -> bool:
    """True where a folder already holds these results, apart from the fields of grid.json about the command that wrote
    it."""
    there, rows = standing(folder), folder / "runs.csv"
    if there is None or not rows.exists():
        return False
    trials, _ = parts_of(folder, there)
    if rows.read_bytes() != runs_text([*trials.runs, *map(line_of, records)]).encode():
        return False
    expected = json.loads(json.dumps(head))
    return all(there.get(name) == value for name, value in expected.items() if name not in OF_ITS_WRITER)


def write_frames(folder: Path, head: dict[str, Any], records: list[Record], journal: Journal) -> None:
    """Write the files of numbers (clock.csv, images.csv, grid.json, runs.csv, curves.csv) without autoencoders. Trials
    of a search stay."""
    trials, _ = parts_of(folder, standing(folder))
    curves = curves_of(records, journal)
    write_text(folder / clock.TABLE, csv_text(clock.COLUMNS, clock.rows(curves)))
    write_text(folder / "images.csv", images_csv(records, journal))
    write_parts(folder, trials, Part(head, list(map(line_of, records)), lines_of(curves)))


def judged_autoencoders(records: list[Record]) -> list[autoencoders.Judged]:
    return autoencoders.judged_in(stage for record in records for stage in record.planned.stages)


def line_of(record: Record) -> Line:
    """A record's row of runs.csv."""
    return record.row() | {name: number(value) for name, value in record.metrics.items()}


def curves_of(records: list[Record], journal: Journal) -> dict[tuple[str, int], Curves]:
    """(cell_id, seed) → every curve of a record, or of an autoencoder by its id."""
    own = {(r.planned.cell_id, r.planned.cell.seed): r.curves for r in records}
    return own | autoencoders.curves(judged_autoencoders(records), journal)


def lines_of(curves: Mapping[tuple[str, int], Curves]) -> list[Line]:
    """These curves as rows, without clocks and bounds on other splits."""
    left_out = ("bound_per_t/", CLOCK)
    shown = {
        key: {name: curve for name, curve in named.items() if not name.startswith(left_out)}
        for key, named in curves.items()
    }
    return list(curve_rows(shown))


def images_csv(records: list[Record], journal: Journal) -> str:
    """A row per finished record and likelihood on the test split, a column per image."""
    rows = [
        {"cell_id": r.planned.cell_id, "seed": r.planned.cell.seed, "metric": metric}
        | {str(i): f"{value:.6g}" for i, value in enumerate(values)}
        for r in records
        if r.status == "finished"
        for metric, values in images_of(r, journal).items()
    ]
    return csv_text([*KEYS, *(name for name in union(rows) if name not in KEYS)], rows)


def images_of(record: Record, journal: Journal) -> dict[str, list[float]]:
    """The bits/dim of each test image in a record, by the metric that is their mean over images."""
    bounds = [stage for stage in record.planned.stages if stage.kind == "bound" and stage.held_out == "test"]
    asked = [(metric, file) for metric, file in PER_IMAGE.items() if metric in record.metrics]
    left = [(metric, file, journal.folder(stage.id)) for stage in bounds for metric, file in asked]
    return {metric: per_image(folder, file) for metric, file, folder in left if (folder / file).exists()}


def write_samples(folder: Path, records: list[Record], journal: Journal, data: Data) -> None:
    """Write a sheet of each finished record's first samples, and one of held-out data beside them; delete sheets of
    others. The first sheet of each cell has one of training images with it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_sheet(folder / HELD_OUT, data.images["test"], data)
    kept: dict[str, list[Path]] = {}
    for item in records:
        sheets = kept.setdefault(item.planned.cell_id, [])
        for stage in item.planned.stages:
            shown = item.status == "finished" and stage.shows
            if shown and (left := journal.folder(stage.id) / SAMPLES).exists():
                samples = read_artifact(left.parent, SAMPLES)[0]["samples"]
                name = f"{item.planned.cell_id}-{item.planned.cell.seed}"
                sheets += _sheets(folder / name, samples, data, nearest=not sheets)
    for stale in set(folder.iterdir()).difference(*kept.values()):
        if re.fullmatch(rf"[0-9a-f]{{12}}-\d+({NEAREST})?\.(png|csv)", stale.name):
            stale.unlink()


def _sheets(path: Path, samples: Tensor, data: Data, *, nearest: bool) -> list[Path]:
    """The sheet of a record's samples and, where asked and the data are images, that of the nearest training images."""
    target = path.with_name(f"{path.name}.png")
    before = target.read_bytes() if target.exists() else b""
    sheet, beside = write_sheet(path, samples, data), path.with_name(f"{path.name}{NEAREST}.png")
    if not nearest or sheet != target:
        return [sheet]
    # Among many large images the search takes seconds, and pages are written often.
    stands = beside.exists() and before == sheet.read_bytes()
    return [sheet, beside if stands else write_nearest(beside, samples, data)]


def per_image(left: Path, file: str) -> list[float]:
    """Bits/dim of each image, from the files that a bound stage left in its folder: the sum of its terms, or its
    total."""
    tensors, _ = read_artifact(left, file)
    total: Tensor = sum(tensors.values(), start=torch.zeros((), dtype=torch.float64))
    return list(total.tolist())


def standing(folder: Path) -> dict[str, Any] | None:
    """The grid.json that stands in a results folder, None without one; InputError where the file is not a grid.json."""
    head = read_json(folder / "grid.json")
    if head is None:
        return None
    if not isinstance(head, dict) or not isinstance(head.get("cells"), dict):
        raise InputError(f"{folder / 'grid.json'} is not the description of a grid: move {folder} away and run again")
    return head


def finished_in(folder: Path) -> int:
    """The number of finished rows of cells in a results folder; 0 where it cannot be read."""
    try:
        return sum(
            row["status"] == "finished" and not row.get(TRIAL) for row in rows_of(folder / "runs.csv", ("status",))
        )
    except InputError:
        return 0


SAID = ("baseline", "primary", "expects")
"""The keys of grid.json that declare comparisons, and papers' claims."""


def said_in(head: dict[str, Any]) -> dict[str, Any]:
    """The part of a grid.json that is a declaration."""
    declaration = {key: head.get(key, {} if key == "baseline" else []) for key in SAID}
    return dict(json.loads(json.dumps(declaration)))


def declared(before: dict[str, Any] | None, now: dict[str, Any], *, seen: bool) -> list[dict[str, Any]]:
    """The declarations of a grid, kept in its grid.json: what was to be compared, and when that was declared.

    These are the earlier ones, and the present one if it is another; `seen` tells whether the folder held finished runs
    by then. None is ever removed. In a folder that was written before declarations were kept, its grid.json is the
    first one, at an unknown time. A search declares nothing of cells, and begins anew with those that confirm it.
    """
    kept: list[dict[str, Any]] = []
    if before is not None and before["cells"]:
        kept = before.get(DECLARATIONS) or [{"time": None, "seen": False, **said_in(before)}]
    declaration = said_in(now)
    if kept and {key: kept[-1].get(key) for key in SAID} == declaration:
        return kept
    return [*kept, {"time": utc_now(), "seen": seen, **declaration}]


def kept_declarations(before: dict[str, Any] | None, now: dict[str, Any], *, seen: bool) -> list[dict[str, Any]]:
    """The declarations in the folder if this one is among them, because two commands that write one folder in turn have
    each declared once, when they began; else with this one."""
    kept = (before or {}).get(DECLARATIONS) or []
    if any({key: earlier.get(key) for key in SAID} == said_in(now) for earlier in kept):
        return list(kept)
    return declared(before, now, seen=seen)
