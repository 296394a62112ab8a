"""A table as Markdown, and as HTML that any page can take in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from analysis.labels import around_code, counted, width
from analysis.plain import in_markdown
from analysis.tables.table import OPEN, Column, ResultTable, TableEntry, TableRow, letter
from analysis.words.rows import RowTable

_INDENT = "\u2007"
"""A figure space: Markdown drops plain spaces at the start of a cell."""


def markdown(table: ResultTable) -> str:
    """A table as Markdown: the question, its answer, aligned columns, caption, footnotes, what else was found."""
    head = [in_markdown(column.label) + _superscript(column.mark) for column in table.stub]
    head += [in_markdown(_md_head(table, i)) + _superscript(column.mark) for i, column in enumerate(table.columns)]
    lines = [head, *(_md_row(row, len(head)) for row in table.rows)]
    widths = [max(width(line[i]) for line in lines) for i in range(len(head))]
    stub = len(table.stub)
    rule = ["-" * w if i < stub else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    body = [_join(line, widths, stub) for line in lines]
    body.insert(1, "| " + " | ".join(rule) + " |")
    notes = [f"<sup>{letter(i)}</sup> {in_markdown(note)}<br>" for i, note in enumerate(table.footnotes)]
    rows = [part for of_metric in table.by_row for part in ([in_markdown(of_metric.caption)], _md_rows(of_metric))]
    untold = f"{counted(table.untold, 'other comparison')} in report.html and answers.json."
    below = [*table.verdict, *([untold] if table.untold else [])]
    parts = [
        [in_markdown(table.question)],
        _md_list(table.answered),
        *rows,
        body,
        [in_markdown(table.caption)],
        notes,
        _md_list(below),
    ]
    return "\n\n".join("\n".join(part) for part in parts if any(part)) + "\n"


def _md_list(sentences: Sequence[str]) -> list[str]:
    return [f"- {in_markdown(sentence)}" for sentence in sentences]


def _md_rows(table: RowTable) -> list[str]:
    lines = [[in_markdown(text) for text in line] for line in (table.head, *table.lines)]
    return [f"| {' | '.join(line)} |" for line in (lines[0], ["---"] * len(table.head), *lines[1:])]


def _md_head(table: ResultTable, i: int) -> str:
    """The label after its group's name; a group that heads all columns is named once."""
    column = table.columns[i]
    return f"{column.group}: {column.label}" if column.group and (i == 0 or len(table.groups) > 1) else column.label


def _join(line: list[str], widths: list[int], stub: int) -> str:
    cells = [
        text + " " * (w - width(text)) if i < stub else " " * (w - width(text)) + text
        for i, (text, w) in enumerate(zip(line, widths, strict=True))
    ]
    return "| " + " | ".join(cells) + " |"


def _md_row(row: TableRow, n: int) -> list[str]:
    if row.kind == "group":
        return [f"*{in_markdown(row.stub[0])}*{_superscript(row.mark)}", *[""] * (n - 1)]
    indent = _INDENT * 2 if row.indented else ""
    stub = [f"*{in_markdown(text)}*" if row.kind == "reference" and text else in_markdown(text) for text in row.stub]
    return [indent + stub[0], *stub[1:], *(_md_entry(entry) for entry in row.entries)]


def _md_entry(entry: TableEntry) -> str:
    text = in_markdown(entry.text)
    return (f"**{text}**" if entry.bold else text) + OPEN * entry.open + _superscript(entry.mark)


def _superscript(mark: str) -> str:
    return f"<sup>{mark}</sup>" if mark else ""


