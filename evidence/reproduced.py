"""Cells of the committed grids, run again: do the same digits come out? It rebuilds `evidence/reproduced.md`:

    python -m evidence.reproduced out=evidence/reproduced.md

The first, the middle and the last cell of each grid of today's numerics are trained, scored and sampled anew in an
empty folder, each alone and at one seed. Every number of their rows but costs is compared, as text. It takes minutes a
grid; `grids=steps,skip` runs some. A search is left out: its command runs no grid.
"""

from __future__ import annotations

import shlex
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import ablations
from ablations.launchers.launcher import cores
from ablations.results.csv_text import rows_of
from ablations.stages.devices import hardware_id
from analysis.errors import unknown
from analysis.files import read_json
from analysis.places import names_in
from analysis.shell import Option, exit_code
from evidence.freshness import COMMITTED, numerics_of
from evidence.page_command import page_command, table

Row = dict[str, str]
OF_A_GRID = {"seeds", "seeds.max", "first_seed", "name", "question", "evaluation.sets", "hours"}
"""What a command says of a whole grid, which one cell is not told."""
HEAD = ("grid", "made by", "cells", "numbers", "equal", "NLL apart by, at most")


def chosen(grid: str) -> list[Row]:
    """The rows of a grid's first, middle and last cell at its first seed; none of other numerics, or of a search."""
    rows = rows_of(COMMITTED / grid / "runs.csv", ["seed", "status"])
    if "search" in read_json(COMMITTED / grid / "grid.json") or numerics_of(rows):
        return []
    first = [row for row in rows if row["seed"] == rows[0]["seed"] and row["status"] == "finished"]
    return [first[i] for i in sorted({0, len(first) // 2, len(first) - 1})] if first else []


def words_of(grid: str, row: Row) -> list[str]:
    """The words of a command for one cell and seed of a grid alone."""
    head = read_json(COMMITTED / grid / "grid.json")
    levels = {axis["name"]: row[f"axis.{axis['name']}"] for axis in head["axes"]}
    kept = [word for word in shlex.split(head["command"])[3:] if word.split("=")[0] not in OF_A_GRID | levels.keys()]
    axes = [f"{axis}={level}" for axis, level in levels.items()]
    return [*kept, *axes, f"evaluation.sets={head['quality_sets']}", "seeds=1", f"first_seed={row['seed']}"]


def run_again(grid: str, row: Row) -> Row:
    """The row of a cell that is run anew, its first seed alone."""
    with TemporaryDirectory() as results, redirect_stdout(StringIO()):
        ablations.run(*words_of(grid, row), "name=again", f"results={results}", "launcher=serial", "threads=1")
        (new,) = rows_of(Path(results) / "again" / "runs.csv", ["training_id"])
    return new


def is_measured(column: str) -> bool:
    """True for a column of what was measured of a model."""
    return "/" in column and not column.startswith("cost/")


def compared(grid: str, pairs: list[tuple[Row, Row]]) -> tuple[object, ...]:
    """The row of a grid's cells, committed and new; those that are other trainings today are left out."""
    alike = [(old, new) for old, new in pairs if old["training_id"] == new["training_id"]]
    every = [(column, a, new.get(column)) for old, new in alike for column, a in old.items() if is_measured(column)]
    numbers = [(column, a, b) for column, a, b in every if a and b]
    apart = [abs(float(a) - float(b)) for column, a, b in numbers if column == "nll/test"]
    here, equal = hardware_id(torch.device("cpu")), sum(a == b for _, a, b in numbers)
    made = {"this kind" if old["machine"] == here else old["machine"].split(" · ")[0] for old, _ in alike}
    return grid, ", ".join(sorted(made)), len(alike), len(numbers), equal, f"{max(apart):.1g}" if apart else "–"


def page(given: dict[str, str]) -> str:
    """Run cells anew, as many at a time as there are processors; a row for each grid."""
    every = names_in(COMMITTED)
    grids = given["grids"].split(",") if given["grids"] else every
    if wrong := [grid for grid in grids if grid not in every]:
        raise unknown("committed grid", wrong[0], every)
    cells = [(grid, row) for grid in grids for row in chosen(grid)]
    with ProcessPoolExecutor(cores(), get_context("spawn")) as processes:
        news = list(processes.map(run_again, [grid for grid, _ in cells], [row for _, row in cells]))
    pairs = [(grid, (row, new)) for (grid, row), new in zip(cells, news, strict=True)]
    rows = [compared(grid, [pair for of, pair in pairs if of == grid]) for grid in dict.fromkeys(g for g, _ in pairs)]
    return "\n".join([f"# Run again, on {hardware_id(torch.device('cpu'))}", "", *table(HEAD, rows)])


OPTIONS = {"grids": Option("committed grids, with commas between; by default all of today's numerics")}
main = page_command("evidence.reproduced", "Run committed cells again.", OPTIONS, page)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
