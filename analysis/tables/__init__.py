"""The table of a grid: `python -m analysis.tables grid=NAME [format=markdown|latex|csv] [layout=NAME] [runs=…]`.

    grid ─ layout ─▶ Table (columns, rows, footnotes, caption) ─▶ Markdown, LaTeX, HTML, terminal;   grid ─▶ tidy CSV

The layouts are in `layouts.py`; grid.json says which one a grid has.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from analysis import options
from analysis.findings.expectations import outcomes
from analysis.findings.verdicts import findings
from analysis.read.runs import GridResults, read_folder
from analysis.read.source import SOURCE, read
from analysis.tables.captions import caption
from analysis.tables.forms import Frame
from analysis.tables.latex import latex_table
from analysis.tables.layouts import LAYOUTS, choose
from analysis.tables.table import Footnotes, ResultTable
from analysis.tables.terminal import terminal_text
from analysis.tables.tidy import tidy_csv
from analysis.tables.writers import markdown

SUFFIXES = {"markdown": "md", "latex": "tex", "csv": "csv"}


def table_of(grid: GridResults, layout: str = "") -> ResultTable:
    """The table in this layout, or in the grid's own; InputError where the one asked for does not fit the grid."""
    frame, notes = Frame(grid), Footnotes()
    chosen = choose(frame, layout)
    body = chosen.form.body(frame, chosen.papers, notes, chosen.notes)
    verdict = [found.headline for found in findings(grid)] + [outcome.sentence for outcome in outcomes(grid)]
    return ResultTable(grid.meta.name, caption(grid), body.stub, body.columns, body.rows, notes.texts, tuple(verdict))


def render(grid: GridResults, form: str, layout: str = "") -> str:
    """The table as Markdown, LaTeX or CSV text."""
    if form == "csv":
        return tidy_csv(grid, layout)
    table = table_of(grid, layout)
    return markdown(table) if form == "markdown" else latex_table(table)


def write_tables(folder: Path | str) -> None:
    """table.md, table.tex and table.csv beside the grid.json of a results folder."""
    grid = read_folder(folder)
    for form, suffix in SUFFIXES.items():
        (Path(folder) / f"table.{suffix}").write_text(render(grid, form), encoding="utf-8")


def terminal_table(grid: GridResults, console: Console | None = None) -> str:
    """The table as a console shows it, the process's own by default."""
    return terminal_text(table_of(grid), console)


OPTIONS = {
    **SOURCE,
    "format": options.Option("how to write it", "markdown", choices=tuple(SUFFIXES)),
    "layout": options.Option("how to lay it out, by default as grid.json says", choices=tuple(LAYOUTS)),
}


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        print(render(read(values), values["format"], values["layout"]), end="")

    return options.run("analysis.tables", "Print the table of a grid that was run.", OPTIONS, show, arguments)
