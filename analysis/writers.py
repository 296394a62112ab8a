"""The text of the files of tables: Markdown, HTML and LaTeX of a `Table`, and CSV.

LaTeX, under \\usepackage{booktabs,threeparttable}, fits a page of the class article. A table that is too wide is set in
smaller type, then in parts with some columns each; a long one in parts of `ROWS`. Notes stand below the last part.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import get_args

import pandas as pd
from pandas.io.formats.style import Styler

from analysis import remarks, words
from analysis.answers import Analysis
from analysis.claims import Verdict
from analysis.labels import around_code, in_markdown, listed, sentence_start, width
from analysis.labels import latex as tex
from analysis.sheet import Form, Table, letter

MOST = 12
"""The most comparisons that are told beside a table; comparisons.csv has all."""
MARKS = "Bold: the best mean, and others shown to be as good; °: may be the best too, or much worse"


def _html(text: str) -> str:
    pieces = around_code(escape(text))
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))


# Figure spaces: Markdown drops plain spaces at the start of a cell.
MARKDOWN = Form(in_markdown, "**{}**", "<sup>{}</sup>", "*{}*{}", "\u2007\u2007")
HTML = Form(_html, "<strong>{}</strong>", "<sup>{}</sup>")
LATEX = Form(tex, "\\textbf{{{}}}", "\\tnote{{{}}}", "\\rlap{{\\emph{{{}}}{}}}", "\\quad ")
WIDTH, GAP, ROWS, CAPTION = 345.0, 6.0, 36, 150
"""The width of the text of article and the space between columns, in points; the most rows of a part; and the most
characters of a caption, two lines: a longer question is cut there."""
SIZES = {"footnotesize": 4.2, "scriptsize": 3.9}
"""Size of type → the width of a character, in points."""


def caption(analysis: Analysis) -> list[str]:
    """Two lines: what the numbers are, and what the marks mean."""
    rows = listed(analysis.meta.row_labels)
    within = f", among cells of the same {rows}" if rows else ""
    return [f"Data: {words.setting(analysis)}", *([f"{MARKS}{within}."] if analysis.cells["bold"].any() else [])]


def main_comparisons(analysis: Analysis, most: int = MOST, seed_seconds: float = 0.0) -> tuple[list[str], int]:
    """The most important comparisons of each metric in turn, declared ones first, then by verdict and size, each as a
    sentence; and the number of the others."""
    pairs, metrics = analysis.comparisons.query("kind == 'comparison'"), [m.name for m in analysis.deciding]
    shown = pairs[pairs["metric"].isin(metrics) & ((pairs["difference"] != 0) | (pairs["half_width"] != 0))]
    order = shown.assign(
        later=~shown["primary"].astype(bool),
        rank=shown["verdict"].map(get_args(Verdict).index),
        size=-shown["difference"].abs(),
        place=shown["metric"].map(metrics.index),
    ).sort_values(["later", "rank", "size"], kind="stable")
    turns = order.assign(turn=order.groupby("metric").cumcount()).sort_values(["turn", "place"]).head(most)
    sentences = [words.comparison_sentence(analysis, row, seed_seconds) for row in turns.to_dict("records")]
    return sentences, len(pairs) - len(turns)


def markdown(analysis: Analysis, table: Table) -> str:
    """Question, answers, table, caption, footnotes, the main comparisons, and papers' claims in short rows."""
    sentences, more = main_comparisons(analysis)
    sentences += [f"{more} other comparisons in comparisons.csv and report.html."] if more else []
    claims = [["Outcome", "A paper's claim", "Source", "Here"]]
    for row in analysis.comparisons.query("kind == 'claim'").to_dict("records"):
        claim = analysis.meta.expects[row["claim"]]
        claims.append(
            [sentence_start(row["outcome"]), claim.claim, claim.source, words.claimed_difference(analysis, row)]
        )
    parts = [
        [in_markdown(" ".join(text for text in (words.banner(analysis), analysis.meta.question) if text))],
        [f"- {in_markdown(text)}" for text in words.answers(analysis)],
        grid(table, MARKDOWN),
        ["<br>\n".join(map(in_markdown, caption(analysis)))],
        [f"<sup>{letter(i)}</sup> {in_markdown(note)}<br>" for i, note in enumerate(table.notes)],
        [in_markdown(" ".join([*remarks.of_table(analysis), remarks.provenance(analysis)]))],
        [f"- {in_markdown(text)}" for text in sentences],
        _set_out([[in_markdown(text) for text in row] for row in claims], 4) if len(claims) > 1 else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if any(part)) + "\n"


def grid(table: Table, form: Form) -> list[str]:
    """The lines of a table, in the marks of a form."""
    return _set_out([form.heads(table), *(texts for _, texts in form.rows(table))], table.labels)


def _set_out(lines: Sequence[Sequence[str]], labels: int) -> list[str]:
    """A Markdown table, its first columns to the left and the others to the right."""
    columns = []
    for i, column in enumerate(zip(*lines, strict=True)):
        room = max(3, *map(width, column))
        gaps = [" " * (room - width(text)) for text in column]
        set_out = [text + gap if i < labels else gap + text for text, gap in zip(column, gaps, strict=True)]
        columns.append([set_out[0], "-" * room if i < labels else "-" * (room - 1) + ":", *set_out[1:]])
    return [f"| {' | '.join(row)} |" for row in zip(*columns, strict=True)]


