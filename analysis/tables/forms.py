"""The forms in which a table is laid out: three, which make a Body from a grid.

    FlatForm      a row per cell; columns of labels tell cells apart, further columns have our and the paper's numbers
    GroupedForm   the same, under a title per level of the first axis
    MatrixForm    a block per metric, row axis × column axis; the paper's numbers in rows of their own below each block

A form says what a grid lacks for it, so that another form can be taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from analysis.findings.answers import Answers
from analysis.findings.cells import Estimate
from analysis.findings.summary import Summary, references
from analysis.grid_json import Axis, ShownMetric
from analysis.labels import Rounding, two_digits
from analysis.schema import UNCOMPARED
from analysis.statistics.paired import standard_error
from analysis.tables.published import LABELS, PaperTable, numbers
from analysis.tables.table import Column, Footnotes, TableEntry, TableRow
from analysis.words.cells import noted, shortfalls, without_value
from analysis.words.weights import weight_footnotes


@dataclass(frozen=True)
class Body:
    """All of a table but its name, caption and footnotes."""

    stub: tuple[Column, ...]
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, eq=False)
class Frame:
    """A grid's answers as tables need them: metrics by kind, axes by what they change, and the words on each cell."""

    answers: Answers

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The grid's axes, in their order."""
        return self.answers.axes

    @cached_property
    def shortfalls(self) -> list[str]:
        """The shortfall of each cell, in words."""
        return shortfalls(self.answers.cells)

    @cached_property
    def noted(self) -> list[list[str]]:
        """The notes of each cell's runs."""
        return noted(self.answers.cells)

    @cached_property
    def changes(self) -> dict[str, frozenset[str]]:
        """Axis → its own name and the parameters that differ along it."""
        return {axis.name: frozenset({axis.name} | self.answers.changes[axis.name]) for axis in self.axes}

    def over(self, parameters: tuple[str, ...]) -> list[Axis]:
        """The axes that change one of these parameters, or a field of theirs."""
        inside = tuple(f"{name}." for name in parameters)
        return [
            axis
            for axis in self.axes
            if any(name in parameters or name.startswith(inside) for name in self.changes[axis.name])
        ]

    def chosen(self, kinds: tuple[str, ...], *, rest: bool) -> list[ShownMetric]:
        """The metrics of these kinds in this order; then all others, if `rest` is True or none are of these kinds.

        A metric that was asked for is always included, and so is a deciding metric that no paper's table has.
        """
        present = self.answers.metrics
        first = [metric for kind in kinds for metric in present if metric.kind == kind]
        left = [metric for metric in present if metric not in first]
        return first + (left if rest or not first else [other for other in left if other.asked or _of_no_paper(other)])


def _of_no_paper(metric: ShownMetric) -> bool:
    """True where a metric decides, and papers' tables have no such metric."""
    return metric.deciding and metric.kind not in LABELS


class Form(Protocol):
    """A form in which a table is laid out."""

    def lacks(self, frame: Frame) -> str:
        """The thing that the form needs and the grid lacks, as a noun phrase; "" where the form fits."""
        ...

    def body(self, frame: Frame, papers: tuple[PaperTable, ...], notes: Footnotes, own: list[str]) -> Body:
        """The table's body; `own` are footnotes of the table as a whole."""
        ...


@dataclass(frozen=True)
class Shown:
    """A column of labels with the values of a parameter."""

    label: str
    parameter: str


