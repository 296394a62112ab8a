"""`python -m ablations.sample cell=ID n=64`: pictures from a finished cell, by its own sampler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option, run

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
    from ablations.driver.trained import find

    results = Path(given["results"])
    row = find(results, given["cell"], given["seed"])
    print(draw(row, results, given["n"], given["device"], given["out"]))


def draw(row: dict[str, str], results: Path, n: int, device: str, out: str) -> Path:
    """Sample, and write the sheet; its path."""
    from ablations.driver.bar import bar
    from ablations.driver.trained import cell_in, trained
    from ablations.launchers.protocol import found_devices
    from ablations.results.sample_sheets import write_sheet
    from ablations.workers.evaluate import draw_samples
    from ablations.workers.perform import pinned

    cell = cell_in(row)
    data = cell.data.load()
    model = trained(cell, row, results, pinned(found_devices(device)[0]))
    with bar("sampling", 1.0) as shown:
        samples = draw_samples(cell, model, n, shown.move_to)
    if samples is None:
        raise InputError(f"the samples of cell {row['cell_id']} at seed {row['seed']} are not finite: it diverged")
    path = Path(out or f"samples-{row['cell_id']}-{row['seed']}")
    return write_sheet(path, samples.cpu(), data, limit=n, scale=max(1, 64 // data.shape[-1]))


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
