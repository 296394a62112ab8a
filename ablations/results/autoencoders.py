"""The autoencoders of a grid's cells, each once, however many cells share it.

    autoencoders.csv   a row per autoencoder (its id as cell_id): its choices, cost, and its own scores
    reconstructions/   originals.png, and <autoencoder_id>.png of the same test images

The evidence bound there (elbo/val) is the training loss at kl_weight=1, with N(0, I) as the prior of the unscaled z.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ablations.data.base import Data
from ablations.engine.journal import Curves, Journal
from ablations.results.csv_text import csv_text, number, union
from ablations.results.records import Record
from ablations.results.sample_sheets import write_strip
from ablations.settings.registry import parameters
from ablations.stages.artifacts import RECONSTRUCTIONS, read_artifact
from ablations.stages.stage import Stage
from analysis.files import write_text

TABLE = "autoencoders.csv"
FOLDER = "reconstructions"
CHOICES = ("data", "space", "threads")
"""The choices of a cell that its autoencoder reads."""


def stages_in(records: Iterable[Record], kind: str) -> dict[str, Stage]:
    """Every autoencoder of these cells once, in order; or by its id the stage that judges its reconstructions."""
    stages = [stage for record in records for stage in record.run.stages if stage.kind == kind]
    return {stage.id if kind == "autoencoder" else stage.needs[0]: stage for stage in stages}


def write(folder: Path, records: Sequence[Record], journal: Journal, data: Data) -> None:
    """Write autoencoders.csv and reconstructions/, where there are autoencoders."""
    lines, judges = [], stages_in(records, "reconstruction")
    for stage_id, stage in stages_in(records, "autoencoder").items():
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
            write_strip(folder / FOLDER / "originals.png", tensors["originals"], data)
            write_strip(folder / FOLDER / f"{stage_id}.png", tensors["reconstructions"], data)
    if lines:
        write_text(folder / TABLE, csv_text(union(lines), lines))


def curves(records: Iterable[Record], journal: Journal) -> dict[tuple[str, int], Curves]:
    """(autoencoder's id, seed) → the curves that its training logged."""
    stages = stages_in(records, "autoencoder").values()
    results = ((stage, journal.result(stage.id)) for stage in stages)
    return {(stage.id, stage.cell.seed): result.curves for stage, result in results if result is not None}
