"""A table before anyone writes it: columns, rows, footnotes and a caption, all plain Unicode text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from analysis.labels import width
from analysis.words.rows import RowTable

OPEN = "°"
"""The sign after the number of a cell that may be the best, but is not known to be as good."""


@dataclass(frozen=True)
class Column:
    """A column's head and the group above it. `mark` is the footnote of the group, or of the head without one."""

    label: str
    group: str = ""
    mark: str = ""

    def group_lines(self, room: int) -> list[str]:
        """The group's head in lines of at most `room` characters, or of its longest word."""
        longest = max((len(word) for word in self.group.split()), default=0)
        return textwrap.wrap(self.group, max(room, longest), break_on_hyphens=False)


@dataclass(frozen=True)
class TableEntry:
    """A number as text: `bold` for the best cell and those as good, `open` for others that may be the best. On a page,
    its `seeds` appear on hovering."""

    text: str
    bold: bool = False
    mark: str = ""
    open: bool = False
    seeds: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row: `stub` are its labels. A group row holds its title and footnote only; its rows are indented."""

    kind: Literal["group", "cell", "reference"]
    stub: tuple[str, ...]
    entries: tuple[TableEntry, ...] = ()
    indented: bool = False
    mark: str = ""

    @property
    def spans(self) -> bool:
        """True where the row's one label stands for all the columns of labels."""
        return self.kind == "reference" and not any(self.stub[1:])


@dataclass(frozen=True)
class ResultTable:
    """A table of results: `stub` are its columns of labels, `columns` those of numbers.

    `footnotes` are marked a, b, c … in this order. The `question`, the `answered` sentences and the best `by_row` stand
    above the table if there is room, the caption and the `verdict` below. `untold` counts further comparisons.
    """

    name: str
    caption: str
    stub: tuple[Column, ...]
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    footnotes: tuple[str, ...]
    verdict: tuple[str, ...] = ()
    question: str = ""
    answered: tuple[str, ...] = ()
    by_row: tuple[RowTable, ...] = ()
    untold: int = 0

    @property
    def full_caption(self) -> str:
        """The question followed by the caption, for places where both stand together."""
        return " ".join(text for text in (self.question, self.caption) if text)

    @property
    def sentences(self) -> tuple[str, ...]:
        """All findings, as sentences."""
        return *self.answered, *(sentence for rows in self.by_row for sentence in rows.sentences), *self.verdict

    @property
    def groups(self) -> list[tuple[Column, int]]:
        """The groups of neighbouring columns, each with its first column and their number."""
        groups: list[tuple[Column, int]] = []
        for column in self.columns:
            if groups and groups[-1][0].group == column.group:
                groups[-1] = (groups[-1][0], groups[-1][1] + 1)
            else:
                groups.append((column, 1))
        return groups

    def part(self, start: int, end: int) -> ResultTable:
        """The table with some of its columns, without known values that have none there, and without empty titles."""
        rows = [replace(row, entries=row.entries[start:end]) for row in self.rows]
        kept = [row for row in rows if row.kind != "reference" or any(entry.text for entry in row.entries)]
        below = [*kept[1:], None]
        titled = [row for row, after in zip(kept, below, strict=True) if row.kind != "group" or _under(after)]
        return replace(self, columns=self.columns[start:end], rows=tuple(titled))

    def characters(self, i: int) -> int:
        """The width of column i, without marks."""
        return max(
            width(text) for text in (self.columns[i].label, *(r.entries[i].text for r in self.rows if r.entries))
        )


def _under(row: TableRow | None) -> bool:
    """True where a row stands under a title."""
    return row is not None and row.kind != "group" and row.indented


@dataclass
class Footnotes:
    """The footnotes with their letters; the same text gets the same letter."""

    _texts: list[str] = field(default_factory=list)

    @property
    def texts(self) -> tuple[str, ...]:
        """The footnotes in the order of their letters."""
        return tuple(self._texts)

    def marks(self, texts: Iterable[str]) -> str:
        """The letters of these texts in their order, "a,c"; "" for none."""
        footnotes = list(texts)
        self._texts += [text for text in dict.fromkeys(footnotes) if text not in self._texts]
        return ",".join(letter(i) for i in sorted({self._texts.index(text) for text in footnotes}))


def letter(i: int) -> str:
    """The letter of footnote i: a … z, aa, ab …"""
    return (letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)
