"""A cell that was trained here, from its row of `results/<grid>/runs.csv` to the model that was evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import torch

from ablations.engine.files import Damaged
from ablations.engine.journal import Journal
from ablations.metrics.measured import SCALE
from ablations.settings.cell import Cell
from ablations.settings.guiding import at_scale
from ablations.settings.making import cell_of
from ablations.stages.artifacts import WEIGHTS
from ablations.stages.graph import parts_of
from ablations.stages.restore import Model, Parts, load
from ablations.stages.samples import Guided, load_guided
from analysis.csv_files import read_csv
from analysis.errors import InputError
from analysis.folders import COMMITTED
from analysis.schema import TRIAL
from diffusion_core.precision import Precision


def find(results: Path, cell: str, seed: int) -> dict[str, str]:
    """The row of a cell and seed among all grids of a results folder, else among committed ones, with its `grid`.
    InputError where there is none, or several cells match."""
    rows = _rows_of(cell, results) or _rows_of(cell, results / COMMITTED)
    ids = sorted({row["cell_id"] for row in rows})
    if not ids:
        raise InputError(f"no cell {cell!r} in {results}/*/runs.csv: take an id from the column cell_id there")
    if len(ids) > 1:
        raise InputError(f"{cell!r} fits several cells, {', '.join(ids)}: give more digits")
    seeds = {row["seed"]: row for row in rows}
    if str(seed) not in seeds:
        raise InputError(f"cell {ids[0]} has no seed {seed}: it has {', '.join(sorted(seeds))}")
    row = seeds[str(seed)]
    if row["status"] not in ("finished", "diverged"):
        what = "give it other settings" if row["status"] == "incompatible" else "run its grid again"
        raise InputError(f"cell {ids[0]} at seed {seed} is {row['status']} ({row.get('reason', '')}): {what}")
    return row


def _rows_of(cell: str, results: Path) -> list[dict[str, str]]:
    """The rows of all grids in a folder whose cell id begins so, each with its `grid`."""
    columns = ("cell_id", "seed", "status", "training_id")
    tables = [read_csv(path, columns).assign(grid=path.parent.name) for path in sorted(results.glob("*/runs.csv"))]
    rows = [{str(k): str(v) for k, v in row.items()} for table in tables for row in table.to_dict("records")]
    return [row for row in rows if row["cell_id"].startswith(cell) and not row.get(TRIAL)]


def cell_in(row: dict[str, str]) -> Cell:
    """The cell of a row of runs.csv."""
    parameters = {key: value for key, value in row.items() if "/" not in key and not key.startswith("axis.")}
    return cell_of(parameters, int(row["seed"]))


def trained(cell: Cell, row: dict[str, str], journal: Journal, device: torch.device) -> Model:
    """The model of a row, as it was evaluated; InputError where it was not trained here."""
    with forgetting_damaged(journal):
        return load(cell, cell.data.load(), journal, _parts(cell, row, journal), device)


def to_sample(cell: Cell, row: dict[str, str], journal: Journal, device: torch.device) -> tuple[Cell, Model | Guided]:
    """The cell of a row with the guidance scale of its samples, and its model with its guide."""
    if cell.guidance.scale == "auto":
        if not row.get(SCALE):
            raise InputError(f"cell {row['cell_id']} has no {SCALE} yet: run its grid again, which tunes it")
        cell = at_scale(cell, float(row[SCALE]))
    with forgetting_damaged(journal):
        return cell, load_guided(cell, cell.data.load(), journal, _parts(cell, row, journal), device)


def _parts(cell: Cell, row: dict[str, str], journal: Journal) -> Parts:
    """The stages that hold what was trained for a row; InputError where they are missing."""
    parts = parts_of(cell, cell.data.load().digest, cast("Precision", row["precision"]))
    weights = journal.folder(parts.training) / WEIGHTS
    if not weights.exists():
        raise InputError(f"cell {row['cell_id']} was not trained here ({weights} is missing): run its grid first")
    return parts


@contextmanager
def forgetting_damaged(journal: Journal) -> Iterator[None]:
    """Meanwhile, a stage whose files turn out damaged loses its result, so that its grid's command makes it anew."""
    try:
        yield
    except Damaged as error:
        # A journal that only its owner may change keeps it.
        with suppress(OSError):
            journal.forget_result(error.folder.name)
        raise
