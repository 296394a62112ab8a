"""A table on a terminal, set by rich: bold where that can be shown, elsewhere a "*" behind the number.

On a terminal nothing is wider than the screen: columns that do not fit follow below, under the same labels. Output into
a pipe or a file has no escape codes, and has all columns side by side, however many they are.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence, Set

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.tables.table import OPEN, ResultTable, TableEntry, TableRow, letter

PAGE = 120
"""The width of running text where there is no terminal to fill."""
_GAP = 2
_LEAST = 24
"""The least width of the first labels, that of a known value's label."""
_WIDEST = 10_000
"""A width above that of any table."""


def terminal_text(table: ResultTable, console: Console | None = None) -> str:
    """Caption, table, footnotes and verdict as this console shows them, the process's own by default."""
    console = console or Console()
    starred = console.color_system is None
    pieces = _pieces(table, starred, console.width) if console.is_terminal else [_set(table, starred)]
    bold = any(entry.bold for row in table.rows for entry in row.entries)
    notes = [_hanging(f"[{letter(i)}]", note) for i, note in enumerate(table.footnotes)]
    blocks = [
        paragraphs([table.full_caption], console),
        *(_shown([piece], console, _width(piece)) for piece in pieces),
        _shown([*([Text("* stands for bold")] if starred and bold else []), *notes], console),
        _shown([_hanging("•", sentence) for sentence in table.sentences], console),
    ]
    return "\n\n".join(block for block in blocks if block)


def paragraphs(texts: Iterable[str], console: Console | None = None) -> str:
    """Running text as this console shows it, the process's own by default."""
    return _shown(map(Text, texts), console or Console())


def _shown(lines: Iterable[RenderableType], console: Console, least: int = 0) -> str:
    """The text as the console shows it; in a pipe, as one of width PAGE, or of `least` if that is more, would."""
    console = console if console.is_terminal else Console(width=max(PAGE, least), color_system=None)
    with console.capture() as capture:
        for line in lines:
            console.print(line)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _hanging(mark: str, text: str) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text(mark), Text(text))
    return grid


def _pieces(table: ResultTable, starred: bool, room: int) -> list[Table]:
    """The table in pieces of at most this width, each with all labels and at least one column of numbers."""
    pieces, start = [], 0
    while start < len(table.columns):
        end = start + 1
        while end < len(table.columns) and _width(_set(table.part(start, end + 1), starred)) <= room:
            end += 1
        pieces.append(_set(table.part(start, end), starred))
        start = end
    return pieces


def _width(piece: Table) -> int:
    return Console(width=_WIDEST).measure(piece).maximum


def _set(table: ResultTable, starred: bool) -> Table:
    """The labels and each group of columns, under its head, side by side."""
    k = len(table.stub)
    heads = [_marked(c.label, "" if c.group else c.mark) for c in (*table.stub, *table.columns)]
    room = max(_LEAST, cell_len(heads[0]), *(cell_len(_label(row)) for row in table.rows if row.kind == "cell"))
    lines: list[list[Text]] = []
    rules: set[int] = set()
    for above, row in zip((None, *table.rows), table.rows, strict=False):
        if row.kind == "reference" and above is not None and above.kind == "cell":
            rules.add(len(lines) - 1)
        lines += _lines(row, room, starred)
    whole = Table.grid(padding=(0, _GAP, 0, 0))
    whole.add_column(vertical="bottom")
    parts, start = [_part(heads[:k], [line[:k] for line in lines], rules, "left")], k
    for first, n in table.groups:
        title = _marked(first.group, first.mark if first.group else "")
        columns = slice(start, start + n)
        parts.append(_part(heads[columns], [line[columns] for line in lines], rules, "right", title))
        whole.add_column(vertical="bottom")
        start += n
    whole.add_row(*parts)
    return whole


def _part(
    heads: Sequence[str], lines: Sequence[Sequence[Text]], rules: Set[int], justify: JustifyMethod, title: str = ""
) -> Table:
    """Some columns of all lines, with a rule below the heads and below these lines."""
    part = Table(
        box=box.HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        min_width=max((cell_len(word) for word in title.split()), default=0),
        title=Text(title) if title else None,
        title_style="",
        header_style="",
    )
    for i, head in enumerate(heads):
        # With a given width, rich need not measure each field, which would take longer than all else.
        wide = max([cell_len(head), *(line[i].cell_len for line in lines if len(line) > i)])
        part.add_column(Text(head), justify=justify, width=wide)
    for i, line in enumerate(lines):
        part.add_row(*line, end_section=i in rules)
    return part


def _lines(row: TableRow, room: int, starred: bool) -> list[list[Text]]:
    """The lines of a row: several for a title or a spanning label that is wider than the other labels."""
    spans = row.kind == "group" or row.spans
    *above, last = textwrap.wrap(_label(row), room) if spans else [_label(row)]
    return [[Text(text)] for text in above] + [
        [*map(Text, (last, *row.stub[1:])), *(_number(entry, starred) for entry in row.entries)]
    ]


def _label(row: TableRow) -> str:
    """The first label of a row, or its title with its footnote."""
    return _marked(row.stub[0], row.mark) if row.kind == "group" else " " * _GAP * row.indented + row.stub[0]


def _number(entry: TableEntry, starred: bool) -> Text:
    star = "*" if entry.bold and starred else ""
    sign = OPEN if entry.open else star
    return Text.assemble((entry.text, "bold" if entry.bold else ""), _marked(sign, entry.mark))


def _marked(text: str, mark: str) -> str:
    return f"{text}[{mark}]" if mark else text
