"""`python -m benchmarks.minutes`: the minutes that each grid that ships takes on two cores, by its dry run.

The table goes to `benchmarks/minutes.md`, and its minutes to the first line of each grid's file, which `--help` shows.
"""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ablations.driver.estimate import estimated_seconds
from ablations.driver.plan import plan_of_grid
from ablations.engine.journal import Journal
from ablations.grids.grid import make
from ablations.launchers.launcher import Local
from ablations.settings.arguments import parse_run
from ablations.stages.devices import processor
from analysis import shell
from analysis.errors import InputError
from analysis.shell import Option, exit_code
from evidence.page_command import table

HERE = Path(__file__).parents[1]
GRIDS, TABLE = HERE / "ablations" / "configs" / "grid", HERE / "benchmarks" / "minutes.md"
OPTIONS = {"workers": Option("how many stages run at a time", 2, int)}
HEAD = ("grid", "cells", "seeds", "trainings", "minutes")
FIRST_LINE = re.compile(r"\A(# .*?)(?:, about \d+ minutes?)?(?=\n)")


def write_all(given: dict[str, int]) -> None:
    """Estimate, print, and write what was estimated wherever it is said."""
    workers = given["workers"]
    rows = [row_of(name, workers) for name in names()]
    where = f"{workers} workers of one thread on {processor()}, torch {torch.__version__}"
    text = "\n".join([f"`python -m benchmarks.minutes`: {where}", "", *table(HEAD, rows)])
    print(text)
    TABLE.write_text(f"{text}\n", encoding="utf-8")
    for grid, *_, taken in rows:
        rewrite(GRIDS / f"{grid}.yaml", FIRST_LINE, rf"\1, about {taken} minute{'s' * (taken > 1)}")


def names() -> list[str]:
    """The grids that ship, but that of a network which they do not."""
    return sorted(path.stem for path in GRIDS.glob("*.yaml") if path.stem != "published")


def row_of(name: str, workers: int) -> tuple[str, int, int, int, int]:
    """A grid that ships, with its size and the minutes it takes where nothing of it has been run."""
    launcher, devices = Local(workers=workers), ["cpu"] * workers
    grid = plan_of_grid(make(parse_run([f"grid={name}"])), launcher, devices)
    with TemporaryDirectory() as empty:
        seconds = estimated_seconds(grid.runs, grid.missing(Journal(Path(empty))), devices, launcher.together)
    trainings = sum(stage.kind == "training" and not stage.rung for stage in grid.stages())
    return name, len({item.cell_id for item in grid.runs}), len(grid.grid.seeds), trainings, math.ceil(seconds / 60)


def rewrite(path: Path, pattern: re.Pattern[str], by: str) -> None:
    """Write a place of a file anew; InputError where it is not there once."""
    text, count = pattern.subn(by, path.read_text(encoding="utf-8"))
    if count != 1:
        raise InputError(f"{path} does not say its minutes as it should: no place of it reads {pattern.pattern!r}")
    path.write_text(text, encoding="utf-8")


main = partial(shell.run, "benchmarks.minutes", "Estimate the grids that ship, and write it down.", OPTIONS, write_all)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
