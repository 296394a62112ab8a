"""The table of a grid: `python -m analysis.tables grid=NAME [format=markdown|latex|csv] [layout=NAME] [runs=…]`.

    grid ─ layout ─▶ Table (columns, rows, footnotes, caption) ─▶ Markdown, LaTeX, HTML, terminal;   grid ─▶ tidy CSV

A layout says which form a table has, which metrics in which order, and whose numbers stand beside ours. A grid names
one in grid.json; `layout=` names another. If the grid lacks what a layout needs, a layout that was asked for is an
error, while the grid's own falls back to `general`, with a footnote, so that every run ends with a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from analysis import options
from analysis.errors import InputError, unknown
from analysis.exports import write_answers
from analysis.files import write_text
from analysis.findings.answers import Answers
from analysis.findings.best import MOST_ROWS, best
from analysis.findings.comparisons import CellComparison
from analysis.folders import SOURCE, folder_of
from analysis.read.runs import read_folder
from analysis.tables.brief import by_weight, terminal_answer
from analysis.tables.captions import caption
from analysis.tables.forms import FlatForm, Form, Frame, GroupedForm, Shown
from analysis.tables.latex import latex_table
from analysis.tables.matrix import MatrixForm
from analysis.tables.published import PaperTable, papers
from analysis.tables.table import Footnotes, ResultTable
from analysis.tables.tidy import tidy_csv
from analysis.tables.writers import markdown
from analysis.words.claims import claim_sentence
from analysis.words.length import MOST, sentences_in, up_to
from analysis.words.rounds import banner
from analysis.words.rows import row_headline, row_table
from analysis.words.verdicts import comparison_sentence, headline, left_out_sentence

MOST_TOLD = 12
"""The most primary comparisons that are told beside a table; the report has all."""
SUFFIXES = {"markdown": "md", "latex": "tex", "csv": "csv"}


@dataclass(frozen=True)
class Layout:
    """A layout: the first of its `forms` that fits a grid, with these tables of papers.yaml beside it."""

    forms: tuple[Form, ...]
    papers: tuple[str, ...] = ()


_IMPROVED = FlatForm(
    metrics=("nll", "fid"),
    rest=False,
    shown=(
        Shown("Iters", "training.steps"),
        Shown("T", "horizon"),
        Shown("Schedule", "schedule"),
        Shown("Objective", "objective"),
    ),
    told=("variance", "timesteps"),
)

LAYOUTS: Mapping[str, Layout] = {
    "general": Layout((FlatForm(),)),
    "ddpm_table_1": Layout((FlatForm(metrics=("is", "fid", "nll"), rest=False),), ("ddpm_1",)),
    "ddpm_table_2": Layout((GroupedForm(metrics=("nll", "fid", "is")),), ("ddpm_2",)),
    "improved_ddpm_1": Layout((_IMPROVED,), ("iddpm_1",)),
    "improved_ddpm_2": Layout((_IMPROVED,), ("iddpm_2",)),
    "vdm": Layout(
        (
            MatrixForm({"nll": "evaluation.horizon"}, rows=("horizon",)),
            FlatForm(metrics=("nll", "nll_continuous", "bound_variance"), rest=False),
        ),
        ("vdm_2", "vdm_4b"),
    ),
    "ldm": Layout(
        (FlatForm(metrics=("nll", "fid", "memorisation", "rfid", "psnr", "cost"), rest=False, over=("space",)),),
        ("ldm_8",),
    ),
    "analytic_dpm": Layout(
        (MatrixForm({"nll": "evaluation.horizon", "fid": "sampler.steps"}, rows=("variance",)),),
        ("analytic_1", "analytic_2"),
    ),
}


@dataclass(frozen=True)
class FittingLayout:
    """A layout that fits a grid, its form, and notes that say why it is not the one asked for."""

    name: str
    form: Form
    papers: tuple[PaperTable, ...]
    notes: list[str]


def choose(frame: Frame, asked: str = "") -> FittingLayout:
    """The layout `asked` for, or else the grid's own; InputError where the one asked for is unknown or does not fit."""
    own = frame.answers.meta.layout
    name = asked or own
    if name not in LAYOUTS:
        if asked:
            raise unknown("layout", asked, LAYOUTS)
        return _general(f"Set out as general: no layout here is called {own}")
    fitting = [form for form in LAYOUTS[name].forms if not form.lacks(frame)]
    if fitting:
        return FittingLayout(name, fitting[0], _comparable(frame, LAYOUTS[name].papers), [])
    needs = f"{name} needs {LAYOUTS[name].forms[-1].lacks(frame)}"
    varies = ", ".join(axis.name for axis in frame.axes) or "nothing"
    if asked:
        raise InputError(f"layout={needs}; this grid varies {varies}: take layout=general, or run a grid with that")
    return _general(f"Set out as general: the layout {needs}; this grid varies {varies}")


