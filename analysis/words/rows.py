"""The words about rows. A row is the cells that share the levels of all axes on which no declared comparison differs;
it has an answer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.findings.verdicts import Findings, Row
from analysis.grid_json import Axis
from analysis.labels import counted, listed, listed_names
from analysis.words.verdicts import amount, apart, beside_codes


@dataclass(frozen=True)
class RowTable:
    """The answer in a metric as a small table, a line per row of the grid; the first column names the row."""

    caption: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    @property
    def sentences(self) -> list[str]:
        """The table as sentences, for places without tables: the caption, then one for each line."""
        heads = ("", *(f"{head.lower()}: " for head in self.head[2:]))
        return [
            self.caption,
            *(
                f"{self.head[0]} {row}: "
                + "; ".join(f"{head}{text}" for head, text in zip(heads, texts, strict=True) if text)
                for row, *texts in self.lines
            ),
        ]


LEAD = "Ahead of the next by (not adjusted)"
"""The head of the lead over the next best mean of the row, with the 95 % interval of this difference by itself."""
FEW_IN_A_ROW = 5  # the most cells that an entry of such a table names; more are counted


def row_table(answer: Findings, axes: Sequence[Axis]) -> RowTable | None:
    """A table of each row's best cell and those as good; None without rows, or without anything to choose."""
    if not answer.rows or all(row.answer.same for row in answer.rows):
        return None
    named = [axis for axis in axes if axis.name in answer.rows[0].levels]
    head = (" · ".join(axis.label for axis in named), *_columns(answer))
    lines = [
        (" · ".join(axis.label_of(row.levels[axis.name]) for axis in named), *_places(row, axes)[: len(head) - 1])
        for row in answer.rows
    ]
    caption = f"{answer.metric.label}, for {answer.metric.decides}: what is best at each level of {head[0]}."
    filled = [i for i in range(len(head)) if any(line[i] for line in lines)]
    return RowTable(caption, tuple(head[i] for i in filled), tuple(tuple(line[i] for i in filled) for line in lines))


def row_choices(answer: Findings, axes: Sequence[Axis]) -> str:
    """The best cell of each row, those of the same name together: "β̃ at 10 and 25; analytic at 50"."""
    places: dict[str, list[str]] = {}
    for row in answer.rows:
        if row.answer.best is not None and not row.answer.same:
            levels = [axis.label_of(row.levels[axis.name]) for axis in axes if axis.name in row.levels]
            places.setdefault(_name(row, row.answer.best, axes), []).append(" · ".join(levels))
    return "; ".join(f"{name} at {listed(at)}" for name, at in places.items())


def _columns(answer: Findings) -> tuple[str, ...]:
    if answer.lead is not None:
        return ("Leads",)
    if not any(row.answer.leading for row in answer.rows):
        return ("Best value, of one seed",)
    heads = ("Best mean", LEAD, "As good", "Cannot be ruled out")
    return (*heads, "May overtake it at twice the training") if any(row.answer.rivals for row in answer.rows) else heads


def _places(row: Row, axes: Sequence[Axis]) -> tuple[str, str, str, str, str]:
    """The entries of a row: its best cell with its value, its lead, the cells as good, others that may be the best, and
    rivals."""
    answer = row.answer
    assert answer.best is not None, "no cell of the row has a value"
    estimate = answer.estimates[answer.best]
    value = amount(answer.metric, estimate.mean, estimate.half_width)
    if answer.same:
        return f"all alike ({value})", "", "", "", ""
    return (
        f"{_name(row, answer.best, axes)} ({value})",
        _lead(row, axes),
        _names(row, answer.as_good, axes),
        _names(row, answer.open, axes),
        _names(row, answer.rivals, axes),
    )


def _lead(row: Row, axes: Sequence[Axis]) -> str:
    """The lead of the best mean over the next, such as "0.03 ± 0.01 bits/dim over β̃"; "" where no seed has both."""
    metric, lead = row.answer.metric, row.lead
    if lead.second is None or lead.ahead is None:
        return ""
    second = next(i for i, cell in enumerate(row.answer.cells) if cell is lead.second)
    size = "the same at every seed as" if lead.ahead.difference == lead.ahead.half_width == 0 else ""
    return f"{size or apart(metric, lead.ahead) + ' over'} {_name(row, second, axes)}"


def _names(row: Row, which: Sequence[int], axes: Sequence[Axis]) -> str:
    if len(which) > FEW_IN_A_ROW:
        return counted(len(which), "cell")
    return listed_names([_name(row, i, axes) for i in which], "and")


def _name(row: Row, i: int, axes: Sequence[Axis]) -> str:
    """The name of a cell within its row, by its levels on the axes that the row's cells do not share."""
    labels = row.answer.cells[i].labels
    return " · ".join(label for axis, label in zip(axes, labels, strict=True) if axis.name not in row.levels)


def row_headline(answer: Findings, axes: Sequence[Axis]) -> str:
    """The sentences beside an answer's table by row: that there is nothing to choose, or how far all fall
    short of a code."""
    shared = listed([axis.label for axis in axes if axis.name in answer.rows[0].levels])
    alike = f"{answer.metric.label}: cells of the same {shared} have the same value at every seed."
    codes = beside_codes(answer)
    nothing = alike if all(row.answer.same for row in answer.rows) else ""
    sentences = (
        "Exploratory, since other seeds were asked for after results were there." if answer.exploratory else "",
        nothing,
        codes if nothing or not codes else f"{answer.metric.label}: {codes[0].lower()}{codes[1:]}",
    )
    return " ".join(text for text in sentences if text)
