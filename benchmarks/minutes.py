"""`python -m benchmarks.minutes`: the minutes that each grid that ships takes, by `dry_run=true`, written down.

The table goes to `benchmarks/minutes.md`, and its minutes to the first line of each grid's file, which `--help` shows,
to README.md and to docs/grids.md: so that all of them say the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablations.settings.exits import exit_code
from ablations.stages.devices import processor
from analysis import options
from analysis.errors import InputError
from analysis.options import Option
from evidence import markdown

HERE = Path(__file__).parents[1]
GRIDS, TABLE = HERE / "ablations" / "configs" / "grid", HERE / "benchmarks" / "minutes.md"
README, DOCS = HERE / "README.md", HERE / "docs" / "grids.md"
OPTIONS = {"workers": Option("how many stages run at a time", 2, int)}
HEAD = ("grid", "cells", "seeds", "trainings", "minutes")

FIRST_LINE = re.compile(r"\A(# .*?)(?:, about \d+ minutes?)?(?=\n)")
IN_README = re.compile(r"(grid=parameterization +# trains, evaluates, logs, draws: )\d+ minutes on 2 \w+ CPU cores")
IN_DOCS = re.compile(r"(how many minutes it takes on two cores,) \d+ at most")


@dataclass(frozen=True)
class Row:
    """A grid with its size and what it takes."""

    grid: str
    cells: int
    seeds: int
    trainings: int
    minutes: int


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run("benchmarks.minutes", "Estimate the grids that ship.", OPTIONS, write_all, arguments)


def write_all(given: dict[str, Any]) -> None:
    """Estimate, print, and write what was estimated wherever it is said."""
    if given["workers"] < 1:
        raise InputError(f"workers must be at least 1, got {given['workers']}")
    rows = estimated(given["workers"])
    text = table(rows, given["workers"])
    print(text)
    TABLE.write_text(f"{text}\n", encoding="utf-8")
    for row in rows:
        rewrite(GRIDS / f"{row.grid}.yaml", FIRST_LINE, rf"\1, about {row.minutes} minute{'s' * (row.minutes > 1)}")
    first = next(row.minutes for row in rows if row.grid == "parameterization")
    rewrite(README, IN_README, rf"\g<1>{first} minutes on 2 quiet CPU cores")
    rewrite(DOCS, IN_DOCS, rf"\1 {max(row.minutes for row in rows)} at most")


def estimated(workers: int) -> list[Row]:
    """Every grid that ships, as nothing of it had been run."""
    from ablations.driver.estimate import estimated as seconds
    from ablations.driver.plan import plan
    from ablations.engine.journal import Journal
    from ablations.grids.grid import make
    from ablations.launchers.local import Local
    from ablations.settings.arguments import parse_run

    rows = []
    for name in sorted(path.stem for path in GRIDS.glob("*.yaml")):
        grid = plan(make(parse_run([f"grid={name}"])), Local(workers=workers), ["cpu"] * workers)
        with TemporaryDirectory() as empty:
            minutes = max(1, round(seconds(grid, Journal(Path(empty))) / 60))
        trainings = sum(stage.kind == "training" and not stage.rung for stage in grid.stages())
        cells = len({item.cell_id for item in grid.runs})
        rows.append(Row(name, cells, len(grid.grid.seeds), trainings, minutes))
    return rows


def table(rows: Sequence[Row], workers: int) -> str:
    """The rows as Markdown, with what they were measured on."""
    import torch

    lines = [
        f"`python -m benchmarks.minutes`: {workers} workers of one thread on {processor()}, torch {torch.__version__}",
        "",
        *markdown.table(HEAD, ([getattr(row, name) for name in HEAD] for row in rows)),
    ]
    return "\n".join(lines)


def rewrite(path: Path, pattern: re.Pattern[str], by: str) -> None:
    """Write a place of a file anew; InputError where it is not there once."""
    text, count = pattern.subn(by, path.read_text(encoding="utf-8"))
    if count != 1:
        raise InputError(f"{path} does not say its minutes as it should: no place of it reads {pattern.pattern!r}")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
