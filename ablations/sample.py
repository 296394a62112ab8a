"""`python -m ablations.sample cell=ID n=64`: pictures from a finished cell, or its model in MLflow, by its sampler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option, run

if TYPE_CHECKING:
    import torch

    from ablations.settings.cell import Cell
    from ablations.stages.restore import Model
    from ablations.stages.samples import Guided

MOST = 100_000
MODELS = ("runs:/", "models:/")
"""The beginnings of names of models in MLflow; a model may also be a folder."""
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
    return run(
        "ablations.sample",
        "Draw samples from a cell that was trained here, or from its model in MLflow.",
        OPTIONS,
        sample,
        arguments,
    )


def sample(given: dict[str, Any]) -> None:
    """Write the picture and print its path."""
    if given["n"] < 1:
        raise InputError(f"n must be at least 1, got {given['n']}")
    if given["n"] > MOST:
        raise InputError(f"n must be at most {MOST}, got {given['n']}: they are held in memory at once")
    if bool(given["cell"]) == bool(given["model"]):
        raise InputError("give either cell=ID, of a cell that was trained here, or model=runs:/RUN/model")
    import torch

    from ablations.launchers.protocol import found_devices
    from ablations.stages.devices import claim

    device, results = claim(found_devices(given["device"])[0], torch.get_num_threads()), Path(given["results"])
    if given["model"]:
        name, (cell, model) = "model", _from_store(given["model"], given["tracking.uri"], results, device)
    else:
        name, (cell, model) = _trained_here(given["cell"], given["seed"], results, given["journal"], device)
    label = _label_of(cell, given["label"])
    print(draw(cell, model, given["n"], Path(given["out"] or f"samples-{name}-{cell.seed}"), label))


def _trained_here(
    given: str, seed: int, results: Path, journal: str, device: torch.device
) -> tuple[str, tuple[Cell, Model | Guided]]:
    from ablations.driver.trained_cells import cell_in, find, to_sample
    from ablations.engine.journal import journal_of

    row = find(results, given, seed)
    cell = cell_in(row)
    try:
        cell.data.load()
    except InputError as error:
        root = row.get("data.root")
        if not root or Path(root).exists():
            raise
        raise InputError(
            f"{error}; if {root} has moved, run {row['grid']} again with data.root= its new place"
        ) from error
    return row["cell_id"], to_sample(cell, row, journal_of(results, journal), device)


def _from_store(model: str, uri: str, results: Path, device: torch.device) -> tuple[Cell, Model | Guided]:
    """The cell of a model in MLflow, and its trained model."""
    from ablations.tracking.mlflow_client import TrackingError, downloaded
    from ablations.tracking.model import read_model
    from ablations.tracking.uris import default_uri

    if not Path(model).is_dir() and not model.startswith(MODELS):
        raise InputError(f"model={model} is no folder, and no name that MLflow gives to one: runs:/RUN/model")
    try:
        return read_model(downloaded(model, uri or default_uri(results)), device)
    except TrackingError as error:
        raise InputError(f"model={model}: {error}") from error


def _label_of(cell: Cell, given: int | str) -> int | None:
    """The class that is asked for; None where none was named, InputError where the cell has no such class."""
    from ablations.settings.choices import classes_of

    if isinstance(given, str):
        return None
    classes = classes_of(cell)
    if not classes:
        raise InputError(f"label={given}: this cell's network was told no labels: leave it out")
    if not 0 <= given < classes:
        raise InputError(f"label={given} is no class of this cell's data: give 0 to {classes - 1}")
    return given


def draw(cell: Cell, model: Model | Guided, n: int, path: Path, label: int | None = None) -> Path:
    """Draw samples, of one class if a label is given, and write the sheet; returns its path."""
    from ablations.driver.progress import bar
    from ablations.results.sample_sheets import write_sheet
    from ablations.stages.samples import draw_samples

    data = cell.data.load()
    with bar("sampling", 1.0) as shown:
        samples = draw_samples(cell, model, n, shown.move_to, label=label)
    if samples is None:
        raise InputError(f"the samples of {path.name.removeprefix('samples-')} are not finite: it diverged")
    return write_sheet(path, samples.cpu(), data, limit=n, scale=max(1, 64 // data.shape[-1]))


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
