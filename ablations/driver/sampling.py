"""Samples of a cell that was trained here, by its own sampler: `ablations.sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ablations.driver.progress import bar
from ablations.driver.trained_cells import find, to_sample
from ablations.engine.journal import journal_of
from ablations.launchers.protocol import found_devices
from ablations.results.sample_sheets import write_sheet
from ablations.settings.cell import Cell
from ablations.stages.devices import claim
from ablations.stages.samples import draw_samples
from analysis.errors import InputError


def write_samples(given: dict[str, Any]) -> Path:
    """Draw what the command asks for, and write it; the path."""
    device = claim(found_devices(given["device"])[0], torch.get_num_threads())
    row = find(results := Path(given["results"]), given["cell"], given["seed"])
    name, (cell, model) = row["cell_id"], to_sample(row, journal_of(results, given["journal"]), device)
    label, data = _label_of(cell, given["label"]), cell.data.load()
    with bar("sampling", 1.0) as shown:
        samples = draw_samples(cell, model, given["n"], shown.move_to, label=label)
    if samples is None:
        raise InputError(f"the samples of {name}-{cell.seed} are not finite: it diverged")
    path = Path(given["out"] or f"samples-{name}-{cell.seed}")
    return write_sheet(path, samples.cpu(), data, limit=given["n"], scale=max(1, 64 // data.shape[-1]))


def _label_of(cell: Cell, given: int | str) -> int | None:
    """The class that is asked for; None where none was named, InputError where the cell has no such class."""
    if isinstance(given, str):
        return None
    if not (classes := cell.classes):
        raise InputError(f"label={given}: this cell's network was told no labels: leave it out")
    if not 0 <= given < classes:
        raise InputError(f"label={given} is no class of this cell's data: give 0 to {classes - 1}")
    return given
