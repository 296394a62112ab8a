"""All pages of a results folder: tables and figures, then the report, which shows them; and the text for a terminal.

Those of committed results go to a folder beside them (`places.pages_of`). The text has best cells, table, main
comparisons, and how to go on, all as in table.md: a "*" stands for bold, and the papers' numbers are left out.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from analysis import remarks, words
from analysis.answers import Analysis, read
from analysis.costs import seed_seconds
from analysis.errors import InputError, NothingYet
from analysis.figures import write_figures
from analysis.files import write_text
from analysis.labels import width
from analysis.layouts import table_of
from analysis.places import RESULTS, folder_of, pages_of, search_alone
from analysis.report import beside
from analysis.report.contents import report, search_report
from analysis.search import read_search, terminal_search
from analysis.sheet import Form, Table, letter
from analysis.tables import write_tables
from analysis.writers import caption, grid, main_comparisons

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


def write_beside(given: str) -> str:
    """Write the page of two grids, given as A,B, to results/<A>-beside-<B>.html; return what a terminal shows, and its
    path."""
    names = given.split(",")
    if len(names) != 2 or names[0] == names[1]:
        what = "is one grid twice" if len(names) == 2 else f"are {len(names)} grids"
        raise InputError(f"grid={given} {what}: grid=A,B lays two grids side by side")
    folders = [folder_of({"grid": name, "runs": ""}) for name in names]
    grids = read(folders[0]), read(folders[1])
    path, (paragraphs, table, notes) = RESULTS / f"{folders[0].name}-beside-{folders[1].name}.html", beside.found(grids)
    write_text(path, beside.report(grids, paragraphs, table, notes))
    return "\n\n".join("\n".join(lines) for lines in (*paragraphs, *_fitting(table), notes, [str(path)]))


MOST = 3
"""The most comparisons that are shown."""
TEXT = Form(str, "{}*", "[{}]", indent="  ")


def in_words(analysis: Analysis) -> str:
    """The text on a grid for a terminal: the search that it confirms, if any, and its answer with the table."""
    table = table_of(analysis, published=False)
    sentences, more = main_comparisons(analysis, MOST, seed_seconds(analysis))
    blocks = [
        [terminal_search(analysis.search, analysis.optimism)] if analysis.search else [],
        [words.banner(analysis), *words.answers(analysis)],
        caption(analysis),
        *_fitting(table),
        ["* stands for bold."] * bool(analysis.cells["bold"].any()),
        [f"[{letter(i)}] {note}" for i, note in enumerate(table.notes)],
        [f"• {sentence}" for sentence in sentences],
        [f"{more} other comparisons: report.html, table.md, comparisons.csv."] * bool(more),
        ["To go on:", *(f"  {what}: {command}" for what, command in remarks.go_on(analysis).items())],
    ]
    return "\n\n".join("\n".join(filter(None, lines)) for lines in blocks if any(lines))


def _fitting(table: Table) -> list[list[str]]:
    """The lines of the table, in parts for which the terminal is wide enough."""
    texts = zip(TEXT.heads(table), *(row for _, row in TEXT.rows(table)), strict=True)
    room = shutil.get_terminal_size((120, 24)).columns - len("|  |")
    parts = table.parts([max(map(width, column)) for column in texts], room, len(" | "))
    return [grid(table.part(columns), TEXT) for columns in parts]
