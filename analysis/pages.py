"""All pages of a results folder: tables and figures, then the report, which shows them; and the text for a terminal.

Those of committed results go to a folder beside them (`folders.pages_of`).
"""

from __future__ import annotations

from pathlib import Path

from analysis.answers import Analysis, read
from analysis.errors import NothingYet
from analysis.figures import write_figures
from analysis.files import write_text
from analysis.folders import pages_of, search_alone
from analysis.report.contents import report, search_report
from analysis.report.search import terminal_search
from analysis.search import read_search
from analysis.tables import write_tables
from analysis.terminal import terminal_table

FILE = "report.html"


def write_pages(folder: Path | str) -> str:
    """Write every page of a results folder, or of its search if it has confirmed nothing; return what a terminal shows,
    which is that there is nothing yet if no round of it is whole."""
    results, pages = Path(folder), pages_of(Path(folder))
    pages.mkdir(parents=True, exist_ok=True)
    if search_alone(results):
        search = read_search(results)
        write_figures(search, pages / "figures")
        write_text(pages / FILE, search_report(search, results))
        return terminal_search(search)
    try:
        analysis = read(results)
    except NothingYet as nothing:
        return str(nothing)
    write_tables(analysis, pages)
    write_figures(analysis, pages / "figures")
    write_text(pages / FILE, report(analysis))
    return in_words(analysis)


def in_words(analysis: Analysis) -> str:
    """The text on a grid for a terminal: the search that it confirms, if any, and its answer with the table."""
    searched = [] if analysis.search is None else [terminal_search(analysis.search, analysis.optimism)]
    return "\n\n".join([*searched, terminal_table(analysis)])
