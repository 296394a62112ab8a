"""`python -m ablations.sample cell=ID n=64`: pictures from a finished cell, or its model in MLflow, by its sampler."""

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
from ablations.settings.choices import classes_of
from ablations.settings.exits import exit_code
from ablations.stages.devices import claim
from ablations.stages.restore import Model
from ablations.stages.samples import Guided, draw_samples
from ablations.tracking.model import downloaded, read_model
from ablations.tracking.store import TrackingError, default_uri
from analysis.errors import InputError
from analysis.options import Option, run

PURPOSE = "Draw samples from a cell that was trained here, or from its model in MLflow."
OPTIONS = {
    "cell": Option("a cell's id, or its first digits: the column cell_id of results/<grid>/runs.csv"),
    "model": Option("in its place a model that MLflow holds, runs:/RUN/model (see tracking.models), or its folder"),
    "n": Option("how many samples", 64, int),
    "label": Option("the class of them all, from 0, where the cell was told labels; else of all classes", "", int),
    "seed": Option("which of the cell's trained seeds", 0, int),
    "out": Option("where they go, without suffix: .png for images, .csv for points; by default samples-ID-SEED"),
    "device": Option("auto, cpu, cuda or cuda:N", "auto"),
    "results": Option("the results folder", "results"),
    "journal": Option("the folder where stages are kept; by default RESULTS/.stages"),
    "tracking.uri": Option("the store that holds the model, by default sqlite:///RESULTS/mlflow.db"),
}


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return run("ablations.sample", PURPOSE, OPTIONS, sample, arguments)


def sample(given: dict[str, Any]) -> None:
    """Write the picture and print its path."""
    if (n := given["n"]) < 1:
        raise InputError(f"n must be at least 1, got {n}")
    if bool(given["cell"]) == bool(given["model"]):
        raise InputError("give either cell=ID, of a cell that was trained here, or model=runs:/RUN/model")
    device = claim(found_devices(given["device"])[0], torch.get_num_threads())
    if given["model"]:
        name, (cell, model) = "model", _from_store(given, device)
    else:
        row = find(results := Path(given["results"]), given["cell"], given["seed"])
        name, (cell, model) = row["cell_id"], to_sample(row, journal_of(results, given["journal"]), device)
    label, data = _label_of(cell, given["label"]), cell.data.load()
    with bar("sampling", 1.0) as shown:
        samples = draw_samples(cell, model, n, shown.move_to, label=label)
    if samples is None:
        raise InputError(f"the samples of {name}-{cell.seed} are not finite: it diverged")
    path = Path(given["out"] or f"samples-{name}-{cell.seed}")
    print(write_sheet(path, samples.cpu(), data, limit=n, scale=max(1, 64 // data.shape[-1])))


def _from_store(given: dict[str, Any], device: torch.device) -> tuple[Cell, Model | Guided]:
    """A cell and its model, from MLflow or a folder."""
    try:
        folder = downloaded(given["model"], given["tracking.uri"] or default_uri(Path(given["results"])))
    except TrackingError as error:
        raise InputError(f"model={given['model']}: {error}") from error
    return read_model(folder, device)


def _label_of(cell: Cell, given: int | str) -> int | None:
    """The class that is asked for; None where none was named, InputError where the cell has no such class."""
    if isinstance(given, str):
        return None
    if not (classes := classes_of(cell)):
        raise InputError(f"label={given}: this cell's network was told no labels: leave it out")
    if not 0 <= given < classes:
        raise InputError(f"label={given} is no class of this cell's data: give 0 to {classes - 1}")
    return given


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
