"""What a grid found, read from the journal: a record per cell and seed, and the files of `results/<grid>/`.

    grid.json      the question, axes in order with labels, metrics with their direction, floors, provenance
    runs.csv       a row per cell and seed: status, what made it, levels, every choice, every metric
    curves.csv     (cell_id, seed, curve, x, y): schedules, weights, bound per t, training curves
    images.csv     (cell_id, seed, metric, 0, 1, …): bits/dim of each test image
    samples/       a sheet per cell and seed

and where cells diffuse in latents

    autoencoders.csv   a row per autoencoder and seed: its choices, and what it scores by itself
    reconstructions/   test images, and what each autoencoder makes of them

All of it can be written again from the journal at any time.

What made a row is the code of its stages, NUMERICS, and the digest of its data. The last two are part of the ids by
which stages are found, and so are known of any result; the code is what a stage wrote down, and not known of a stage
that is older than this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ablations.data import Data
from ablations.grids.grid import Point
from ablations.results import autoencoders
from ablations.results.csv_text import csv_text, curve_rows, number, union
from ablations.results.sample_sheets import write_sheet
from ablations.settings.cell import NUMERICS, Cell
from ablations.stages.journal import Journal, read_json, read_tensors, write_json, write_text
from ablations.stages.kinds import AutoencoderStage, BoundStage, Parts, Stage, stages_of
from ablations.workers.evaluate import PER_IMAGE, per_image
from analysis.errors import InputError
from analysis.read.csv_files import read_csv
from analysis.read.images import KEYS
from analysis.read.runs import CURVES, NOTES, SEVERAL, VERSIONS
from diffusion_core.precision import Precision

NOT_RUN = "not run yet"
"""The reason of a cell whose turn has not come."""


@dataclass(frozen=True)
class Planned:
    """A cell of the grid with its identity and stages; `refusal` says why it has none. `digest` is of its data."""

    point: Point
    cell: Cell
    cell_id: str
    stages: list[Stage]
    refusal: str | None
    digest: str


@dataclass(frozen=True)
class Record:
    """A cell's outcome: status and reason, metrics and curves of its stages, and where its samples lie."""

    planned: Planned
    status: str
    reason: str
    metrics: dict[str, float]
    curves: dict[str, tuple[list[float], list[float]]]
    facts: dict[str, str]

    @property
    def parts(self) -> Parts | None:
        """The stages that hold what it learned; None where it makes no sense."""
        ids = {stage.kind: stage.id for stage in self.planned.stages}
        learned = ids.get("training", ids.get("autoencoder"))
        return Parts(learned, ids.get("fit"), ids.get("autoencoder")) if learned else None

    def row(self) -> dict[str, Any]:
        """The columns of runs.csv before the metrics; those in `optional` only where there is something to say."""
        planned, parts, space = self.planned, self.parts, self.planned.cell.space
        optional = {
            NOTES: self.facts.get("notes", ""),
            "autoencoder_id": (parts.autoencoder if parts else None) or "",
            "not_comparable": "" if space.likelihood else "nll",
        }
        return {
            "cell_id": planned.cell_id,
            "training_id": parts.training if parts else "",
            "seed": planned.cell.seed,
            "status": self.status,
            "reason": self.reason,
            **{name: self.facts.get(name, "") for name in VERSIONS},
            **{name: text for name, text in optional.items() if text},
            **{f"axis.{axis}": level for axis, level in planned.point.levels.items()},
            **planned.cell.parameters(),
        }


def record(planned: Planned, journal: Journal) -> Record:
    """What the journal holds of a cell."""
    if planned.refusal is not None:
        return Record(planned, "incompatible", planned.refusal, {}, {}, {})
    metrics: dict[str, float] = {}
    curves: dict[str, tuple[list[float], list[float]]] = {}
    facts: dict[str, str] = {}
    codes: list[str] = []
    for stage in planned.stages:
        result = journal.result(stage.id)
        if result is None:
            status, reason = journal.status(stage.id) or ("interrupted", NOT_RUN)
            return Record(planned, status, reason, {}, curves, facts)
        if not isinstance(stage, AutoencoderStage):
            curves |= {name: (xs, ys) for name, (xs, ys) in result.curves.items()}
        metrics |= own_metrics(stage, result.metrics)
        codes.append(result.facts.get("code", ""))
        facts = joined(facts, result.facts) | versions(codes, planned.digest)
        if result.status != "finished":
            return Record(planned, result.status, result.reason, {}, curves, facts)
    metrics |= total_flops(metrics)
    curves = {name.replace("bound_per_t/test", "bound_per_t"): xy for name, xy in curves.items()}
    return Record(planned, "finished", "", metrics, curves, facts)


def own_metrics(stage: Stage, metrics: dict[str, float]) -> dict[str, float]:
    """What a stage says of the cell: of an autoencoder, which has a row of its own, its costs."""
    return {
        name: value
        for name, value in metrics.items()
        if not isinstance(stage, AutoencoderStage) or name.startswith("cost/")
    }


def total_flops(metrics: dict[str, float]) -> dict[str, float]:
    """Of all training: the diffusion's and its autoencoder's."""
    return {"cost/total_flops": sum(metrics.get(f"cost/{part}_flops", 0.0) for part in ("train", "autoencoder"))}