@dataclass(frozen=True)
class FlatForm:
    """A form with a row per cell; if `over` is given, some axis must change one of these parameters.

    `shown` are columns of labels, each for a parameter; `told` are parameters that they imply. An axis that these do
    not explain has a column of its own.
    """

    metrics: tuple[str, ...] = ()
    rest: bool = True
    shown: tuple[Shown, ...] = ()
    told: tuple[str, ...] = ()
    over: tuple[str, ...] = ()

    def lacks(self, frame: Frame) -> str:
        """An axis over the parameters of `over`, where the grid has none."""
        return f"an axis over {' or '.join(self.over)}" if self.over and not frame.over(self.over) else ""

    def body(self, frame: Frame, papers: tuple[PaperTable, ...], notes: Footnotes, own: list[str]) -> Body:
        """A row per cell, and the values known beforehand below them."""
        metrics = frame.chosen(self.metrics, rest=self.rest)
        summary = frame.answers.summary.showing(metrics)
        columns = [column for column in self.shown if any(cell.parameter(column.parameter) for cell in summary.cells)]
        left = [axis for axis in frame.axes if not self._tells(frame, summary, axis)]
        labels = [column.label for column in columns] + [axis.label for axis in left] or ["Cell"]
        labelled = stub(frame, labels, {axis.name: len(columns) + i for i, axis in enumerate(left)}, notes, own)
        beside = Beside.of(summary, papers, frame, notes)
        rows = []
        for i, cell in enumerate(summary.cells):
            texts = [cell.parameter(column.parameter) for column in columns]
            texts += [label for axis, label in zip(frame.axes, cell.labels, strict=True) if axis in left]
            rows.append(
                TableRow("cell", tuple(texts or [cell.name]), entries(frame, summary, i, notes) + beside.entries[i])
            )
        heads = (*_heads(frame, metrics, beside), *beside.columns)
        return Body(labelled, heads, (*rows, *_known_values(frame.answers, summary, len(labelled), len(heads))))

    def _tells(self, frame: Frame, summary: Summary, axis: Axis) -> bool:
        """True where the columns shown determine each cell's level on the axis, and cover all that the axis changes."""
        parameters = [column.parameter for column in self.shown]
        at = frame.axes.index(axis)
        levels: dict[tuple[str, ...], set[str]] = {}
        for cell in summary.cells:
            levels.setdefault(tuple(cell.parameter(name) for name in parameters), set()).add(cell.levels[at])
        follows = all(
            name == axis.name
            or any(name == parameter or name.startswith(f"{parameter}.") for parameter in (*parameters, *self.told))
            for name in frame.changes[axis.name]
        )
        return follows and bool(parameters) and all(len(of_place) == 1 for of_place in levels.values())


@dataclass(frozen=True)
class GroupedForm:
    """A form with rows under a title per level of the first axis."""

    metrics: tuple[str, ...] = ()

    def lacks(self, frame: Frame) -> str:
        """A second axis, where the grid has none."""
        return "two axes or more" if len(frame.axes) < 2 else ""

    def body(self, frame: Frame, papers: tuple[PaperTable, ...], notes: Footnotes, own: list[str]) -> Body:
        """The rows under their titles, and the values known beforehand below them."""
        metrics = frame.chosen(self.metrics, rest=True)
        summary = frame.answers.summary.showing(metrics)
        label = ", ".join(axis.label for axis in frame.axes[1:])
        labelled = stub(frame, [label], {axis.name: 0 for axis in frame.axes}, notes, own)
        beside = Beside.of(summary, papers, frame, notes)
        heads = (*_heads(frame, metrics, beside), *beside.columns)
        rows = (*_titled(frame, summary, beside, notes), *_known_values(frame.answers, summary, 1, len(heads)))
        return Body(labelled, heads, rows)


def _titled(frame: Frame, summary: Summary, beside: Beside, notes: Footnotes) -> Iterator[TableRow]:
    previous = None
    for i, cell in enumerate(summary.cells):
        if cell.levels[0] != previous:
            previous = cell.levels[0]
            yield TableRow("group", (f"{frame.axes[0].label} {cell.labels[0]}",))
        numbers_of = entries(frame, summary, i, notes) + beside.entries[i]
        yield TableRow("cell", (", ".join(cell.labels[1:]),), numbers_of, indented=True)


