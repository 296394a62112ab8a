"""The report of a grid, one HTML page: `python -m analysis.report grid=NAME [runs=results/<grid>]`.

    answers and figures ─▶ sections ─▶ report.html

The first screen answers: the verdict, with differences and samples beside it, and the table below it. All other parts
are folded, each under a line that says what is in it. The page loads nothing, and the same grid gives the same bytes.
The page of a committed grid goes to results/.committed/<grid>/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from analysis.figures import sentences
from analysis.figures import shown as drawable
from analysis.figures.deck import DECK
from analysis.figures.drawing import Drawn
from analysis.files import write_text
from analysis.findings.answers import Answers
from analysis.labels import counted, duration, in_symbols, listed
from analysis.report.answers import axes, noise, published
from analysis.report.budget import budget
from analysis.report.comparisons import comparisons
from analysis.report.costs import cost
from analysis.report.figures import pictures
from analysis.report.files import Files
from analysis.report.page import Details, Html, Link, Picture, Section, Text, render
from analysis.report.records import besides, lost, missing, provenance
from analysis.report.samples import first_samples, samples_section
from analysis.report.search import search_section
from analysis.report.verdict import verdict
from analysis.tables.table import ResultTable
from analysis.tables.writers import html_table
from analysis.words.provenance import chain_length, image_size, steps_taken
from analysis.words.rounds import banner, round_of, seeds_taken

FILE = "report.html"


def report(answers: Answers, drawn: Mapping[str, Drawn], table: ResultTable, files: Files) -> str:
    """The page, with these figures and this table in it, and links to these files."""
    lead = [text for text in (_setting(answers), banner(answers.grid)) if text]
    tracked = answers.grid.tracking
    links = [*files.links, *([Link("MLflow", tracked.link)] if tracked else [])]
    metrics = [metric.label for metric in answers.metrics]
    return render(in_symbols(answers.meta.question), lead, sections(answers, drawn, table, files), links, metrics)


CURVES = ("elbo", "bound", "split", "estimate", "weights", "schedules", "training")
"""The figures behind the numbers, in order."""
UNFOLDED = ("verdict", "table", "search")
"""The parts that are open; the part on runs that did not finish is open too, if there are any."""


def sections(answers: Answers, drawn: Mapping[str, Drawn], table: ResultTable, files: Files) -> list[Section]:
    """The sections of the page, in their order; a part without data is left out."""
    shown, search = pictures(drawable(answers), drawn, files), answers.grid.search
    answer = verdict(answers)
    parts = [
        replace(answer, beside=(*_chosen(shown, "differences"), *first_samples(answers))),
        Section("table", "Table", (_html(table), *_seeds(_chosen(shown, "metrics", "lines", "guidance")))),
        search_section(search, answers.optimism, shown) if search is not None else None,
        published(answers),
        comparisons(answers),
        budget(answers, _chosen(shown, "budget")),
        axes(answers),
        samples_section(answers, _chosen(shown, "samples", "reconstructions", "strips")),
        _behind(answers, shown),
        _gallery("formulas", "What the formulas say", shown, *DECK),
        besides(answers),
        noise(answers),
        cost(answers, _chosen(shown, "compute", "cost")),
        missing(answers),
        provenance(answers),
    ]
    opened = (*UNFOLDED, "missing") if lost(answers) else UNFOLDED
    return [replace(part, folded=part.name not in opened) for part in parts if part is not None]


def _html(table: ResultTable) -> Html:
    """The table as markup, without its verdict, which stands at the head of the page already."""
    alone = replace(table, answered=(), by_row=(), verdict=())
    return Html(html_table(alone), "the table", table.caption)


def _seeds(shown: Sequence[Picture]) -> list[Details]:
    """The table as figures, folded away."""
    return [Details("Every seed, as figures", tuple(shown))] if shown else []


def _chosen(drawn: Mapping[str, Picture], *names: str) -> list[Picture]:
    return [drawn[name] for name in names if name in drawn]


def _gallery(name: str, title: str, drawn: Mapping[str, Picture], *names: str) -> Section | None:
    chosen = _chosen(drawn, *names)
    return Section(name, title, tuple(chosen), listed([of.name.replace("_", " ") for of in chosen])) if chosen else None


def _behind(answers: Answers, drawn: Mapping[str, Picture]) -> Section | None:
    """The figures behind the numbers, after the sentences that replace figures which would show nothing."""
    part = _gallery("curves", "Behind the numbers", drawn, *CURVES) or Section("curves", "Behind the numbers", ())
    texts = tuple(Text(sentence) for sentence in sentences(answers).values())
    return replace(part, blocks=(*texts, *part.blocks)) if texts or part.blocks else None


def _setting(answers: Answers) -> str:
    """The line that describes what was run."""
    meta = answers.meta
    lacking = "were not scored" if meta.at_rungs else "did not finish"
    words = [
        f"Grid `{meta.name}`",
        meta.data,
        image_size(meta),
        chain_length(answers.grid),
        counted(len(answers.cells), "cell"),
        steps_taken(answers.grid),
        seeds_taken(meta),
        round_of(meta),
        f"{duration(work)} of computing" if (work := answers.costs.work) else "",
        f"{lost(answers)} of {counted(len(answers.grid.runs), 'run')} {lacking}" if lost(answers) else "",
    ]
    return " · ".join(word for word in words if word)


def write_report(page: str, folder: Path) -> Path:
    """Write a page as report.html of a results folder, and return its path."""
    path = folder / FILE
    write_text(path, page)
    return path
