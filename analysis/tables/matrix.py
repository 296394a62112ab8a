"""The matrix form: a block per metric, a row axis × a column axis, and below each block the paper's own rows.

Columns are numbers of steps. The paper's number at K steps stands in our column of K steps, or in a column of its own
if we have none. With another T in training, the same K is another share of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from analysis.findings.summary import Summary, known_values
from analysis.grid_json import Axis, ShownMetric
from analysis.tables.forms import Body, Frame, stub
from analysis.tables.forms import entry as measured
from analysis.tables.published import PaperTable, entry, number, value
from analysis.tables.table import Column, Footnotes, TableEntry, TableRow


@dataclass(frozen=True)
class MatrixForm:
    """A form with a block per metric. `columns` is the metric's kind → the parameter that differs between columns, a
    number of steps; `rows` are the parameters that differ between rows. Titles name the levels of further axes."""

    columns: Mapping[str, str]
    rows: tuple[str, ...]

    def lacks(self, frame: Frame) -> str:
        """The two axes or the metric that the grid lacks; "" where the form fits."""
        across = f"an axis over {' or '.join(dict.fromkeys(self.columns.values()))}"
        down = f"one over {' or '.join(self.rows)}"
        if self._axes(frame) is None:
            return f"{across} and {down}"
        measures = bool(self._metrics(frame))
        return "" if measures else f"one of the metrics {', '.join(self.columns)}"

    def _metrics(self, frame: Frame) -> list[ShownMetric]:
        return [metric for kind in self.columns for metric in frame.answers.metrics if metric.kind == kind]

    def _axes(self, frame: Frame) -> tuple[Axis, Axis] | None:
        across = frame.over(tuple(self.columns.values()))[:1]
        down = [axis for axis in frame.over(self.rows) if axis not in across][:1]
        return (down[0], across[0]) if across and down else None

    def body(self, frame: Frame, papers: tuple[PaperTable, ...], notes: Footnotes, own: list[str]) -> Body:
        """A block per metric and combination of the further axes."""
        axes = self._axes(frame)
        assert axes is not None, "lacks() was not asked"
        summary = frame.answers.summary.showing(self._metrics(frame))
        labelled = stub(frame, [axes[0].label], {}, notes, own)
        blocks = [
            block
            for metric in summary.metrics
            for block in _blocks(frame, summary, metric, axes, self.columns[metric.kind], papers)
        ]
        columns = _columns(frame, summary, axes[1], tuple(self.columns.values()), blocks)
        heads = tuple(Column(column.label, axes[1].label) for column in columns)
        rows = [row for block in blocks for row in block.rows(frame, summary, columns, notes)]
        return Body(labelled, heads, tuple(rows))


@dataclass(frozen=True)
class StepsColumn:
    """A column: our level, if any, and the number of steps, if all its cells share one."""

    label: str
    level: str | None
    steps: str | None


@dataclass(frozen=True)
class Series:
    """A row of a paper's table: number of steps → text."""

    paper: PaperTable
    title: str
    label: str
    texts: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class MetricBlock:
    """A metric at one combination of the further axes: (row level, column level) → cell. `flat` is a footnote if the
    metric does not depend on the column axis, else ""."""

    title: str
    metric: ShownMetric
    axis: Axis
    cells: Mapping[tuple[str, str], int]
    series: Sequence[Series]
    flat: str

    def rows(
        self, frame: Frame, summary: Summary, columns: Sequence[StepsColumn], notes: Footnotes
    ) -> Iterator[TableRow]:
        """Title, our rows, and the paper's under a title of their own."""
        yield TableRow("group", (self.title,), mark=notes.marks(self._said(frame, summary)))
        for level in self.axis.levels:
            at = [self.cells.get((level.name, column.level)) if column.level else None for column in columns]
            if any(i is not None for i in at):
                row_entries = [
                    TableEntry("") if i is None else measured(frame, summary, i, self.metric, notes) for i in at
                ]
                yield TableRow("cell", (level.label,), tuple(row_entries), indented=True)
        title = ""
        for series in self.series:
            if series.title != title:
                title = series.title
                yield TableRow("group", (title,), mark=notes.marks([series.paper.footnote()]))
            texts = tuple(TableEntry(series.texts.get(column.steps or "", "")) for column in columns)
            yield TableRow("reference", (series.label,), texts, indented=True)

    def _said(self, frame: Frame, summary: Summary) -> list[str]:
        """The footnotes of the title: values known beforehand, and that the columns do not matter, if so."""
        write = summary.rounding[self.metric.name].number
        values = known_values(frame.answers.meta, self.metric)
        written = [f"{write(value)} ({label})" for label, value in values.items()]
        return [f"{self.metric.label} known beforehand: {', '.join(written)}"] * bool(written) + [self.flat] * bool(
            self.flat
        )