def joined(facts: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    """The facts of two stages: a later one stands for an earlier of its name, but notes are lines that both keep."""
    notes = [line for one in (facts, more) for line in one.get("notes", "").splitlines() if line]
    return facts | more | ({"notes": "\n".join(dict.fromkeys(notes))} if notes else {})


def versions(codes: list[str], digest: str) -> dict[str, str]:
    """What made a row whose stages ran on these codes, "" where one does not say."""
    known = dict.fromkeys(code or "unknown" for code in codes) if any(codes) else {}
    return {"code": SEVERAL.join(known), "numerics": str(NUMERICS), "data_digest": digest}


def write_results(folder: Path, head: dict[str, Any], records: list[Record], journal: Journal, data: Data) -> None:
    """grid.json, runs.csv, curves.csv, images.csv and samples/ of a grid."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "runs.csv", runs_csv(records))
    write_text(folder / "curves.csv", curves_csv(records, journal))
    write_text(folder / "images.csv", images_csv(records, journal))
    write_samples(folder / "samples", records, journal, data)
    autoencoders.write(folder, autoencoder_pairs(records), journal, data)
    write_json(folder / "grid.json", head)


def autoencoder_pairs(records: list[Record]) -> list[autoencoders.Pair]:
    """The autoencoders of all records."""
    return autoencoders.pairs_in(stage for record in records for stage in record.planned.stages)


def runs_csv(records: list[Record]) -> str:
    """A row per record; columns that some lack are empty there."""
    rows = [record.row() for record in records]
    fixed = union(rows)
    names = sorted(union([record.metrics for record in records]))
    numbers = [{name: number(value) for name, value in record.metrics.items()} for record in records]
    return csv_text([*fixed, *names], [row | metrics for row, metrics in zip(rows, numbers, strict=True)])


def curves_csv(records: list[Record], journal: Journal) -> str:
    """Every curve of every record, and of every autoencoder by its id, tidy."""
    own = {
        (r.planned.cell_id, r.planned.cell.seed): {
            name: curve for name, curve in r.curves.items() if not name.startswith("bound_per_t/")
        }
        for r in records
    }
    return csv_text(CURVES, curve_rows(own | autoencoders.curves(autoencoder_pairs(records), journal)))


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
    """What each test image costs a record, by the metric that is its mean over images."""
    bounds = [stage for stage in record.planned.stages if isinstance(stage, BoundStage) and stage.split == "test"]
    paths = {metric: journal.folder(stage.id) / file for stage in bounds for metric, file in PER_IMAGE.items()}
    return {metric: per_image(path) for metric, path in paths.items() if metric in record.metrics and path.exists()}


def write_samples(folder: Path, records: list[Record], journal: Journal, data: Data) -> None:
    """A sheet of each finished record's first samples; sheets of others go."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = set()
    for item in records:
        name = f"{item.planned.cell_id}-{item.planned.cell.seed}"
        for stage in item.planned.stages:
            path = journal.folder(stage.id) / "samples.safetensors"
            if item.status == "finished" and stage.kind == "samples" and path.exists():
                kept.add(write_sheet(folder / name, read_tensors(path)[0]["samples"], data))
    for stale in set(folder.iterdir()) - kept:
        if re.fullmatch(r"[0-9a-f]{12}-\d+\.(png|csv)", stale.name):
            stale.unlink()


def check_same_request(folder: Path, planned: list[Planned], journal: Journal) -> dict[str, Any] | None:
    """The grid.json that stands in `folder`; InputError where it holds other cells than these.

    None also where it holds the same cells as another kind of device makes them, and came with a checkout.
    """
    head = read_json(folder / "grid.json")
    if head is None:
        return None
    if not isinstance(head, dict) or not isinstance(head.get("cells"), dict):
        raise InputError(f"{folder / 'grid.json'} is not the description of a grid: move {folder} away and run again")
    theirs, ours = set(head["cells"]), {p.cell_id for p in planned}
    if theirs != ours and _came_from_elsewhere(theirs, planned, journal):
        return None
    if theirs != ours:
        raise InputError(
            f"{folder} holds the results of other choices ({head.get('command', 'unknown')}), which are never "
            f"overwritten: give this grid a name of its own with name=…, or move {folder} away"
        )
    return dict(head)


def _came_from_elsewhere(theirs: set[str], planned: list[Planned], journal: Journal) -> bool:
    """Whether cells are these at another precision, as another kind of device makes them, and none was trained here."""
    for precision in get_args(Precision):
        if {item.cell.cell_id(item.digest, precision) for item in planned} == theirs:
            sensible = [item for item in planned if item.refusal is None]
            first = [stages_of(item.cell, item.digest, precision, None)[0] for item in sensible]
            return all(journal.result(stage.id) is None for stage in first)
    return False


def finished_in(folder: Path) -> int:
    """How many finished rows a results folder holds; none where it cannot be read."""
    try:
        return int((read_csv(folder / "runs.csv", ["status"])["status"] == "finished").sum())
    except InputError:
        return 0
