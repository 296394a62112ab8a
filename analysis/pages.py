"""All pages of a results folder, computed and drawn once.

folder ─▶ Answers ─▶ table.*, answers.json, figures/ ─▶ report.html;  and the text for a terminal

This may run in a process of its own, beside the command that continues the grid. grid.json is read first, and only what
it mentions is shown of the other files, however much they have grown by then.
"""

from __future__ import annotations

import sys
from pathlib import Path

from analysis.errors import InputError, NothingYet
from analysis.figures import write_figures, write_search_figures
from analysis.findings.answers import Answers
from analysis.folders import search_alone
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from analysis.report import report, write_report
from analysis.report.files import Files
from analysis.report.search import search_report
from analysis.tables import read_through, terminal_table, write_tables
from analysis.tables.search import terminal_search


def write_pages(folder: Path | str) -> str:
    """Write every page of a results folder, or of its search if there is no grid; return the answer for a terminal.

    If no round of it is whole, no page is written, and the text says so.
    """
    results = Path(folder)
    figures = results / "figures"
    if search_alone(results):
        search = read_search(results)
        drawn = write_search_figures(search, figures)
        write_report(search_report(search, drawn, Files(results)), results)
        return terminal_search(search)
    try:
        answers = Answers.of(read_folder(results))
    except NothingYet as nothing:
        return str(nothing)
    write_tables(answers, results)
    drawn = write_figures(answers, figures)
    write_report(report(answers, drawn, read_through(answers), Files(results)), results)
    return in_words(answers)


def in_words(answers: Answers) -> str:
    """The text on a grid for a terminal: the search that it confirms, if any, and its answer with the table."""
    search = answers.grid.search
    parts = [terminal_search(search, answers.optimism)] if search is not None else []
    return "\n\n".join([*parts, terminal_table(answers)])


if __name__ == "__main__":
    try:
        print(write_pages(sys.argv[1]))
    except InputError as error:
        raise SystemExit(str(error)) from None