def html_table(table: ResultTable) -> str:
    """A <table> with scopes and a body per group of rows, and its footnotes as a list that the marks link to.

    Classes: `results` (the table), `group`, `cell`, `reference` (rows), `indented` (row heads), `footnotes`, `verdict`.
    Ids begin with the table's name.
    """
    lines = ['<table class="results">', "<thead>", *_html_heads(table), "</thead>"]
    for rows in _bodies(table):
        lines += ["<tbody>", *(_html_row(table, row) for row in rows), "</tbody>"]
    lines.append("</table>")
    if table.footnotes:
        notes = [f'<li id="{_note_id(table, letter(i))}">{_html(note)}</li>' for i, note in enumerate(table.footnotes)]
        lines += ['<ol class="footnotes" type="a">', *notes, "</ol>"]
    if table.sentences:
        lines += ['<ul class="verdict">', *(f"<li>{_html(sentence)}</li>" for sentence in table.sentences), "</ul>"]
    return "\n".join(lines) + "\n"


def _bodies(table: ResultTable) -> Iterator[list[TableRow]]:
    """The groups of rows, each under its title; known values form groups of their own."""
    rows: list[TableRow] = []
    for row in table.rows:
        apart = row.kind == "group" or (row.kind == "reference" and not row.indented and rows[-1:] != [])
        if apart and rows and not (row.kind == rows[-1].kind == "reference"):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _html_heads(table: ResultTable) -> list[str]:
    """One line of heads, or two where columns are grouped: the labels' heads span both."""
    grouped = any(column.group for column in table.columns)
    span = ' rowspan="2"' if grouped else ""
    stub = [f'<th scope="col"{span}>{_html_head(table, column)}</th>' for column in table.stub]
    labels = [f'<th scope="col" class="number">{_html_head(table, column)}</th>' for column in table.columns]
    if not grouped:
        return ["<tr>", *stub, *labels, "</tr>"]
    groups = [
        f'<th scope="colgroup" colspan="{n}">{_html(column.group)}{_html_mark(table, column.mark)}</th>'
        if column.group
        else f'<td colspan="{n}"></td>'
        for column, n in table.groups
    ]
    return ["<tr>", *stub, *groups, "</tr>", "<tr>", *labels, "</tr>"]


def _html_head(table: ResultTable, column: Column) -> str:
    return _html(column.label) + _html_mark(table, "" if column.group else column.mark)


def _html_row(table: ResultTable, row: TableRow) -> str:
    if row.kind == "group":
        n = len(table.stub) + len(table.columns)
        title = _html(row.stub[0]) + _html_mark(table, row.mark)
        return f'<tr class="group"><th scope="rowgroup" colspan="{n}">{title}</th></tr>'
    first = ' class="indented"' if row.indented else ""
    first += f' colspan="{len(row.stub)}"' if row.spans and len(row.stub) > 1 else ""
    stub = row.stub[:1] if row.spans else row.stub
    # No line breaks between a symbol and its value.
    named = [_html(text).replace(" = ", "\u00a0=\u00a0") for text in stub]
    heads = [f'<th scope="row"{first if i == 0 else ""}>{text}</th>' for i, text in enumerate(named)]
    titles = [f' title="{escape(entry.seeds)}"' if entry.seeds else "" for entry in row.entries]
    cells = [f"<td{title}>{_html_entry(table, entry)}</td>" for title, entry in zip(titles, row.entries, strict=True)]
    return f'<tr class="{row.kind}">{"".join(heads + cells)}</tr>'


def _html_entry(table: ResultTable, entry: TableEntry) -> str:
    text = _html(entry.text)
    return (f"<strong>{text}</strong>" if entry.bold else text) + OPEN * entry.open + _html_mark(table, entry.mark)


def _html_mark(table: ResultTable, mark: str) -> str:
    links = [f'<a href="#{_note_id(table, letter_of)}">{letter_of}</a>' for letter_of in mark.split(",") if letter_of]
    return f"<sup>{','.join(links)}</sup>" if links else ""


def _note_id(table: ResultTable, mark: str) -> str:
    return f"{re.sub('[^A-Za-z0-9-]+', '-', table.name)}-note-{mark}"


def _html(text: str) -> str:
    """Text escaped for HTML, its `code` in <code>."""
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(around_code(escape(text))))
