"""The table of a grid: `python -m analysis.tables grid=NAME [format=markdown|latex|csv] [layout=NAME] [runs=…]`.

    grid ─ layout ─▶ Table (columns, rows, footnotes, caption) ─▶ Markdown, LaTeX, HTML, terminal;   grid ─▶ tidy CSV

The layouts are in `layouts.py`; grid.json says which one a grid has.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from analysis.exports import write_answers
from analysis.findings.answers import Answers
from analysis.findings.best import best
from analysis.format import options
from analysis.format.files import write_text
from analysis.read.source import SOURCE, source_of
from analysis.tables.brief import terminal_answer
from analysis.tables.captions import caption
from analysis.tables.forms import Frame
from analysis.tables.latex import latex_table
from analysis.tables.layouts import LAYOUTS, choose
from analysis.tables.table import Footnotes, ResultTable
from analysis.tables.tidy import tidy_csv
from analysis.tables.writers import markdown
from analysis.words.best import left_out
from analysis.words.claims import claim_sentence
from analysis.words.verdicts import comparison_sentence, headline, left_out_sentence

MOST_ROWS = 200
"""Cells and runs in a table or list that is read on a screen; the files beside it have all."""
SUFFIXES = {"markdown": "md", "latex": "tex", "csv": "csv"}


def table_of(answers: Answers, layout: str = "") -> ResultTable:
    """The table in this layout, or in the grid's own; InputError where the one asked for does not fit the grid."""
    frame, notes = Frame(answers), Footnotes()
    chosen = choose(frame, layout)
    body = chosen.form.body(frame, chosen.papers, notes, chosen.notes)
    said = caption(answers), body.stub, body.columns, body.rows, notes.texts, _verdict(answers)
    return ResultTable(answers.meta.name, *said)


def read_through(answers: Answers) -> ResultTable:
    """The table with as many cells as a reader looks through; what is said of them is of all."""
    cut = best(answers, MOST_ROWS)
    if cut is answers:
        return table_of(answers)
    return replace(table_of(cut), caption=f"{caption(answers)} {left_out(cut)}", verdict=_verdict(answers))


def _verdict(answers: Answers) -> tuple[str, ...]:
    """Which cell to take, what the looks say of what was declared where seeds were added, or how cells differ so far
    where no verdict is due, and what became of claims."""
    looked = answers.meta.auto is not None
    pairs = [pair for found in answers.findings for pair in found.pairs if pair.primary]
    declared = pairs if (looked or answers.preliminary) and answers.meta.primary else []
    out = [sentence for found in answers.findings if declared and (sentence := left_out_sentence(found))]
    claims = [claim_sentence(outcome, first_look=looked) for outcome in answers.claims]
    return (*map(headline, answers.findings), *map(comparison_sentence, declared), *out, *claims)


def render(answers: Answers, form: str, layout: str = "") -> str:
    """The table as Markdown, LaTeX or CSV text."""
    if form == "csv":
        return tidy_csv(answers, layout)
    table = table_of(answers, layout)
    return markdown(table) if form == "markdown" else latex_table(table)


def write_tables(answers: Answers, folder: Path | str) -> None:
    """table.md, table.tex, table.csv and answers.json in a results folder."""
    write_answers(answers, folder)
    for form, suffix in SUFFIXES.items():
        write_text(Path(folder) / f"table.{suffix}", render(answers, form))


def terminal_table(answers: Answers, console: Console | None = None) -> str:
    """The answer in short as a console shows it, the process's own by default: who is the best, the table, and what
    matters most of what was compared."""
    return terminal_answer(answers, read_through(answers), left_out(best(answers, MOST_ROWS)), console)


OPTIONS = {
    **SOURCE,
    "format": options.Option("how to write it", "markdown", choices=tuple(SUFFIXES)),
    "layout": options.Option("how to lay it out, by default as grid.json says", choices=tuple(LAYOUTS)),
}


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        print(render(Answers.of(source_of(values).read()), values["format"], values["layout"]), end="")

    return options.run("analysis.tables", "Print the table of a grid that was run.", OPTIONS, show, arguments)
