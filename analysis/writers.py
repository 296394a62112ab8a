"""A table as Markdown or LaTeX (booktabs); a grid as tidy CSV."""

from __future__ import annotations

import csv
import io
import math
import re

from analysis.cells import noted, shortfall
from analysis.notation import latex, width
from analysis.published import ddpm
from analysis.runs import Grid
from analysis.summary import Summary, metrics_present, references
from analysis.table import Entry, Row, Table, letter

_INDENT = "\u2007"
"""A figure space: Markdown drops plain spaces at the start of a cell."""


def markdown(table: Table) -> str:
    """Caption, table with aligned columns, footnotes."""
    head = [_md(column.label) + _superscript(column.mark) for column in table.stub]
    head += [_md(f"{c.group}: {c.label}" if c.group else c.label) + _superscript(c.mark) for c in table.columns]
    lines = [head, *(_md_row(row, len(head)) for row in table.rows)]
    widths = [max(width(line[i]) for line in lines) for i in range(len(head))]
    stub = len(table.stub)
    rule = ["-" * w if i < stub else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    body = [_join(line, widths, stub) for line in lines]
    body.insert(1, "| " + " | ".join(rule) + " |")
    notes = [f"<sup>{letter(i)}</sup> {_md(note)}<br>" for i, note in enumerate(table.footnotes)]
    return "\n".join([_md(table.caption), "", *body, *([""] if notes else []), *notes]) + "\n"


def _join(line: list[str], widths: list[int], stub: int) -> str:
    cells = [
        text + " " * (w - width(text)) if i < stub else " " * (w - width(text)) + text
        for i, (text, w) in enumerate(zip(line, widths, strict=True))
    ]
    return "| " + " | ".join(cells) + " |"


def _md_row(row: Row, n: int) -> list[str]:
    if row.kind == "group":
        return [f"*{_md(row.stub[0])}*", *[""] * (n - 1)]
    indent = _INDENT * 2 if row.indented else ""
    stub = [f"*{_md(text)}*" if row.kind == "reference" and text else _md(text) for text in row.stub]
    return [indent + stub[0], *stub[1:], *(_md_entry(entry) for entry in row.entries)]


def _md_entry(entry: Entry) -> str:
    text = _md(entry.text)
    return (f"**{text}**" if entry.bold else text) + _superscript(entry.mark)


def _superscript(mark: str) -> str:
    return f"<sup>{mark}</sup>" if mark else ""


def _md(text: str) -> str:
    """Escaped outside of `code`."""
    pieces = text.split("`")
    return "`".join(p if i % 2 else re.sub(r"([\\|*<\[\]]|\b_|_\b)", r"\\\1", p) for i, p in enumerate(pieces))


def latex_table(table: Table) -> str:
    """A table environment that compiles as it is under \\usepackage{booktabs}."""
    n = len(table.stub) + len(table.columns)
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table}[t]",
        "\\centering",
        f"\\caption{{{latex(table.caption)}}}",
        f"\\label{{tab:{re.sub('[^A-Za-z0-9-]+', '-', table.name)}}}",
        "\\par\\medskip\\small",
        f"\\begin{{tabular}}{{@{{}}{'l' * len(table.stub)}{'r' * len(table.columns)}@{{}}}}",
        "\\toprule",
        *_tex_groups(table),
        _tex_line([latex(c.label) + _tex_mark("" if c.group else c.mark) for c in (*table.stub, *table.columns)]),
    ]
    previous = ""
    for row in table.rows:
        if row.kind == "group" or row.kind != previous != "group":
            lines.append("\\midrule")
        previous = row.kind
        lines.append(_tex_row(row, n))
    notes = [f"{_tex_mark(letter(i))} {latex(note)}" for i, note in enumerate(table.footnotes)]
    lines += ["\\bottomrule", "\\end{tabular}"]
    if notes:
        inside = "\\\\\n".join(notes)
        lines += ["\\par\\smallskip", f"\\begin{{minipage}}{{\\linewidth}}\\footnotesize\n{inside}\n\\end{{minipage}}"]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def _tex_line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _tex_mark(mark: str) -> str:
    return f"$^{{\\mathrm{{{mark}}}}}$" if mark else ""


def _tex_groups(table: Table) -> list[str]:
    """The spanning heads and the rules below them."""
    if not any(column.group for column in table.columns):
        return []
    cells, rules, start = [""] * len(table.stub), [], len(table.stub) + 1
    for column, n in table.groups:
        cells.append(f"\\multicolumn{{{n}}}{{c}}{{{latex(column.group)}{_tex_mark(column.mark)}}}")
        rules.append(f"\\cmidrule(lr){{{start}-{start + n - 1}}}")
        start += n
    return [_tex_line(cells), " ".join(rules)]


def _tex_row(row: Row, n: int) -> str:
    if row.kind == "group":
        return f"\\multicolumn{{{n}}}{{@{{}}l}}{{\\emph{{{latex(row.stub[0])}}}}} \\\\"
    stub = [latex(text) for text in row.stub]
    stub[0] = f"\\quad {stub[0]}" if row.indented else stub[0]
    entries = [(rf"\textbf{{{latex(e.text)}}}" if e.bold else latex(e.text)) + _tex_mark(e.mark) for e in row.entries]
    return _tex_line([*stub, *entries])


def tidy_csv(grid: Grid) -> str:
    """A row per cell (levels, seeds, shortfall and notes; mean, half-width, n, whether bold) and per known value."""
    summary = Summary.of(grid, metrics_present(grid))
    beside = grid.meta.layout == "ddpm_table_2"
    parts = ("mean", "half_width", "n", "bold")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["row", *(axis.name for axis in grid.meta.axes), "seeds", "note"]
    head += [f"{metric.name} {part}" for metric in summary.metrics for part in parts]
    writer.writerow(head + ([f"published {kind}" for kind in ddpm("", "", "")] if beside else []))
    for i, cell in enumerate(summary.cells):
        note = "; ".join(text for text in (shortfall([cell]), *noted([cell])[0]) if text)
        row: list[object] = ["cell", *cell.levels, len(cell.runs), note]
        for metric in summary.metrics:
            found = summary.estimates[metric.name][i]
            bold = int(i in summary.leading[metric.name])
            row += [_digits(found.mean), _digits(found.half_width), len(found.values), bold]
        writer.writerow(row + (list(cell.published().values()) if beside else []))
    for label, values in references(grid, summary.metrics).items():
        numbers = [(_digits(values.get(metric.name, math.nan)), "", "", "") for metric in summary.metrics]
        row = ["reference", *[""] * len(grid.meta.axes), "", label, *(part for four in numbers for part in four)]
        writer.writerow(row + [""] * (3 if beside else 0))
    return text.getvalue()


def _digits(value: float) -> str:
    """Six digits: enough to compute with."""
    return "" if math.isnan(value) else f"{value:.6g}"
