"""The report of a grid, one HTML page: `python -m analysis.report grid=NAME [runs=results/<grid>]`.

    grid ─▶ findings ─▶ sections ─▶ report.html

The answer comes first, then what it rests on, then where that comes from. The page loads nothing and runs nothing, and
the same grid gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from analysis import options
from analysis.figures.deck import DECK
from analysis.findings.cells import cells_of
from analysis.findings.verdicts import findings
from analysis.notation import counted
from analysis.read.runs import GridResults, read_folder
from analysis.read.search import read_search, search_alone
from analysis.read.source import SOURCE, folder_of, read
from analysis.report.answers import axes, comparisons, noise, published, verdict
from analysis.report.costs import cost
from analysis.report.figures import pictures
from analysis.report.page import Html, Picture, Section, render
from analysis.report.records import besides, missing, provenance
from analysis.report.search import search_report, search_section, with_optimism
from analysis.tables import table_of
from analysis.tables.table import ResultTable
from analysis.tables.writers import html_table

FILE = "report.html"


def report(grid: GridResults) -> str:
    """The page."""
    return render(grid.meta.question, [_setting(grid)], sections(grid))


CURVES = ("elbo", "bound", "split", "estimate", "weights", "schedules", "training")
"""The figures that stand behind the numbers, in order."""


def sections(grid: GridResults) -> list[Section]:
    """What the page holds, in its order; a part without data is left out."""
    cells, found = cells_of(grid), findings(grid)
    drawn, table = pictures(grid, found, len(cells)), table_of(grid)
    parts = [
        with_optimism(verdict(grid, found), grid),
        published(grid),
        comparisons(found, _chosen(drawn, "differences")),
        Section("table", "Table", (_html(table), *_chosen(drawn, "metrics", "lines"))),
        search_section(grid.search, grid, drawn) if grid.search is not None else None,
        axes(grid, found),
        _gallery("samples", "Samples", drawn, "samples", "reconstructions", "strips"),
        _gallery("curves", "Behind the numbers", drawn, *CURVES),
        _gallery("formulas", "What the formulas say", drawn, *DECK),
        besides(grid, cells),
        noise(grid, found),
        cost(grid, cells, found, _chosen(drawn, "compute", "cost")),
        missing(grid, cells),
        provenance(grid, cells),
    ]
    return [part for part in parts if part is not None]


def _html(table: ResultTable) -> Html:
    """The table as markup, without its verdict, which stands at the head of the page already."""
    return Html(html_table(replace(table, verdict=()), caption=False), "the table", table.caption)


def _chosen(drawn: Mapping[str, Picture], *names: str) -> list[Picture]:
    return [drawn[name] for name in names if name in drawn]


def _gallery(name: str, title: str, drawn: Mapping[str, Picture], *names: str) -> Section | None:
    chosen = _chosen(drawn, *names)
    return Section(name, title, tuple(chosen)) if chosen else None


def _setting(grid: GridResults) -> str:
    """The line that says what was run."""
    meta = grid.meta
    words = [
        f"Grid `{meta.name}`",
        meta.data,
        f"T = {meta.horizon}" if meta.horizon else "",
        counted(len(cells_of(grid)), "cell"),
        counted(len(meta.seeds), "paired seed" if len(meta.seeds) > 1 else "seed"),
    ]
    return " · ".join(word for word in words if word)


def write_report(folder: Path | str) -> Path:
    """Write report.html of a results folder, of its search where there is no grid; its path."""
    if search_alone(folder):
        return _write(search_report(read_search(folder)), Path(folder))
    return _write(report(read_folder(folder)), Path(folder))


def _write(page: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_text(page, encoding="utf-8")
    return path


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        folder = folder_of(values)
        alone = "://" not in values["runs"] and search_alone(folder)
        print(write_report(folder) if alone else _write(report(read(values)), folder))

    return options.run("analysis.report", "Write the report of a grid that was run.", SOURCE, show, arguments)
