"""A table on a terminal, set by rich: bold where that can be shown, elsewhere a "*" behind the number.

On a terminal nothing is wider than it: columns that do not fit follow below, under the same labels. What goes into a
pipe or a file has no escape codes and all columns side by side, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.cells import cell_len
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from analysis.tables.table import ResultTable, TableEntry, TableRow, letter

PAGE = 120
"""The width of running text where there is no terminal to fill."""
_GAP = 2


def terminal_text(table: ResultTable, console: Console | None = None) -> str:
    """Caption, table, footnotes and verdict as this console shows them, the process's own by default."""
    console = console or Console()
    starred = console.color_system is None
    pieces = _pieces(table, starred, console.width) if console.is_terminal else [Piece(table, starred)]
    bold = any(entry.bold for row in table.rows for entry in row.entries)
    notes = [_hanging(f"[{letter(i)}]", note) for i, note in enumerate(table.footnotes)]
    blocks = [
        paragraphs([table.caption], console),
        _shown((line for piece in pieces for line in piece.lines()), console, max(piece.width for piece in pieces)),
        _shown([*([Text("* stands for bold")] if starred and bold else []), *notes], console),
        _shown([_hanging("•", sentence) for sentence in table.verdict], console),
    ]
    return "\n\n".join(block for block in blocks if block)


def paragraphs(texts: Iterable[str], console: Console | None = None) -> str:
    """Running text as this console shows it, the process's own by default."""
    return _shown(map(Text, texts), console or Console())


def _shown(lines: Iterable[RenderableType], console: Console, least: int = 0) -> str:
    """What a terminal of its width shows; of a pipe, what one of PAGE shows, or of `least` where that is more."""
    console = console if console.is_terminal else Console(width=max(PAGE, least), color_system=None)
    with console.capture() as capture:
        for line in lines:
            console.print(line)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _hanging(mark: str, text: str) -> Grid:
    """A text that is indented by its mark."""
    grid = Grid.grid(padding=(0, 1))
    grid.add_row(Text(mark), Text(text))
    return grid


@dataclass(frozen=True, eq=False)
class Piece:
    """Some of a table's columns beside all of its labels; `starred` where bold cannot be shown."""

    table: ResultTable
    starred: bool

    @cached_property
    def heads(self) -> list[str]:
        """What stands above each column."""
        columns = (*self.table.stub, *self.table.columns)
        return [_marked(column.label, "" if column.group else column.mark) for column in columns]

    @cached_property
    def groups(self) -> list[tuple[str, int, int]]:
        """The heads that span columns of numbers, with the first column and the one after the last."""
        ends = [sum(n for _, n in self.table.groups[: i + 1]) for i in range(len(self.table.groups))]
        heads = [_marked(column.group, column.mark if column.group else "") for column, _ in self.table.groups]
        return list(zip(heads, [0, *ends], ends, strict=False))

    @cached_property
    def stub(self) -> list[int]:
        """The widths of the labels; the last makes up for a label across all of them that is wider."""
        k = len(self.table.stub)
        rows = [self.heads[:k], *(_labels(row) for row in self.table.rows if row.kind != "group")]
        widths = [max(map(cell_len, texts)) for texts in zip(*(row for row in rows if len(row) == k), strict=True)]
        widths[-1] += max([0, *(cell_len(row[0]) - _total(widths) for row in rows if len(row) < k)])
        return widths

    @cached_property
    def numbers(self) -> list[int]:
        """The widths of the numbers; the first of a group makes up for a word of its head that is wider than all."""
        rows = [[self._number(entry).cell_len for entry in row.entries] for row in self.table.rows if row.entries]
        heads = [cell_len(head) for head in self.heads[len(self.table.stub) :]]
        widths = [max(column) for column in zip(heads, *rows, strict=True)]
        for head, start, end in self.groups:
            widths[start] += max([0, *(cell_len(word) - _total(widths[start:end]) for word in head.split())])
        return widths

    @property
    def width(self) -> int:
        """All columns side by side."""
        return _total([*self.stub, *self.numbers])

    def lines(self) -> Iterator[RenderableType]:
        """Heads, rows under their titles, known values below a rule."""
        rule = Text("─" * self.width)
        spans = [_total(self.numbers[start:end]) for _, start, end in self.groups]
        if any(head for head, *_ in self.groups):
            heads = [head for head, *_ in self.groups]
            rules = ["─" * width if head else "" for head, width in zip(heads, spans, strict=True)]
            for texts in (heads, rules):
                yield _line([""], texts, [_total(self.stub)], spans, "center")
        k = len(self.table.stub)
        yield from (_line(self.heads[:k], self.heads[k:], self.stub, self.numbers), rule)
        for above, row in zip((None, *self.table.rows), self.table.rows, strict=False):
            if row.kind == "reference" and above is not None and above.kind == "cell":
                yield rule
            yield Text(_marked(row.stub[0], row.mark)) if row.kind == "group" else self._row(row)
        yield rule

    def _row(self, row: TableRow) -> Grid:
        labels = _labels(row)
        widths = self.stub if len(labels) == len(self.stub) else [_total(self.stub)]
        return _line(labels, [self._number(entry) for entry in row.entries], widths, self.numbers)

    def _number(self, entry: TableEntry) -> Text:
        star = "*" if entry.bold and self.starred else ""
        return Text.assemble((entry.text, "bold" if entry.bold else ""), _marked(star, entry.mark))


def _marked(text: str, mark: str) -> str:
    return f"{text}[{mark}]" if mark else text


def _labels(row: TableRow) -> list[str]:
    """A row's labels, one where it stands for all."""
    first = " " * _GAP * row.indented + row.stub[0]
    return [first] if row.spans else [first, *row.stub[1:]]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _line(
    labels: Sequence[str],
    numbers: Sequence[str | Text],
    stub: Sequence[int],
    widths: Sequence[int],
    justify: JustifyMethod = "right",
) -> Grid:
    """Labels and numbers in columns of these widths."""
    grid = Grid.grid(padding=(0, _GAP, 0, 0))
    for width in stub:
        grid.add_column(width=width)
    for width in widths:
        grid.add_column(width=width, justify=justify, vertical="bottom")
    grid.add_row(*map(Text, labels), *(Text(text) if isinstance(text, str) else text for text in numbers))
    return grid


def _pieces(table: ResultTable, starred: bool, room: int) -> list[Piece]:
    """The table in pieces of at most this width, each with at least one column of numbers."""
    pieces, start = [], 0
    while start < len(table.columns):
        end = start + 1
        while end < len(table.columns) and Piece(table.part(start, end + 1), starred).width <= room:
            end += 1
        pieces.append(Piece(table.part(start, end), starred))
        start = end
    return pieces
