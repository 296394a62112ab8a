"""`python -m ablations.sample cell=ID n=64`: pictures from a finished cell, by its sampler."""

from __future__ import annotations

from functools import partial
from typing import Any

from analysis.errors import InputError
from analysis.shell import Option, exit_code, run

PURPOSE = "Draw samples from a cell that was trained here."
OPTIONS = {
    "cell": Option("a cell's id, or its first digits: the column cell_id of results/<grid>/runs.csv", required=True),
    "n": Option("how many samples", 64, int),
    "label": Option("the class of them all, from 0, where the cell was told labels; else of all classes", "", int),
    "seed": Option("which of the cell's trained seeds", 0, int),
    "out": Option("where they go, without suffix: .png for images, .csv for points; by default samples-ID-SEED"),
    "device": Option("auto, cpu, cuda or cuda:N", "auto"),
    "results": Option("the results folder", "results"),
    "journal": Option("the folder where stages are kept; by default RESULTS/.stages"),
}


def sample(given: dict[str, Any]) -> None:
    """Write the picture and print its path."""
    if (n := given["n"]) < 1:
        raise InputError(f"n must be at least 1, got {n}")
    from ablations.driver.trained_cells import write_samples

    print(write_samples(given))


main = partial(run, "ablations.sample", PURPOSE, OPTIONS, sample)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
