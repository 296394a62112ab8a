"""The answer of a grid on a terminal: best cells, table, main comparisons, and how to go on, all as in table.md.

A "*" stands for bold, and the papers' numbers are left out.
"""

from __future__ import annotations

from analysis import remarks, words
from analysis.answers import Analysis
from analysis.layouts import table_of
from analysis.sheet import Form, letter
from analysis.writers import caption, grid, main_comparisons

MOST = 3
"""The most comparisons that are shown."""
TEXT = Form(str, "{}*", "[{}]", indent="  ")


def terminal_table(analysis: Analysis) -> str:
    """The answer in short."""
    table = table_of(analysis, published=False)
    sentences, more = main_comparisons(analysis, MOST)
    blocks = [
        [words.banner(analysis), *words.answers(analysis)],
        caption(analysis),
        grid(table, TEXT),
        ["* stands for bold."] * bool(analysis.cells["bold"].any()),
        [f"[{letter(i)}] {note}" for i, note in enumerate(table.notes)],
        [f"• {sentence}" for sentence in sentences],
        [f"{more} other comparisons: report.html, table.md, comparisons.csv."] * bool(more),
        ["To go on:", *(f"  {what}: {command}" for what, command in remarks.go_on(analysis).items())],
    ]
    return "\n\n".join("\n".join(filter(None, lines)) for lines in blocks if any(lines))
