"""The table of a grid: `python -m analysis.tables grid=NAME [format=markdown|latex|csv] [runs=results/<grid>]`.

    grid ─▶ Table (columns, rows, footnotes, caption) ─▶ Markdown, LaTeX, terminal;   grid ─▶ tidy CSV

Layouts: `ddpm_table_2` groups rows by the first axis and sets the published numbers beside ours; `general` has a row
per combination of levels. Known values (histogram codes, held-out images) stand at the foot.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from analysis import commands, weights
from analysis.captions import caption
from analysis.errors import InputError
from analysis.meta import Metric
from analysis.published import DDPM_HEAD, ddpm_source
from analysis.runs import Grid, read_folder
from analysis.summary import Summary, metrics_present, references
from analysis.table import Column, Entry, Footnotes, Row, Table
from analysis.terminal import plain
from analysis.writers import latex_table, markdown, tidy_csv

LAYOUTS = ("general", "ddpm_table_2")
SUFFIXES = {"markdown": "md", "latex": "tex", "csv": "csv"}
_PUBLISHED = {"nll": "NLL", "fid": "FID", "is": "IS"}


def table_of(grid: Grid) -> Table:
    """The table in the layout that the grid asks for."""
    if grid.meta.layout not in LAYOUTS:
        raise InputError(f"grid.json asks for the layout {grid.meta.layout!r}: there are {', '.join(LAYOUTS)}")
    grouped = grid.meta.layout == "ddpm_table_2" and len(grid.meta.axes) > 1
    present = metrics_present(grid)
    summary = Summary.of(grid, _ddpm_metrics(present) if grouped else present)
    notes = Footnotes()
    stub = _stub(grid, grouped, notes)
    columns = [Column(metric.head, f"ours, {grid.meta.data}" if grouped else "") for metric in summary.metrics]
    if grouped:
        source = notes.marks([ddpm_source()])
        columns += [Column(label, DDPM_HEAD, source) for label in _PUBLISHED.values()]
    rows = list(_grouped(grid, summary, notes) if grouped else _flat(summary, notes))
    rows += _references(grid, summary, len(stub), len(columns))
    return Table(grid.meta.name, caption(grid), tuple(stub), tuple(columns), tuple(rows), notes.texts)


def _ddpm_metrics(metrics: list[Metric]) -> list[Metric]:
    """NLL, FID, IS in the paper's order, then what else there is."""
    chosen = [metric for kind in _PUBLISHED for metric in metrics if metric.name.startswith(f"{kind}/")]
    return chosen + [metric for metric in metrics if metric not in chosen]


def _stub(grid: Grid, grouped: bool, notes: Footnotes) -> list[Column]:
    """The heads of the labels: the grid's own footnotes at the first, an axis's at its own.

    Where the first axis heads groups of rows it has no column, and the one that there is bears all.
    """
    axes = grid.meta.axes
    found = weights.footnotes(grid)
    of_axes = [[found[axis.name]] if axis.name in found else [] for axis in axes] or [[]]
    labels = [axis.label for axis in axes] or ["Cell"]
    if grouped:
        labels, of_axes = [", ".join(labels[1:])], [[text for texts in of_axes for text in texts]]
    of_axes[0] = [*grid.meta.footnotes, *of_axes[0]]
    return [Column(label, mark=notes.marks(texts)) for label, texts in zip(labels, of_axes, strict=True)]


def _grouped(grid: Grid, summary: Summary, notes: Footnotes) -> Iterator[Row]:
    previous = None
    for i, cell in enumerate(summary.cells):
        if cell.levels[0] != previous:
            previous = cell.levels[0]
            yield Row("group", (f"{grid.meta.axes[0].label} {cell.labels[0]}",))
        beside = tuple(Entry(cell.published()[kind]) for kind in _PUBLISHED)
        yield Row("cell", (", ".join(cell.labels[1:]),), _entries(summary, i, notes) + beside, indented=True)


def _flat(summary: Summary, notes: Footnotes) -> Iterator[Row]:
    for i, cell in enumerate(summary.cells):
        yield Row("cell", cell.labels or ("this cell",), _entries(summary, i, notes))


def _entries(summary: Summary, i: int, notes: Footnotes) -> tuple[Entry, ...]:
    """Our numbers of cell i, each marked by what did not finish and by what the runs note."""
    shortfall = summary.shortfalls[i]
    entries = []
    for metric in summary.metrics:
        estimate = summary.estimates[metric.name][i]
        text = summary.rounding[metric.name].measured(estimate.mean, estimate.half_width)
        why = shortfall or ("" if estimate.values else "finished, but without this metric")
        marks = notes.marks([*([why] if why else []), *summary.notes[i]])
        entries.append(Entry(text, i in summary.leading[metric.name], marks))
    return tuple(entries)


def _references(grid: Grid, summary: Summary, stub: int, columns: int) -> list[Row]:
    rows = []
    for label, values in references(grid, summary.metrics).items():
        texts = [summary.rounding[m.name].number(values[m.name]) if m.name in values else "" for m in summary.metrics]
        entries = [Entry(text) for text in texts] + [Entry("")] * (columns - len(texts))
        rows.append(Row("reference", (label, *[""] * (stub - 1)), tuple(entries)))
    return rows


def render(grid: Grid, form: str) -> str:
    """The table as Markdown, LaTeX or CSV text."""
    if form == "csv":
        return tidy_csv(grid)
    return markdown(table_of(grid)) if form == "markdown" else latex_table(table_of(grid))


def write_tables(folder: Path | str) -> None:
    """table.md, table.tex and table.csv beside the grid.json of a results folder."""
    grid = read_folder(folder)
    for form, suffix in SUFFIXES.items():
        (Path(folder) / f"table.{suffix}").write_text(render(grid, form), encoding="utf-8")


def terminal_table(grid: Grid, columns: int = 120) -> str:
    """The table as plain text, at most so many columns wide."""
    return plain(table_of(grid), columns)


OPTIONS = {
    "grid": commands.GRID,
    "format": commands.Option("how to write it", "markdown", tuple(SUFFIXES)),
    "runs": commands.RUNS,
}


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        print(render(commands.read(values), values["format"]), end="")

    return commands.run("analysis.tables", "Print the table of a grid that was run.", OPTIONS, show, arguments)


if __name__ == "__main__":
    sys.exit(main())