def _comparable(frame: Frame, names: tuple[str, ...]) -> tuple[PaperTable, ...]:
    """The papers' tables that share a metric with the grid."""
    kinds = {metric.kind for metric in frame.answers.metrics}
    return tuple(papers()[name] for name in names if kinds & set(papers()[name].metrics))


def _general(why: str) -> FittingLayout:
    return FittingLayout("general", LAYOUTS["general"].forms[0], (), [why])


def table_of(answers: Answers, layout: str = "") -> ResultTable:
    """The table in this layout, or in the grid's own; InputError where the one asked for does not fit the grid."""
    frame, notes = Frame(answers), Footnotes()
    chosen = choose(frame, layout)
    body = chosen.form.body(frame, chosen.papers, notes, chosen.notes)
    plain = caption(answers), body.stub, body.columns, body.rows, notes.texts
    return _with_findings(answers, ResultTable(answers.meta.name, *plain))


def read_through(answers: Answers) -> ResultTable:
    """The table with no more cells than a reader looks through; what it says about them holds for all cells."""
    cut = best(answers, MOST_ROWS)
    if cut is answers:
        return table_of(answers)
    return _with_findings(answers, replace(table_of(cut), caption=f"{caption(answers)} {cut.left_out()}"))


def _with_findings(answers: Answers, table: ResultTable) -> ResultTable:
    """The table with the question, its answer in few sentences, and further findings."""
    question = " ".join(text for text in (banner(answers.grid), answers.meta.question) if text)
    by_row = [rows for answer in answers.findings if (rows := row_table(answer, answers.axes)) is not None]
    heads = [row_headline(answer, answers.axes) if answer.rows else headline(answer) for answer in answers.findings]
    answered, rest = up_to(MOST - sentences_in(question) - len(by_row), [text for text in heads if text])
    declarations = _declared(answers)
    parts = [part for answer in answers.findings for part in answer.parts]
    out = [sentence for part in parts if declarations and (sentence := left_out_sentence(part))]
    claims = [claim_sentence(outcome, first_look=answers.meta.auto is not None) for outcome in answers.claims]
    return replace(
        table,
        question=question,
        answered=answered,
        by_row=tuple(by_row),
        verdict=(*rest, *map(comparison_sentence, declarations), *out, *claims),
        untold=sum(len(answer.pairs) for answer in answers.findings) - len(declarations),
    )


def _declared(answers: Answers) -> list[CellComparison]:
    """The primary comparisons to tell, the most important of each metric first; those of equal values are left out."""
    pairs = by_weight([answer.pairs for answer in answers.findings]) if answers.meta.primary else ()
    return [pair for pair in pairs if pair.primary and not pair.same][:MOST_TOLD]


def render(answers: Answers, form: str, layout: str = "") -> str:
    """The table as Markdown, LaTeX or CSV text."""
    if form == "csv":
        frame = Frame(answers)
        return tidy_csv(frame, choose(frame, layout).papers)
    table = table_of(answers, layout)
    return markdown(table) if form == "markdown" else latex_table(table)


def write_tables(answers: Answers, folder: Path | str) -> None:
    """table.md, table.tex, table.csv and answers.json in a results folder."""
    write_answers(answers, folder)
    for form, suffix in SUFFIXES.items():
        write_text(Path(folder) / f"table.{suffix}", render(answers, form))


def terminal_table(answers: Answers, console: Console | None = None) -> str:
    """The answer in short for a console, by default the process's own: the best cell, the table, the main
    comparisons."""
    return terminal_answer(answers, read_through(answers), best(answers, MOST_ROWS).left_out(), console)


OPTIONS = {
    **SOURCE,
    "format": options.Option("how to write it", "markdown", choices=tuple(SUFFIXES)),
    "layout": options.Option("how to lay it out, by default as grid.json says", choices=tuple(LAYOUTS)),
}


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        print(render(Answers.of(read_folder(folder_of(values))), values["format"], values["layout"]), end="")

    return options.run("analysis.tables", "Print the table of a grid that was run.", OPTIONS, show, arguments)
