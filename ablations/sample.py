"""`python -m ablations.sample cell=ID n=64`: pictures from a finished cell, by its own sampler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option, run

if TYPE_CHECKING:
    import torch

    from ablations.settings.cell import Cell
    from ablations.workers.restore import Model

OPTIONS = {
    "cell": Option("a cell's id, or its first digits: the column cell_id of results/<grid>/runs.csv", required=True),
    "n": Option("how many samples", 64, int),
    "seed": Option("which of the cell's trained seeds", 0, int),
    "out": Option("where they go, without suffix: .png for images, .csv for points; by default samples-ID-SEED"),
    "device": Option("auto, cpu, cuda or cuda:N", "auto"),
    "results": Option("the results folder", "results"),
}


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return run("ablations.sample", "Draw samples from a cell that was trained here.", OPTIONS, sample, arguments)


def sample(given: dict[str, Any]) -> None:
    """Write the picture and print its path."""
    if given["n"] < 1:
        raise InputError(f"n must be at least 1, got {given['n']}")
    results = Path(given["results"])
    row = find(results, given["cell"], given["seed"])
    print(draw(row, results, given["n"], given["device"], given["out"]))


def find(results: Path, cell: str, seed: int) -> dict[str, str]:
    """The row of a cell and seed among all grids of a results folder, with its `grid`.

    InputError where it is none, or ambiguous.
    """
    from analysis.read.csv_files import read_csv

    tables = [
        read_csv(path, ("cell_id", "seed", "status", "training_id")).assign(grid=path.parent.name)
        for path in sorted(results.glob("*/runs.csv"))
    ]
    rows = [row for table in tables for row in table.to_dict("records") if row["cell_id"].startswith(cell)]
    ids = sorted({row["cell_id"] for row in rows})
    if not ids:
        raise InputError(f"no cell {cell!r} in {results}/*/runs.csv: take an id from the column cell_id there")
    if len(ids) > 1:
        raise InputError(f"{cell!r} fits several cells, {', '.join(ids)}: give more digits")
    seeds = {row["seed"]: {str(key): str(value) for key, value in row.items()} for row in rows}
    if str(seed) not in seeds:
        raise InputError(f"cell {ids[0]} has no seed {seed}: it has {', '.join(sorted(seeds))}")
    row = seeds[str(seed)]
    if row["status"] not in ("finished", "diverged"):
        raise InputError(f"cell {ids[0]} at seed {seed} is {row['status']}, not trained: run its grid again")
    return row


def draw(row: dict[str, str], results: Path, n: int, device: str, out: str) -> Path:
    """Sample, and write the sheet; its path."""
    import torch
    from tqdm import tqdm

    from ablations.launchers.protocol import found_devices
    from ablations.results.sample_sheets import write_sheet
    from ablations.workers.evaluate import draw_samples

    cell = cell_in(row)
    data = cell.data.load()
    model = trained(cell, row, results, torch.device(found_devices(device)[0]))

    def advance(share: float) -> None:
        bar.update(share - bar.n)

    with tqdm(total=1.0, desc="sampling", bar_format="{desc} |{bar}| {remaining} left", disable=None) as bar:
        samples = draw_samples(cell, model, n, advance)
    if samples is None:
        raise InputError(f"the samples of cell {row['cell_id']} at seed {row['seed']} are not finite: it diverged")
    path = Path(out or f"samples-{row['cell_id']}-{row['seed']}")
    return write_sheet(path, samples.cpu(), data, limit=n, scale=max(1, 64 // data.shape[-1]))


def cell_in(row: dict[str, str]) -> Cell:
    """The cell of a row of runs.csv."""
    from ablations.settings.layers import cell_of

    parameters = {key: value for key, value in row.items() if "/" not in key and not key.startswith("axis.")}
    return cell_of(parameters, int(row["seed"]))


def trained(cell: Cell, row: dict[str, str], results: Path, device: torch.device) -> Model:
    """What a row learned, as it is evaluated; InputError where it was not trained here."""
    from ablations.stages.artifacts import WEIGHTS
    from ablations.stages.contents import fit_of
    from ablations.stages.journal import Journal
    from ablations.stages.kinds import Parts
    from ablations.workers.restore import load

    journal, training = Journal(results / ".stages"), row["training_id"]
    weights = journal.folder(training) / WEIGHTS
    if not weights.exists():
        raise InputError(f"cell {row['cell_id']} was not trained here ({weights} is missing): run its grid first")
    fitted = fit_of(cell, training) if cell.horizon else None
    return load(cell, cell.data.load(), journal, Parts(training, fitted, row.get("autoencoder_id") or None), device)


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
