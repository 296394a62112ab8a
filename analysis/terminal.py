"""The answer of a grid on a terminal, set by rich: best cells, table, main comparisons, and how to go on.

On a terminal nothing is wider than the screen: columns that do not fit follow below, under the same labels. Output into
a pipe or a file has no escape codes, a "*" for bold, and no line is broken. The papers' numbers are in table.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

from analysis import remarks, words
from analysis.answers import Analysis
from analysis.layouts import table_of
from analysis.sheet import Form, Table, letter
from analysis.writers import caption, main_comparisons

MOST, GAP = 3, 2
"""The most comparisons that are shown, and the space between columns."""
SCREEN = Form(escape, "[bold]{}[/bold]", "\\[{}]", indent="  ")
PIPE = replace(SCREEN, bold="{}*")


def terminal_table(analysis: Analysis, console: Console | None = None) -> str:
    """The answer in short for a console, by default the process's own."""
    console = console or Console()
    console = console if console.is_terminal else Console(width=10_000, color_system=None)
    table, form = table_of(analysis, published=False), SCREEN if console.color_system else PIPE
    told, more = main_comparisons(analysis, MOST)
    legend = ["* stands for bold."] if form is PIPE and analysis.cells["bold"].any() else []
    blocks: list[Sequence[RenderableType]] = [
        [words.banner(analysis), *words.answers(analysis)],
        caption(analysis),
        *([piece] for piece in _pieces(table, form, console.width)),
        [*legend, *(f"[{letter(i)}] {note}" for i, note in enumerate(table.notes))],
        [f"• {sentence}" for sentence in told],
        [f"{more} other comparisons: report.html, table.md, comparisons.csv."],
    ]
    shown = []
    for lines in blocks:
        with console.capture() as capture:
            console.print(Group(*(Text(line) if isinstance(line, str) else line for line in lines if line)))
        shown.append("\n".join(line.rstrip() for line in capture.get().splitlines()))
    # A command is not broken into lines, so that it can be copied.
    shown.append("\n".join(["To go on:", *(f"  {what}: {way}" for what, way in remarks.go_on(analysis).items())]))
    return "\n\n".join(text for text in shown if text)


def _pieces(table: Table, form: Form, room: int) -> list[Grid]:
    """The table in pieces of at most this width, with a rule below the heads and above what is known beforehand."""
    heads = form.heads(table)
    columns = zip(heads, zip(*(texts for _, texts in form.rows(table)), strict=True), strict=True)
    widths = [max(Text.from_markup(text).cell_len for text in [*head.split(), *own]) for head, own in columns]
    pieces = []
    for kept in table.parts(widths, room, GAP):
        grid = Grid(box=box.HORIZONTALS, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0), header_style="")
        for i in kept:
            side: JustifyMethod = "left" if i < table.labels else "right"
            grid.add_column(heads[i], justify=side, width=widths[i], vertical="bottom")
        rows = list(form.rows(table.part(kept)))
        for (kind, texts), (below, _) in zip(rows, [*rows[1:], ("", [])], strict=True):
            grid.add_row(*texts, end_section=(kind, below) == ("cell", "known"))
        pieces.append(grid)
    return pieces
