"""A table as aligned plain text. "*" stands for bold; columns that do not fit follow below, under the same labels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from analysis.notation import width
from analysis.tables.table import Column, Entry, Row, Table, letter

_GAP = "  "
_HANGING = {"[": "    ", "•": "  "}
"""How a text that begins so is indented from its second line on."""


def plain(table: Table, columns: int) -> str:
    """Caption, table, footnotes, verdict, at most so many columns wide."""
    stub = _stub_widths(table)
    room = columns - sum(stub) - len(_GAP) * (len(stub) - 1)
    blocks = [_block(part, stub, columns) for part in _parts(table, room)]
    notes = [f"[{letter(i)}] {note}" for i, note in enumerate(table.footnotes)]
    legend = ["* stands for bold"] if any(entry.bold for row in table.rows for entry in row.entries) else []
    said = [_wrap(f"• {sentence}", columns) for sentence in table.verdict]
    below = [_wrap(note, columns) for note in legend + notes]
    return "\n".join([_wrap(table.caption, columns), "", *blocks, "", *below, *([""] if said else []), *said])


def _wrap(text: str, columns: int) -> str:
    return textwrap.fill(text, columns, subsequent_indent=_HANGING.get(text[0], ""), break_on_hyphens=False)


def _bracketed(mark: str) -> str:
    return f"[{mark}]" if mark else ""


def _plain(entry: Entry) -> str:
    return entry.text + ("*" if entry.bold else "") + _bracketed(entry.mark)


def _head(column: Column) -> str:
    return column.label + _bracketed("" if column.group else column.mark)


def _group_head(column: Column, room: int) -> list[str]:
    lines = column.group_lines(room - width(_bracketed(column.mark)))
    return [*lines[:-1], *(line + _bracketed(column.mark) for line in lines[-1:])]


def _stub_text(row: Row, i: int) -> str:
    return (_GAP if row.indented and i == 0 else "") + row.stub[i]


def _stub_widths(table: Table) -> list[int]:
    """Of the label columns; the last makes up for a label across all of them that is wider."""
    rows = [row for row in table.rows if row.kind != "group"]
    own = [row for row in rows if not row.spans]
    widths = [
        max([width(_head(column)), *(width(_stub_text(row, i)) for row in own)]) for i, column in enumerate(table.stub)
    ]
    across = max((width(_stub_text(row, 0)) for row in rows if row.spans), default=0)
    widths[-1] += max(0, across - sum(widths) - len(_GAP) * (len(widths) - 1))
    return widths


def _widths(table: Table) -> list[int]:
    """Of the number columns; the first of a group makes up for a word of the head that is wider than all."""
    widths = [
        max([width(_head(column)), *(width(_plain(row.entries[i])) for row in table.rows if row.entries)])
        for i, column in enumerate(table.columns)
    ]
    at = 0
    for column, n in table.groups:
        inside = sum(widths[at : at + n]) + len(_GAP) * (n - 1)
        widths[at] += max([0, *(width(line) - inside for line in _group_head(column, inside))])
        at += n
    return widths


def _parts(table: Table, room: int) -> list[Table]:
    """The table in pieces that each take at most `room` columns beside the labels, and hold one at least."""
    parts, start = [], 0
    while start < len(table.columns):
        end = start + 1
        while end < len(table.columns) and _total(table.part(start, end + 1)) <= room:
            end += 1
        parts.append(table.part(start, end))
        start = end
    return parts


def _total(table: Table) -> int:
    return sum(len(_GAP) + needed for needed in _widths(table))


def _block(table: Table, stub: list[int], columns: int) -> str:
    widths = _widths(table)
    rule = "─" * (sum(stub) + sum(widths) + len(_GAP) * (len(stub) + len(widths) - 1))
    heads = _aligned([_head(c) for c in table.stub], [_head(c) for c in table.columns], stub, widths)
    lines = [*_group_line(table, stub, widths), heads, rule]
    previous = ""
    for row in table.rows:
        if row.kind == "reference" and previous == "cell":
            lines.append(rule)
        previous = row.kind
        title = _wrap(f"{row.stub[0]}{_bracketed(row.mark)}", columns)
        lines.append(title if row.kind == "group" else _line(row, stub, widths))
    return "\n".join([*lines, rule])


def _line(row: Row, stub: list[int], widths: list[int]) -> str:
    numbers = [_plain(entry) for entry in row.entries]
    if row.spans:
        return _aligned([_stub_text(row, 0)], numbers, [sum(stub) + len(_GAP) * (len(stub) - 1)], widths)
    return _aligned([_stub_text(row, i) for i in range(len(row.stub))], numbers, stub, widths)


def _group_line(table: Table, stub: list[int], widths: list[int]) -> list[str]:
    """The heads that span columns, each over a rule of its own width."""
    if not any(column.group for column in table.columns):
        return []
    titles, rules, at = [], [], 0
    for column, n in table.groups:
        room = sum(widths[at : at + n]) + len(_GAP) * (n - 1)
        titles.append([_centred(line, room) for line in _group_head(column, room)] or [" " * room])
        rules.append(("─" if column.group else " ") * room)
        at += n
    tall = max(len(lines) for lines in titles)
    padded = [[" " * width(lines[0])] * (tall - len(lines)) + lines for lines in titles]
    left = " " * (sum(stub) + len(_GAP) * (len(stub) - 1))
    return [_GAP.join([left, *line]).rstrip() for line in (*zip(*padded, strict=True), rules)]


def _centred(text: str, room: int) -> str:
    spare = room - width(text)
    return " " * (spare // 2) + text + " " * (spare - spare // 2)


def _aligned(labels: Sequence[str], numbers: Sequence[str], stub: list[int], widths: list[int]) -> str:
    left = [text + " " * (w - width(text)) for text, w in zip(labels, stub, strict=True)]
    right = [" " * (w - width(text)) + text for text, w in zip(numbers, widths, strict=True)]
    return _GAP.join([*left, *right]).rstrip()
