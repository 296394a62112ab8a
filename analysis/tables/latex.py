"""A table as LaTeX (booktabs), for pdflatex."""

from __future__ import annotations

import re

from analysis.labels import latex, width
from analysis.tables.table import Column, ResultTable, TableEntry, TableRow, letter

_WIDEST = 100
"""The most characters across a table that is still legible when scaled down to a column of text."""


def latex_table(table: ResultTable) -> str:
    """A table environment that compiles as it is under \\usepackage{booktabs}.

    A table wider than the text is scaled down to it if the document also loads graphicx. If that would make it too
    small to read, its groups of columns stand below each other.
    """
    notes = [f"{_tex_mark(letter(i))} {latex(note)}" for i, note in enumerate(table.footnotes)]
    notes += [rf"\textbullet{{}} {latex(sentence)}" for sentence in table.sentences]
    lines = [
        "% \\usepackage{booktabs,graphicx}",
        "\\begin{table}[t]",
        "\\centering\\emergencystretch=3em",
        "\\providecommand{\\resizebox}[3]{#3}",
        f"\\caption{{{latex(table.full_caption)}}}",
        f"\\label{{tab:{re.sub('[^A-Za-z0-9-]+', '-', table.name)}}}",
        "\\par\\medskip\\small",
        "\n\\par\\medskip\n".join(_tabular(part) for part in _parts(table)),
        *_tex_notes(notes),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _parts(table: ResultTable) -> list[ResultTable]:
    labels = [
        max([width(column.label), *(width(row.stub[i]) for row in table.rows if row.kind == "cell")])
        for i, column in enumerate(table.stub)
    ]
    needed = sum(labels) + sum(2 + table.characters(i) for i in range(len(table.columns)))
    if needed <= _WIDEST:
        return [table]
    parts, start = [], 0
    for _, n in table.groups:
        parts.append(table.part(start, start + n))
        start += n
    return parts


def _tabular(table: ResultTable) -> str:
    n = len(table.stub) + len(table.columns)
    # Half of the space between two columns, in points; LaTeX's own is 6.
    gap = 6 if n < 6 else 5 if n < 9 else 4
    lines = [
        f"\\setlength{{\\tabcolsep}}{{{gap}pt}}",
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
        f"\\begin{{tabular}}{{@{{}}{'l' * len(table.stub)}{'r' * len(table.columns)}@{{}}}}",
        "\\toprule",
        *_tex_groups(table),
        _tex_line([latex(c.label) + _tex_mark("" if c.group else c.mark) for c in (*table.stub, *table.columns)]),
        *_tex_body(table, n),
        "\\bottomrule",
        "\\end{tabular}}",
    ]
    return "\n".join(lines)


def _tex_body(table: ResultTable, n: int) -> list[str]:
    lines, previous = [], ""
    for row in table.rows:
        if row.kind == "group" or row.kind != previous != "group":
            lines.append("\\midrule")
        previous = row.kind
        lines.append(_tex_row(row, n))
    return lines


def _tex_notes(notes: list[str]) -> list[str]:
    if not notes:
        return []
    inside = "\\par\n".join(notes)
    head = "\\begin{minipage}{\\linewidth}\\footnotesize\\raggedright"
    return ["\\par\\smallskip", f"{head}\n{inside}\n\\end{{minipage}}"]


def _tex_line(cells: list[str]) -> str:
    line = " & ".join(cells) + r" \\"
    # After the end of a line, TeX takes these characters for its arguments.
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def _tex_mark(mark: str) -> str:
    return f"$^{{\\mathrm{{{mark}}}}}$" if mark else ""


def _tex_groups(table: ResultTable) -> list[str]:
    """The spanning heads and the rules below them."""
    if not any(column.group for column in table.columns):
        return []
    cells, rules, start = [""] * len(table.stub), [], len(table.stub) + 1
    for column, n in table.groups:
        first = start - 1 - len(table.stub)
        cells.append(f"\\multicolumn{{{n}}}{{c}}{{{_tex_group(table, column, first, n)}}}")
        rules.append(f"\\cmidrule(lr){{{start}-{start + n - 1}}}")
        start += n
    return [_tex_line(cells), " ".join(rules)]


def _tex_group(table: ResultTable, column: Column, first: int, n: int) -> str:
    """A spanning head, in several lines where it is wider than its columns."""
    room = sum(table.characters(i) for i in range(first, first + n)) + 2 * (n - 1)
    lines = [latex(line) for line in column.group_lines(room)]
    lines[-1:] = [lines[-1] + _tex_mark(column.mark)] if lines else []
    inside = r"\\".join(lines)
    return f"\\begin{{tabular}}[b]{{@{{}}c@{{}}}}{inside}\\end{{tabular}}" if len(lines) > 1 else inside


def _tex_number(entry: TableEntry) -> str:
    text = latex(entry.text)
    return (rf"\textbf{{{text}}}" if entry.bold else text) + r"$^\circ$" * entry.open


def _tex_row(row: TableRow, n: int) -> str:
    if row.kind == "group":
        title = f"\\emph{{{latex(row.stub[0])}}}{_tex_mark(row.mark)}"
        return f"\\multicolumn{{{n}}}{{@{{}}l}}{{{title}}} \\\\"
    stub = [latex(text) for text in row.stub]
    stub[0] = f"\\quad {stub[0]}" if row.indented else stub[0]
    entries = [_tex_number(entry) + _tex_mark(entry.mark) for entry in row.entries]
    if row.spans and len(stub) > 1:
        stub = [f"\\multicolumn{{{len(stub)}}}{{@{{}}l}}{{{stub[0]}}}"]
    return _tex_line([*stub, *entries])
