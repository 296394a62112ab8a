"""Cells of the committed grids, run again: do the same digits come out? It rebuilds `evidence/reproduced.md`:

    python -m evidence.reproduced out=evidence/reproduced.md

The first, the middle and the last cell of each grid of today's numerics are trained, scored and sampled anew in an
empty folder, each alone and at one seed, as many at a time as there are processors. Every number of their rows but
costs is compared with the committed one. It takes minutes a grid; `grids=steps,skip` runs a part, which takes its place
in the page beside those of other commands. A search is left out: its command runs no grid.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import ablations
from ablations.engine.version import code_version
from ablations.launchers.protocol import cores
from ablations.settings.exits import exit_code
from ablations.stages.devices import hardware_id
from analysis import options
from analysis.errors import unknown
from analysis.options import Option
from evidence.committed_grid import CommittedGrid
from evidence.freshness import COMMITTED, numerics_of, rows_of

OPTIONS = {
    "grids": Option("committed grids, with commas between; by default all of today's numerics"),
    "out": Option("a page to put the part into as well"),
}
OF_A_GRID = ("seeds", "seeds.max", "first_seed", "name", "question", "evaluation.sets", "hours")
"""What a command says of a whole grid, which one cell is not told."""
FID = re.compile(r"fid/train/[\w-]+(?<!_set_sd)")
"""The column of FID."""

INTRODUCTION = """# Run again

The first, the middle and the last cell of committed grids, each trained, scored and sampled anew in an empty folder,
alone and at the grid's first seed. Compared is every number of its row but what it cost, as text: equal are numbers of
the same digits. NLL is in bits/dim.
"""
HEAD = """## `{command}`

Code {code}, on {machine}.

| grid | cell | seed | the committed one was made by | numbers | equal | NLL apart by | FID apart by |
|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Again:
    """A cell of a committed grid that is run anew."""

    grid: str
    row: dict[str, str]

    @property
    def head(self) -> dict[str, Any]:
        """The grid.json of its grid."""
        return CommittedGrid(self.grid).grid

    @property
    def levels(self) -> dict[str, str]:
        """Its level on each axis."""
        return {axis["name"]: self.row[f"axis.{axis['name']}"] for axis in self.head["axes"]}

    @property
    def words(self) -> list[str]:
        """The words of a command for this cell and seed alone."""
        _, _, _, *given = shlex.split(self.head["command"])
        kept = [word for word in given if word.split("=")[0] not in {*OF_A_GRID, *self.levels}]
        axes = [f"{axis}={level}" for axis, level in self.levels.items()]
        sets = f"evaluation.sets={self.head['quality_sets']}"
        return [*kept, *axes, sets, "seeds=1", f"first_seed={self.row['seed']}", "name=again"]

    def compared(self) -> str:
        """Run it; how its numbers compare, as a row of the page."""
        with TemporaryDirectory() as results:
            with contextlib.redirect_stdout(io.StringIO()):
                ablations.run_grid(*self.words, f"results={results}", "launcher=serial", "threads=1")
            (new,) = rows_of(Path(results) / "again" / "runs.csv")
        return as_row(self.grid, self.levels, self.row, new)


def as_row(grid: str, levels: dict[str, str], old: dict[str, str], new: dict[str, str]) -> str:
    """The comparison of two rows' numbers, as a row of the page."""
    named = [grid, " · ".join(levels.values()), old["seed"]]
    if new["training_id"] != old["training_id"]:
        return f"| {' | '.join(named)} | other settings than its file has today | | | | |"
    columns = [column for column, value in old.items() if is_measured(column) and value and new.get(column)]
    changed = [column for column in columns if new[column] != old[column]]
    nll = [f"{abs(float(new[c]) - float(old[c])):.1g}" for c in changed if c == "nll/test"]
    fid = [f"{abs(float(new[c]) / float(old[c]) - 1):.2%}" for c in changed if FID.fullmatch(c)]
    here = hardware_id(torch.device("cpu"))
    made = "this kind of machine" if old["machine"] == here else f"another kind, {old['machine'].split(' · ')[0]}"
    equal = len(columns) - len(changed)
    return f"| {' | '.join([*named, made, str(len(columns)), str(equal), *(nll or ['–']), *(fid or ['–'])])} |"


def is_measured(column: str) -> bool:
    """True for a column of what was measured of a model."""
    return "/" in column and not column.startswith("cost/")


def chosen(grid: str) -> list[Again]:
    """The first, the middle and the last cell of a grid, at its first seed; none where it is of other numerics, or a
    search."""
    rows = CommittedGrid(grid).rows
    if any(row.get("trial") for row in rows) or numerics_of(rows):
        return []
    first = [row for row in rows if row["seed"] == rows[0]["seed"] and row["status"] == "finished"]
    return [Again(grid, first[i]) for i in sorted({0, len(first) // 2, len(first) - 1})] if first else []


def run_again(given: dict[str, Any]) -> None:
    """Run cells anew, print a row each, and write the page where asked."""
    every = sorted(path.parent.name for path in COMMITTED.glob("*/grid.json"))
    asked = given["grids"].split(",") if given["grids"] else every
    for grid in asked:
        if grid not in every:
            raise unknown("committed grid", grid, every)
    command = " ".join(["python -m evidence.reproduced", *([f"grids={given['grids']}"] if given["grids"] else [])])
    lines = [HEAD.format(command=command, code=code_version(), machine=hardware_id(torch.device("cpu")))]
    print(lines[0], flush=True)
    cells = [cell for grid in asked for cell in chosen(grid)]
    with ProcessPoolExecutor(cores(), get_context("spawn")) as processes:
        for line in processes.map(Again.compared, cells):
            lines.append(line)
            print(line, flush=True)
    if given["out"]:
        put(Path(given["out"]), "\n".join(lines))


def put(page: Path, part: str) -> None:
    """Write a command's part into a page, in place of its earlier one or behind those of others, which lose their rows
    of the same grids."""
    head = part.partition("\n")[0]
    rows = page.read_text(encoding="utf-8").splitlines() if page.is_file() else []
    anew = {row.split(" | ")[0] for row in part.splitlines() if row.startswith("| ")}
    old = "\n".join(row for row in rows if row.startswith("| grid ") or row.split(" | ")[0] not in anew)
    others = [other.strip() for other in re.split(r"^(?=## )", old, flags=re.MULTILINE)[1:]]
    # A part has rows left, unless all of its grids were run anew.
    kept = [other for other in others if other.partition("\n")[0] != head and other.count("\n| ") > 1]
    parts = [INTRODUCTION.strip(), *kept, part]
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run("evidence.reproduced", "Run committed cells again.", OPTIONS, run_again, arguments)


if __name__ == "__main__":
    exit_code(main)
