"""The text that a terminal shows of a grid: the answer, the table, three comparisons, and where the rest is.

ε · unweighted MSE is the best of 11 … ─▶ table ─▶ • x₀ · L is worse than … ─▶ … and 17 more in report.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import get_args

from rich.console import Console

from analysis.findings.answers import Answers
from analysis.findings.comparisons import CellComparison
from analysis.statistics.families import Verdict
from analysis.tables.captions import interval, setting
from analysis.tables.table import ResultTable
from analysis.tables.terminal import paragraphs, terminal_text
from analysis.words.rounds import banner
from analysis.words.verdicts import comparison_sentence

MOST = 3
"""The most comparisons that are told; the report has all."""
NOTE = 112
"""The most characters of a footnote; the report has the whole."""
_ORDER = get_args(Verdict)


def terminal_answer(answers: Answers, table: ResultTable, cut: str = "", console: Console | None = None) -> str:
    """The answer of a grid, with its table, for a console, by default the process's own. `cut` says which cells the
    table has, if it does not have all."""
    ordered = list(by_weight([answer.pairs for answer in answers.findings]))
    sentences = tuple(comparison_sentence(pair) for pair in ordered[:MOST])
    notes = tuple(note if len(note) <= NOTE else f"{note[: NOTE - 1].rpartition(' ')[0]} …" for note in table.footnotes)
    heading = banner(answers.grid)
    short = replace(table, caption=_rests_on(answers, table, cut), footnotes=notes, verdict=sentences)
    n = len(ordered) - len(sentences)
    on = f"… and {n} more, with all that was found, in report.html" if n else "All that was found is in report.html"
    blocks = [
        paragraphs([heading], console) if heading else "",
        *(paragraphs(rows.sentences, console) for rows in table.by_row),
        paragraphs(table.answered, console),
        terminal_text(replace(short, question="", answered=(), by_row=()), console),
        paragraphs([on], console),
    ]
    return "\n\n".join(block for block in blocks if block)


def by_weight(of_metrics: Sequence[Sequence[CellComparison]]) -> Iterator[CellComparison]:
    """The comparisons of each metric in turn, most important first: declared ones first, then by verdict and size."""

    def weight(pair: CellComparison) -> tuple[bool, int, float]:
        return not pair.primary, _ORDER.index(pair.verdict), -abs(pair.comparison.difference)

    ordered = (sorted(pairs, key=weight) for pairs in of_metrics)
    return (pair for pair in chain.from_iterable(zip_longest(*ordered)) if pair is not None)


def _rests_on(answers: Answers, table: ResultTable, cut: str) -> str:
    """The data, the seeds, and the meaning of ±, of bold and of °."""
    several = len(answers.meta.seeds) > 1
    bold = any(entry.bold for row in table.rows for entry in row.entries)
    sentences = (
        interval(answers.meta) if several else "",
        "Bold: the best and what is as good; °: may be the best." if bold else "",
        cut,
    )
    return " ".join(text for text in (setting(answers.grid), *sentences) if text)