@dataclass(frozen=True)
class Beside:
    """The columns of the papers' numbers, and their entries per cell; papers that match no cell are left out."""

    columns: tuple[Column, ...]
    entries: list[tuple[TableEntry, ...]]

    @staticmethod
    def of(summary: Summary, papers: tuple[PaperTable, ...], frame: Frame, notes: Footnotes) -> Beside:
        """The columns of those papers that have a number for at least one cell of ours."""
        columns: list[Column] = []
        per_cell: list[tuple[TableEntry, ...]] = [() for _ in summary.cells]
        for paper in papers:
            texts = [numbers(paper, cell, frame.answers.varied) for cell in summary.cells]
            if any(text for of_cell in texts for text in of_cell.values()):
                mark = notes.marks([paper.footnote()])
                columns += [Column(LABELS.get(head, head), paper.head(), mark) for head in texts[0]]
                per_cell = [
                    before + tuple(map(TableEntry, of_cell.values()))
                    for before, of_cell in zip(per_cell, texts, strict=True)
                ]
        return Beside(tuple(columns), per_cell)


def _heads(frame: Frame, metrics: list[ShownMetric], beside: Beside) -> list[Column]:
    group = f"ours, {frame.answers.meta.data}" if beside.columns else ""
    return [Column(metric.head, group) for metric in metrics]


def stub(
    frame: Frame, labels: list[str], columns: Mapping[str, int], notes: Footnotes, own: list[str]
) -> tuple[Column, ...]:
    """The heads of the label columns, with footnotes: the table's and the grid's at the first, an axis's at its own
    column.

    `columns` is the column of each axis; the footnote of an axis without one stands at the first.
    """
    footnotes = weight_footnotes(frame.answers.weight_check, frame.axes)
    texts: list[list[str]] = [[] for _ in labels]
    texts[0] += [*own, *frame.answers.meta.footnotes]
    for axis in frame.axes:
        texts[columns.get(axis.name, 0)] += [footnotes[axis.name]] if axis.name in footnotes else []
    return tuple(Column(label, mark=notes.marks(its)) for label, its in zip(labels, texts, strict=True))


def entry(frame: Frame, summary: Summary, i: int, metric: ShownMetric, notes: Footnotes) -> TableEntry:
    """Our number of cell i, with marks for the footnotes on unfinished seeds, a missing value, and the runs' notes."""
    estimate, cell = summary.estimates[metric.name][i], summary.cells[i]
    comparable = cell.comparable(metric.name)
    text = summary.rounding[metric.name].measured(estimate.mean, estimate.half_width) if comparable else UNCOMPARED
    finished = "" if estimate.values or (comparable and frame.shortfalls[i]) else without_value(cell, metric)
    marks = notes.marks([why for why in (frame.shortfalls[i], finished, *frame.noted[i]) if why])
    mark, apart = summary.marks[metric.name][i], set(summary.marks[metric.name]) != {"good"}
    seeds = _by_seed(estimate, summary.rounding[metric.name]) if comparable else ""
    return TableEntry(text, mark == "good" and apart, marks, mark == "open", seeds)


def _by_seed(estimate: Estimate, rounding: Rounding) -> str:
    """The values behind a mean, with their number and the mean's standard error."""
    values = ", ".join(f"{rounding.number(value)} (seed {seed})" for seed, value in estimate.by_seed)
    if len(estimate.values) < 2:
        return values
    error = two_digits(standard_error(estimate.half_width, len(estimate.values)))
    return f"n = {len(estimate.values)}, standard error {error}: {values}"


def entries(frame: Frame, summary: Summary, i: int, notes: Footnotes) -> tuple[TableEntry, ...]:
    """Our numbers of cell i."""
    return tuple(entry(frame, summary, i, metric, notes) for metric in summary.metrics)


def _known_values(answers: Answers, summary: Summary, stub: int, columns: int) -> list[TableRow]:
    """A row per label of values known beforehand."""
    rows = []
    for label, values in references(answers.meta, summary.metrics).items():
        texts = [summary.rounding[m.name].number(values[m.name]) if m.name in values else "" for m in summary.metrics]
        row_entries = [TableEntry(text) for text in texts] + [TableEntry("")] * (columns - len(texts))
        rows.append(TableRow("reference", (label, *[""] * (stub - 1)), tuple(row_entries)))
    return rows
