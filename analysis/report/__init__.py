"""The report of a grid, one HTML page: `python -m analysis.report grid=NAME [runs=results/<grid>]`.

    answers and figures ─▶ sections ─▶ report.html

The answer comes first, then what it rests on, then where that comes from. The page loads nothing and runs nothing, and
the same grid gives the same bytes. That of a committed grid goes to results/.committed/<grid>/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from analysis.figures import shown as drawable
from analysis.figures.deck import DECK
from analysis.figures.drawing import Drawn
from analysis.findings.answers import Answers
from analysis.format.files import write_text
from analysis.format.notation import counted
from analysis.report.answers import axes, noise, published
from analysis.report.budget import budget
from analysis.report.comparisons import comparisons
from analysis.report.costs import cost
from analysis.report.figures import pictures
from analysis.report.page import Html, Picture, Section, render
from analysis.report.records import besides, missing, provenance
from analysis.report.search import search_section
from analysis.report.verdict import verdict
from analysis.tables.table import ResultTable
from analysis.tables.writers import html_table
from analysis.words.provenance import steps_taken
from analysis.words.rounds import banner, round_of, seeds_taken

FILE = "report.html"


def report(answers: Answers, drawn: Mapping[str, Drawn], table: ResultTable) -> str:
    """The page, with these figures and this table in it."""
    lead = [text for text in (_setting(answers), banner(answers.grid)) if text]
    return render(answers.meta.question, lead, sections(answers, drawn, table))


CURVES = ("elbo", "bound", "split", "estimate", "weights", "schedules", "training")
"""The figures that stand behind the numbers, in order."""


def sections(answers: Answers, drawn: Mapping[str, Drawn], table: ResultTable) -> list[Section]:
    """The sections of the page, in their order; a part without data is left out."""
    shown, search = pictures(drawable(answers), drawn), answers.grid.search
    parts = [
        verdict(answers),
        Section("table", "Table", (_html(table), *_chosen(shown, "metrics", "lines"))),
        published(answers),
        comparisons(answers, _chosen(shown, "differences")),
        budget(answers, _chosen(shown, "budget")),
        search_section(search, answers.optimism, shown) if search is not None else None,
        axes(answers),
        _gallery("samples", "Samples", shown, "samples", "reconstructions", "strips"),
        _gallery("curves", "Behind the numbers", shown, *CURVES),
        _gallery("formulas", "What the formulas say", shown, *DECK),
        besides(answers),
        noise(answers),
        cost(answers, _chosen(shown, "compute", "cost")),
        missing(answers),
        provenance(answers),
    ]
    return [part for part in parts if part is not None]


def _html(table: ResultTable) -> Html:
    """The table as markup, without its verdict, which stands at the head of the page already."""
    alone = replace(table, answered=(), by_row=(), verdict=())
    return Html(html_table(alone, caption=False), "the table", table.caption)


def _chosen(drawn: Mapping[str, Picture], *names: str) -> list[Picture]:
    return [drawn[name] for name in names if name in drawn]


def _gallery(name: str, title: str, drawn: Mapping[str, Picture], *names: str) -> Section | None:
    chosen = _chosen(drawn, *names)
    return Section(name, title, tuple(chosen)) if chosen else None


def _setting(answers: Answers) -> str:
    """The line that says what was run."""
    meta = answers.meta
    words = [
        f"Grid `{meta.name}`",
        meta.data,
        f"T = {meta.horizon}" if meta.horizon else "",
        counted(len(answers.cells), "cell"),
        steps_taken(answers.grid),
        seeds_taken(meta),
        round_of(answers.meta),
    ]
    return " · ".join(word for word in words if word)


def write_report(page: str, folder: Path) -> Path:
    """Write a page as report.html of a results folder; its path."""
    path = folder / FILE
    write_text(path, page)
    return path
