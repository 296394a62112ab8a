"""A grid as tidy CSV: a row per cell and per known value, with full digits, and the papers' numbers as printed."""

from __future__ import annotations

import csv
import io
import math

from analysis.findings.cells import CellRuns
from analysis.findings.summary import references
from analysis.guarded import guarded
from analysis.schema import UNCOMPARED
from analysis.tables.forms import Frame
from analysis.tables.published import PaperTable, numbers
from analysis.words.cells import noted, shortfall, why_not_comparable
from analysis.words.rounds import banner

_PARTS = ("mean", "half_width", "n", "standing")


def tidy_csv(frame: Frame, papers: tuple[PaperTable, ...]) -> str:
    """The CSV text: a row per cell (levels, seeds, notes; mean, half-width, n, standing; published numbers with their
    data), and a row per known value. For a preliminary round, a first row says so."""
    answers, summary = frame.answers, frame.answers.summary
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    beside = _heads(papers)
    head = ["row", *(axis.name for axis in answers.axes), "seeds", "note"]
    parts = _PARTS[:-1] if answers.preliminary else _PARTS
    heads = [f"{metric.name} {part}" for metric in summary.metrics for part in parts]
    write(_guarded([*head, *heads, *beside]))
    if answers.preliminary:
        rest = [""] * (len(heads) + len(beside))
        write(_guarded(["round", *[""] * len(answers.axes), len(answers.meta.seeds), banner(answers.grid), *rest]))
    for i, cell in enumerate(summary.cells):
        apart = [metric for metric in summary.metrics if not cell.comparable(metric.name)]
        notes = (shortfall([cell]), *dict.fromkeys(map(why_not_comparable, apart)), *noted([cell])[0])
        note = "; ".join(text for text in notes if text)
        row: list[object] = ["cell", *cell.levels, len(cell.runs), note]
        for metric in summary.metrics:
            estimate = summary.estimates[metric.name][i]
            mean = UNCOMPARED if metric in apart else _digits(estimate.mean)
            mark = summary.marks[metric.name][i]
            row += [mean, _digits(estimate.half_width), len(estimate.values), mark][: len(parts)]
        write(_guarded([*row, *_published(papers, cell, frame)]))
    for label, values in references(answers.meta, answers.metrics).items():
        known_of = [
            [_digits(values.get(metric.name, math.nan)), *[""] * (len(parts) - 1)] for metric in summary.metrics
        ]
        row = ["reference", *[""] * len(answers.axes), "", label, *(part for of in known_of for part in of)]
        write(_guarded([*row, *[""] * len(beside)]))
    return text.getvalue()


def _guarded(row: list[object]) -> list[object]:
    """The row, with texts guarded so that no spreadsheet runs them."""
    return [guarded(field) if isinstance(field, str) else field for field in row]


def _heads(papers: tuple[PaperTable, ...]) -> list[str]:
    """A column for each number and detail of each paper's table, and one for their data."""
    names = [name for paper in papers for name in (*paper.beside, *paper.metrics)]
    return [*(f"published {name}" for name in names), *(["published data"] if papers else [])]


def _published(papers: tuple[PaperTable, ...], cell: CellRuns, frame: Frame) -> list[str]:
    of_papers = [
        (numbers(paper, cell, frame.answers.varied), paper.matched(cell, frame.answers.varied)) for paper in papers
    ]
    data = [paper.head(rows[0]["dataset"]) for paper, (_, rows) in zip(papers, of_papers, strict=True) if rows]
    texts = [text for texts_of, _ in of_papers for text in texts_of.values()]
    return [*texts, *(["; ".join(dict.fromkeys(data))] if papers else [])]


def _digits(value: float) -> str:
    """A value by six digits, enough to compute with; "" for nan."""
    return "" if math.isnan(value) else f"{value:.6g}"
