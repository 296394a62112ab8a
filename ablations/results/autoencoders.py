"""The autoencoders of a grid's cells, each once, however many cells share it.

    autoencoders.csv   a row per autoencoder (its id as cell_id): its choices, cost, and its own scores
    reconstructions/   originals.png, and <autoencoder_id>.png of the same test images

The evidence bound there (elbo/val) is the training loss at kl_weight=1, with N(0, I) as the prior of the unscaled z.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ablations.data.base import Data
from ablations.engine.journal import Curves, Journal
from ablations.results.csv_text import csv_text, number, union
from ablations.results.sample_sheets import write_strip
from ablations.settings.identity import parameters
from ablations.stages.artifacts import RECONSTRUCTIONS, read_artifact
from ablations.stages.stage import Stage
from analysis.files import write_text

TABLE = "autoencoders.csv"
FOLDER = "reconstructions"

Judged = tuple[Stage, Stage]
"""An autoencoder and the stage that judges its reconstructions."""


def judged_in(stages: Iterable[Stage]) -> list[Judged]:
    """Every autoencoder once, in order, with the stage of its reconstructions."""
    encoders: dict[str, Stage] = {}
    judged: dict[str, Stage] = {}
    for stage in stages:
        if stage.kind == "autoencoder":
            encoders.setdefault(stage.id, stage)
        if stage.kind == "reconstruction":
            judged.setdefault(stage.needs[0], stage)
    return [(stage, judged[stage_id]) for stage_id, stage in encoders.items()]


def write(folder: Path, encoders: Sequence[Judged], journal: Journal, data: Data) -> None:
    """Write autoencoders.csv and reconstructions/, where there are autoencoders; delete stale ones."""
    lines = rows(encoders, journal)
    if lines:
        write_text(folder / TABLE, csv_text(union(lines), lines))
    else:
        (folder / TABLE).unlink(missing_ok=True)
    write_reconstructions(folder / FOLDER, encoders, journal, data)


def rows(encoders: Sequence[Judged], journal: Journal) -> list[dict[str, Any]]:
    """A row per autoencoder that has a result."""
    lines = []
    for stage, reconstruction in encoders:
        result, judged = journal.result(stage.id), journal.result(reconstruction.id)
        if result is not None:
            metrics = result.metrics | (judged.metrics if judged else {})
            numbers = {name: number(value) for name, value in metrics.items()}
            lines.append(row(stage, result.status, result.reason, result.metadata.get("code", "")) | numbers)
    return lines


def row(stage: Stage, status: str, reason: str = "", code: str = "") -> dict[str, Any]:
    """The columns of autoencoders.csv before the metrics; `code` is the version that made it, "" where that is not
    known."""
    first = {"cell_id": stage.id, "seed": stage.cell.seed, "status": status, "reason": reason, "code": code}
    own = {
        name: text
        for name, text in parameters(stage.cell).items()
        if name.split(".")[0] in ("data", "space", "threads")
    }
    return {**first, **own}


def curves(encoders: Sequence[Judged], journal: Journal) -> dict[tuple[str, int], Curves]:
    """(autoencoder's id, seed) → the curves that its training logged."""
    results = {stage: journal.result(stage.id) for stage, _ in encoders}
    return {(stage.id, stage.cell.seed): result.curves for stage, result in results.items() if result is not None}


def write_reconstructions(folder: Path, encoders: Sequence[Judged], journal: Journal, data: Data) -> None:
    """Write originals.png and a strip per autoencoder; delete strips of others."""
    written = set()
    for stage, reconstruction in encoders:
        left = journal.folder(reconstruction.id)
        if (left / RECONSTRUCTIONS).exists():
            tensors, _ = read_artifact(left, RECONSTRUCTIONS)
            folder.mkdir(parents=True, exist_ok=True)
            written.add(write_strip(folder / "originals.png", tensors["originals"], data))
            written.add(write_strip(folder / f"{stage.id}.png", tensors["reconstructions"], data))
    if folder.is_dir():
        for stale in set(folder.glob("*.png")) - written:
            stale.unlink()