def styled(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> Styler:
    """The Styler of a table as a DataFrame of written fields; a head is its group, "" for none, and its label."""
    grouped = any(group for group, _ in heads)
    columns = pd.MultiIndex.from_tuples(heads) if grouped else pd.Index([label for _, label in heads])
    return pd.DataFrame(rows, columns=columns).style.hide(axis="index")


def html(table: Table) -> str:
    """The table as <table class="results"> and its footnotes as a list. Titles become a first column, so that rows can
    be sorted. The classes of fields are `label` or `number`, and `known` where the value was known beforehand."""
    flat = table.flat()
    heads = [(_html(head.group), _html(head.label) + HTML.letters(head.mark)) for head in flat.heads]
    shown = styled(heads, [[*map(HTML.entry, line.entries)] for line in flat.lines])
    fields = ["label"] * flat.labels + ["number"] * (len(flat.heads) - flat.labels)
    rows = [[f"{name} known" if line.known else name for name in fields] for line in flat.lines]
    classes = pd.DataFrame(rows, index=shown.index, columns=shown.columns)
    page = shown.set_td_classes(classes).to_html(table_uuid="table", table_attributes='class="results"', cell_ids=False)
    notes = "".join(f"<li>{_html(note)}</li>\n" for note in table.notes)
    return page + (f'<ol class="footnotes" type="a">\n{notes}</ol>\n' if notes else "")


def latex(analysis: Analysis, table: Table) -> str:
    """The environments of a table, each of which fits a page."""
    meta, widths = analysis.meta, [_width(table, i) for i in range(len(table.heads))]
    texts = [*caption(analysis), *remarks.of_table(analysis), remarks.provenance(analysis)]
    notes = [("", " ".join(texts)), *((letter(i), note) for i, note in enumerate(table.notes))]
    for size in SIZES:
        columns = table.parts(widths, WIDTH / SIZES[size], GAP / SIZES[size])
        if len(columns) == 1:
            break
    parts = []
    for part in map(table.part, columns):
        n = -(-len(part.lines) // -(-len(part.lines) // ROWS))
        parts += [replace(part, lines=part.lines[i : i + n]) for i in range(0, len(part.lines), n)]
    question = textwrap.shorten(meta.question, CAPTION, placeholder=" …")
    captions = [f"\\caption{{{tex(question)}}}\\label{{tab:{re.sub('[^A-Za-z0-9-]+', '-', meta.name)}}}"]
    captions += ["\\addtocounter{table}{-1}\\caption{Continued.}"] * (len(parts) - 1)
    below = [*[[]] * (len(parts) - 1), notes]
    written = [_environment(part, size, head, of) for part, head, of in zip(parts, captions, below, strict=True)]
    return "\n".join(["% \\usepackage{booktabs,threeparttable}", *written])


def _width(table: Table, i: int) -> int:
    """The characters of a column. The label of a known value may reach over further columns of labels."""
    entries = [line.entries[i] for line in table.lines if i or table.labels == 1 or not line.known]
    indent = 2 * (i == 0 and any(line.title.text for line in table.lines))
    texts = [entry.text + entry.mark for entry in entries]
    return max(width(text) for text in texts + _broken(table.heads[i].label) + _broken(table.heads[i].group)) + indent


def _broken(text: str) -> list[str]:
    """A head in short lines."""
    return textwrap.wrap(text, 13, break_long_words=False, break_on_hyphens=False) or [""]


def _stacked(text: str, side: str) -> str:
    lines = [tex(line) for line in _broken(text)]
    return f"\\shortstack[{side}]{{" + "\\\\".join(lines) + "}" if len(lines) > 1 else lines[0]


def _environment(table: Table, size: str, head: str, notes: Sequence[tuple[str, str]]) -> str:
    """A table environment that is as wide as the text; `head` is its caption in LaTeX."""
    heads, rows, above = [], [], "title"
    for i, of in enumerate(table.heads):
        mark = LATEX.letters(of.mark)
        label = _stacked(of.label, "l" if i < table.labels else "r")
        heads.append((_stacked(of.group, "r") + mark, label) if of.group else ("", label + mark))
    for kind, texts in LATEX.rows(table):
        rule = "\\midrule\n" if "cell" != kind != above != "title" else ""
        rows.append([f"{rule}{{}}{texts[0]}", *texts[1:]])
        above = kind
    form = f"@{{\\extracolsep{{\\fill}}}}{'l' * table.labels}{'r' * (len(heads) - table.labels)}@{{}}"
    body = styled(heads, rows).to_latex(hrules=True, column_format=form, multicol_align="c")
    body = body.replace("{tabular}", "{tabular*}").replace("{tabular*}", "{tabular*}{\\linewidth}", 1)
    items = [f"\\item[{mark}] {tex(text)}" if mark else f"\\item {tex(text)}" for mark, text in notes]
    below = ["\\begin{tablenotes}[flushleft]\\scriptsize\\raggedright", *items, "\\end{tablenotes}"] if items else []
    start = f"\\begin{{table}}[tp]\n\\centering\n{head}\\par\\medskip\n\\begin{{threeparttable}}"
    start += f"\n\\{size}\\setlength{{\\tabcolsep}}{{{GAP / 2:g}pt}}"
    return "\n".join([start, body.rstrip(), *below, "\\end{threeparttable}\n\\end{table}\n"])


def table_csv(table: Table) -> str:
    """The table as it is shown, its titles in a first column."""
    flat = table.flat()
    heads = [f"{head.group}: {head.label}" if head.group else head.label for head in flat.heads]
    return csv(pd.DataFrame([[entry.text for entry in line.entries] for line in flat.lines], columns=heads))


def csv(frame: pd.DataFrame) -> str:
    """A frame as CSV, numbers by seven digits."""
    return str(frame.to_csv(index=False, float_format="%.7g", lineterminator="\n"))