def _blocks(
    frame: Frame,
    summary: Summary,
    metric: ShownMetric,
    axes: tuple[Axis, Axis],
    steps: str,
    papers: Sequence[PaperTable],
) -> Iterator[MetricBlock]:
    down, across = (frame.axes.index(axis) for axis in axes)
    further = [axis for axis in frame.axes if axis not in axes]
    depends = steps in frame.changes[axes[1].name]
    flat = "" if depends else f"{metric.label} does not depend on {axes[1].label}, which does not change {steps}"
    for levels in product(*(axis.levels for axis in further)):
        names = {frame.axes.index(axis): level.name for axis, level in zip(further, levels, strict=True)}
        inside = [
            i for i, cell in enumerate(summary.cells) if all(cell.levels[at] == name for at, name in names.items())
        ]
        cells = {(summary.cells[i].levels[down], summary.cells[i].levels[across]): i for i in inside}
        further_levels = [f"{axis.label} {level.label}" for axis, level in zip(further, levels, strict=True)]
        series = _series(frame, summary, inside, metric, papers) if depends else []
        if cells:
            title = ", ".join([metric.head, f"ours, {frame.answers.meta.data}", *further_levels])
            yield MetricBlock(title, metric, axes[0], cells, series, flat)


def _series(
    frame: Frame, summary: Summary, cells: Sequence[int], metric: ShownMetric, papers: Sequence[PaperTable]
) -> list[Series]:
    """The papers' rows with the choices of one of these cells, apart from the steps; in the order of our cells."""
    by_title: dict[tuple[str, str], tuple[PaperTable, dict[str, str]]] = {}
    for paper in papers:
        if _is_part(metric) or metric.kind not in paper.metrics:
            continue
        for i in cells:
            for row in paper.matched(summary.cells[i], frame.answers.varied, paper.along):
                named = ", ".join(paper.labels[word] for word in row.values() if word in paper.labels)
                key = f"{metric.label}, {paper.head(row['dataset'])}", named
                by_title.setdefault(key, (paper, {}))[1][row["steps_eval"]] = entry(row)
    return [Series(paper, title, label, texts) for (title, label), (paper, texts) in by_title.items()]


def _is_part(metric: ShownMetric) -> bool:
    """True for a part of a bound, nll/test_L0: a paper's number is of the whole."""
    return "_" in metric.name.partition("/")[2].partition("/")[0]


def _columns(
    frame: Frame, summary: Summary, axis: Axis, parameters: Sequence[str], blocks: Sequence[MetricBlock]
) -> list[StepsColumn]:
    """Our levels and the papers' numbers of steps, ascending; levels without a single number of steps come last."""
    at = frame.axes.index(axis)
    changed = [name for name in parameters if name in frame.changes[axis.name]]
    ours = []
    for level in axis.levels:
        cells = [cell for cell in summary.cells if cell.levels[at] == level.name]
        steps = {value(cell, name) for cell in cells for name in changed}
        ours.append(StepsColumn(level.label, level.name, steps.pop() if len(steps) == 1 else None))
    our_steps = {place.steps for place in ours}
    theirs = {steps for block in blocks for series in block.series for steps in series.texts} - our_steps
    return sorted([*ours, *(StepsColumn(number(steps), None, steps) for steps in theirs)], key=_size)


def _size(place: StepsColumn) -> tuple[bool, float]:
    try:
        return False, float(place.steps or "")
    except ValueError:
        return True, math.inf
