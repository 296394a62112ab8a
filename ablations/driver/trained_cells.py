"""A cell that was trained here, from its row of `results/<grid>/runs.csv` to the model that was evaluated; to samples
of it (`ablations.sample`); and to the schedule that it learned (`ablations.export`), by knots of its γ.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch

from ablations.driver.progress import bar
from ablations.engine.journal import Damaged, Journal, journal_of
from ablations.launchers.launcher import found_devices
from ablations.metrics.metric import SCALE
from ablations.results.csv_text import rows_of
from ablations.results.sample_sheets import write_sheet
from ablations.settings.cell import Cell
from ablations.settings.guiding import at_scale
from ablations.settings.making import cell_of
from ablations.stages.artifacts import WEIGHTS
from ablations.stages.devices import claim
from ablations.stages.graph import parts_of
from ablations.stages.restore import Model
from ablations.stages.samples import Guided, draw_samples, load_guided
from analysis.errors import InputError
from analysis.places import COMMITTED
from diffusion_core.diffusion import Diffusion
from diffusion_core.precision import Precision

KNOTS, DIGITS = 101, 6
"""Points at which a learned γ is kept, and the digits of each."""


def find(results: Path, cell: str, seed: int) -> dict[str, str]:
    """The row of a cell and seed among all grids of a results folder, else among committed ones, with its `grid`.
    InputError where there is none, or several cells match."""
    rows = _rows_of(cell, results) or _rows_of(cell, results / COMMITTED)
    ids, seeds = sorted({row["cell_id"] for row in rows}), {row["seed"]: row for row in rows}
    if not ids:
        raise InputError(f"no cell {cell!r} in {results}/*/runs.csv: take an id from the column cell_id there")
    if len(ids) > 1:
        raise InputError(f"{cell!r} fits several cells, {', '.join(ids)}: give more digits")
    if str(seed) not in seeds:
        raise InputError(f"cell {ids[0]} has no seed {seed}: it has {', '.join(sorted(seeds))}")
    return seeds[str(seed)]


def _rows_of(cell: str, results: Path) -> list[dict[str, str]]:
    """The rows of all grids in a folder whose cell id begins so, each with its `grid`."""
    columns = ("cell_id", "seed", "status", "training_id")
    tables = {path.parent.name: rows_of(path, columns) for path in sorted(results.glob("*/runs.csv"))}
    rows = (row | {"grid": grid} for grid, table in tables.items() for row in table)
    return [row for row in rows if row["cell_id"].startswith(cell)]


def cell_in(row: dict[str, str]) -> Cell:
    parameters = {key: value for key, value in row.items() if "/" not in key and not key.startswith("axis.")}
    return cell_of(parameters, int(row["seed"]))


def trained(cell: Cell, row: dict[str, str], journal: Journal, device: torch.device) -> Model | Guided:
    """The model of a row, as it was evaluated, with its guide; InputError where it was not trained here."""
    if row["status"] not in ("finished", "diverged"):
        raise InputError(f"cell {row['cell_id']} at seed {cell.seed} is {row['status']} ({row.get('reason', '')})")
    data = cell.data.load()
    parts = parts_of(cell, data.digest, cast("Precision", row["precision"]))
    weights = journal.folder(parts.training) / WEIGHTS
    if not weights.exists() and not cell.imported:
        raise InputError(f"cell {row['cell_id']} was not trained here ({weights} is missing): run its grid first")
    with forgetting_damaged(journal):
        try:
            return load_guided(cell, data, journal, parts, device)
        except InputError:
            raise
        except ValueError as error:
            # The files of a published network are gone, or hold other weights.
            raise InputError(str(error)) from error


@contextmanager
def forgetting_damaged(journal: Journal) -> Iterator[None]:
    """Meanwhile, a stage whose files turn out damaged loses its result, so that its grid's command makes it anew."""
    try:
        yield
    except Damaged as error:
        journal.forget_result(error.folder.name)
        raise


def write_samples(given: dict[str, Any]) -> Path:
    """Draw what the command asks for, and write it; the path."""
    device = claim(found_devices(given["device"])[0], torch.get_num_threads())
    row = find(results := Path(given["results"]), given["cell"], given["seed"])
    name, cell, label = row["cell_id"], cell_in(row), given["label"] if given["label"] != "" else None
    if label is not None and not 0 <= label < cell.classes:
        advice = "give one of those, from 0" if cell.classes else "leave it out"
        raise InputError(f"label={label}: this cell's network knows {cell.classes} classes: {advice}")
    if cell.guidance.scale == "auto":
        if not row.get(SCALE):
            raise InputError(f"cell {name} has no {SCALE} yet: run its grid again, which tunes it")
        cell = at_scale(cell, float(row[SCALE]))
    model, data = trained(cell, row, journal_of(results, given["journal"]), device), cell.data.load()
    with bar("sampling", 1.0) as shown:
        samples = draw_samples(cell, model, given["n"], shown.move_to, label=label)
    if samples is None:
        raise InputError(f"the samples of {name}-{cell.seed} are not finite: it diverged")
    path = Path(given["out"] or f"samples-{name}-{cell.seed}")
    return write_sheet(path, samples.cpu(), data, limit=given["n"], scale=max(1, 64 // data.shape[-1]))


def learned(given: dict[str, Any], results: Path) -> tuple[str, dict[str, Any]]:
    """The origin and the fields of the schedule that a cell learned; InputError where it has none, or has not
    finished."""
    row = find(results, given["cell"], given["seed"])
    cell, who = cell_in(row), f"cell {row['cell_id']} at seed {row['seed']}"
    if not cell.schedule.learned:
        advice = "take a cell with schedule=learned or learned_linear"
        raise InputError(f"{who} has schedule={row['schedule']}, which learns nothing: {advice}")
    if row["status"] != "finished" or cell.horizon == 0:
        raise InputError(f"{who} is {row['status']} with horizon={cell.horizon}: take a finished one with a chain")
    model = trained(cell, row, journal_of(results, given["journal"]), torch.device("cpu"))
    model = model.model if isinstance(model, Guided) else model
    assert isinstance(model, Diffusion), "a schedule is learned by a chain of steps"
    knots = knots_of(model)
    if not all(a < b for a, b in pairwise(knots)):
        raise InputError(f"the schedule of {who} is flat somewhere to {DIGITS} digits, and no schedule may be")
    where = f"learned in grid {row['grid']}, cell {row['cell_id']}, seed {row['seed']}, on {row['data']}"
    return f"{where} at T={cell.horizon}", {"name": "saved", "knots": knots}


def knots_of(diffusion: Diffusion) -> list[float]:
    """γ at `KNOTS` evenly spaced u, rounded."""
    u = torch.arange(KNOTS, dtype=torch.float64) / (KNOTS - 1)
    with torch.no_grad():
        gamma = diffusion.gamma(1 + u * (diffusion.choices.horizon - 1))
    return [float(f"{value:.{DIGITS}g}") for value in gamma.tolist()]
