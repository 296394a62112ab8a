"""`python -m benchmarks.pages`: the seconds that the pages of a finished grid take, as Markdown.

Tables, answers.json, figures, report and the terminal's table, written from copies of results folders. What is imported
once is not counted. Grids take turns, round after round, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import platform
import shutil
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option
from evidence.page_command import page_command

OPTIONS = {
    "grids": Option(
        "results folders, with commas between them", "results/committed/parameterization-long,results/committed/latent"
    ),
    "rounds": Option("how often the pages of each are written; medians are told", 5, int),
}


def time_pages(given: dict[str, Any]) -> str:
    """Time; the table."""
    folders = [Path(name) for name in given["grids"].split(",")]
    if given["rounds"] < 1:
        raise InputError("rounds must be at least 1")
    for folder in folders:
        if not (folder / "grid.json").is_file():
            raise InputError(f"{folder} holds no finished grid: give folders that have a grid.json")
    seconds = timed(folders, given["rounds"])
    lines = [
        f"`python -m benchmarks.pages rounds={given['rounds']}`, cpu ({platform.machine()})",
        "",
        "| grid | seconds | fastest |",
        "|---|---|---|",
        *(f"| {folder.name} | {statistics.median(s):.2f} | {min(s):.2f} |" for folder, s in seconds.items()),
    ]
    return "\n".join(lines)


main = page_command("benchmarks.pages", "Time the pages of finished grids.", OPTIONS, time_pages, "table")
"""The command; its exit code."""


def timed(folders: list[Path], rounds: int) -> dict[Path, list[float]]:
    """Seconds of each round by folder, after one round that is not counted."""
    from analysis.pages import write_pages

    seconds: dict[Path, list[float]] = {folder: [] for folder in folders}
    with TemporaryDirectory() as temporary:
        copies = {folder: Path(temporary) / str(i) for i, folder in enumerate(folders)}
        for folder, copy in copies.items():
            shutil.copytree(folder, copy)
            write_pages(copy)
        for _ in range(rounds):
            for folder, copy in copies.items():
                began = time.perf_counter()
                write_pages(copy)
                seconds[folder].append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
