"""The layouts of tables: two forms, which set a grid's cells out with the papers' numbers beside or below them.

A grid names its layout in grid.json. If it lacks what the layout needs, it is set out as general.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.answers import Analysis
from analysis.errors import InputError
from analysis.grid_json import Axis, MetricInfo
from analysis.published import PaperTable, number, papers, value
from analysis.sheet import Entry, Head, Line, Sheet, Table


@dataclass(frozen=True)
class Rows:
    """A row per cell. `shown` are columns of labels, head → parameter; where they do not tell all cells apart, each
    axis has a column of its own, too. If `grouped`, the first axis gives titles, and the others share a column."""

    metrics: tuple[str, ...] = ()
    rest: bool = True
    shown: Mapping[str, str] = field(default_factory=dict)
    grouped: bool = False

    def fits(self, sheet: Sheet) -> bool:
        """True where the grid has the axes that the layout needs."""
        return len(sheet.axes) > 1 or not self.grouped

    def table(self, sheet: Sheet, tables: Sequence[PaperTable]) -> Table:
        """The table of a grid, with the numbers of these papers' tables; below, the values known beforehand."""
        labelled, labels = self._labels(sheet)
        metrics = sheet.chosen(self.metrics, rest=self.rest)
        theirs, beside = sheet.beside(tables)
        lines = []
        for cell in sheet.of:
            first = sheet.analysis.labels(cell)[0] if self.grouped else ""
            ours = (sheet.entry(metric, cell) for metric in metrics)
            title = Entry(f"{sheet.axes[0].label} {first}" if first else "")
            lines.append(Line((*map(Entry, labels[cell]), *ours, *beside[cell]), title))
        for label, values in sheet.known(metrics).items():
            texts = [label, *[""] * (len(labelled) - 1), *(values.get(metric.name, "") for metric in metrics)]
            lines.append(Line((*map(Entry, texts), *[Entry()] * len(theirs)), known=True))
        group = f"ours, {sheet.analysis.meta.data}" if theirs else ""
        heads = (*labelled, *(Head(metric.head, group) for metric in metrics), *theirs)
        return Table(len(labelled), heads, tuple(lines), tuple(sheet.notes))

    def _labels(self, sheet: Sheet) -> tuple[list[Head], dict[str, list[str]]]:
        """The columns of labels, and the labels of each cell."""
        results = sheet.analysis
        levels = {cell: results.labels(cell) for cell in sheet.of}
        if self.grouped:
            head = ", ".join(axis.label for axis in sheet.axes[1:])
            return sheet.labelled([head], {}), {cell: [", ".join(of[1:])] for cell, of in levels.items()}
        shown = {head: name for head, name in self.shown.items() if any(of.get(name) for of in sheet.of.values())}
        labels = {cell: [of.get(name, "") for name in shown.values()] for cell, of in sheet.of.items()}
        apart = len({tuple(own) for own in labels.values()}) == len(labels)
        axes = () if apart else sheet.axes
        names = [*shown, *(axis.label for axis in axes)] or ["Cell"]
        heads = sheet.labelled(names, {axis.name: len(shown) + i for i, axis in enumerate(axes)})
        return heads, {cell: own + levels[cell] * (not apart) or [results.names[cell]] for cell, own in labels.items()}


Row = tuple[Entry, str, bool, dict[str, Entry]]
"""A row of a matrix: title, label, whether it is a paper's, and entries by our levels or by its numbers of steps."""


@dataclass(frozen=True)
class Matrix:
    """A block per metric and combination of further axes. `columns` is the metric's kind → the parameter that differs
    between columns, a number of steps; `rows` is the parameter that differs between rows. The paper's number at K
    steps stands in our column of K steps, or in a column of its own if we have none."""

    columns: Mapping[str, str]
    rows: str

    def fits(self, sheet: Sheet) -> bool:
        """True where the grid has axes of rows and of columns, and one of the metrics."""
        return len(self._axes(sheet)) == 2 and bool(self._metrics(sheet))

    def _metrics(self, sheet: Sheet) -> list[MetricInfo]:
        return [metric for kind in self.columns for metric in sheet.analysis.metrics if metric.kind == kind]

    def _axes(self, sheet: Sheet) -> list[Axis]:
        """The axis of rows and that of columns, as far as there are such axes."""
        across = sheet.over(*self.columns.values())[:1]
        return [axis for axis in sheet.over(self.rows) if axis not in across][:1] + across

    def table(self, sheet: Sheet, tables: Sequence[PaperTable]) -> Table:
        """The table of a grid, with the numbers of these papers' tables."""
        down, across = self._axes(sheet)
        labelled = sheet.labelled([down.label], {})
        rows = [row for metric in self._metrics(sheet) for row in self._rows(sheet, metric, tables)]
        columns = self._columns(sheet, across, {steps for _, _, theirs, of in rows if theirs for steps in of})
        lines = tuple(
            Line((Entry(label), *(of.get(k if theirs else name, Entry()) for _, name, k in columns)), title, theirs)
            for title, label, theirs, of in rows
        )
        return Table(1, (*labelled, *(Head(label, across.label) for label, *_ in columns)), lines, tuple(sheet.notes))

    def _columns(self, sheet: Sheet, across: Axis, theirs: set[str]) -> list[tuple[str, str, str]]:
        """The label of each column, our level's name if any, and the number of steps if all its cells share one: our
        levels and the papers' numbers, ascending; levels without a single number come last."""
        changed = [name for name in self.columns.values() if name in sheet.changes[across.name]]
        levels = sheet.analysis.level_names[across.name]
        columns = []
        for level in across.levels:
            steps = {value(sheet.of[cell], name) for cell in levels.index[levels == level.name] for name in changed}
            columns.append((level.label, level.name, steps.pop() if len(steps) == 1 else ""))
        columns += [(number(steps), "", steps) for steps in theirs - {steps for *_, steps in columns}]
        return sorted(columns, key=lambda column: float(column[2] or "inf"))

    def _rows(self, sheet: Sheet, metric: MetricInfo, tables: Sequence[PaperTable]) -> Iterator[Row]:
        """The rows of a metric: block by block ours, and the papers' under titles of their own."""
        (down, across), steps, results = self._axes(sheet), self.columns[metric.kind], sheet.analysis
        values = [f"{of[metric.name]} ({label})" for label, of in sheet.known([metric]).items()]
        notes = [f"{metric.label} known beforehand: {', '.join(values)}"] * bool(values)
        depends = steps in sheet.changes[across.name]
        if not depends:
            notes.append(f"{metric.label} does not depend on {across.label}, which does not change {steps}")
        blocks: dict[str, list[str]] = {}
        for cell in sheet.of:
            at = zip(sheet.axes, results.labels(cell), strict=True)
            further = [f"{axis.label} {label}" for axis, label in at if axis not in (down, across)]
            blocks.setdefault(", ".join([metric.head, f"ours, {sheet.analysis.meta.data}", *further]), []).append(cell)
        for title, cells in blocks.items():
            above, levels = Entry(title, mark=sheet.marks(*notes)), {cell: results.levels(cell) for cell in cells}
            for level in down.levels:
                own = [cell for cell, of in levels.items() if of[down.name] == level.name]
                if own:
                    yield above, level.label, False, {levels[c][across.name]: sheet.entry(metric, c) for c in own}
            yield from _theirs(sheet, cells, metric, tables if depends else ())


def _theirs(sheet: Sheet, cells: Sequence[str], metric: MetricInfo, tables: Sequence[PaperTable]) -> Iterator[Row]:
    """The papers' rows with the choices of one of these cells, apart from the steps; in the order of our cells. A part
    of a bound, nll/test_L0, has none: a paper's number is of the whole."""
    whole = "_" not in metric.name.partition("/")[2].partition("/")[0]
    for paper in (paper for paper in tables if whole and metric.kind in paper.metrics):
        by_label: dict[tuple[str, str], dict[str, Entry]] = {}
        for row in (row for cell in cells for row in paper.matched(sheet.of[cell], sheet.varied, paper.along)):
            label = ", ".join(paper.labels[word] for word in row.values() if word in paper.labels)
            by_label.setdefault((row["dataset"], label), {})[row["steps_eval"]] = Entry(row["text"])
        for (dataset, label), of in by_label.items():
            title = f"{metric.label}, {paper.head(dataset)}"
            yield Entry(title, mark=sheet.marks(paper.footnote())), label, True, of


_IMPROVED = Rows(
    metrics=("nll", "fid"),
    rest=False,
    shown={"Iters": "training.steps", "T": "horizon", "Schedule": "schedule", "Objective": "objective"},
)
_VDM = Rows(metrics=("nll", "nll_continuous", "bound_variance"), rest=False)
_STEPS = {"nll": "evaluation.horizon", "fid": "sampler.steps"}
_LDM = Rows(metrics=("nll", "fid", "memorisation", "rfid", "psnr", "cost"), rest=False)
LAYOUTS: Mapping[str, tuple[Sequence[Rows | Matrix], Sequence[str]]] = {
    "general": ([Rows()], []),
    "ddpm_table_1": ([Rows(metrics=("is", "fid", "nll"), rest=False)], ["ddpm_1"]),
    "ddpm_table_2": ([Rows(grouped=True, metrics=("nll", "fid", "is"))], ["ddpm_2"]),
    "improved_ddpm_1": ([_IMPROVED], ["iddpm_1"]),
    "improved_ddpm_2": ([_IMPROVED], ["iddpm_2"]),
    "vdm": ([Matrix({"nll": "evaluation.horizon"}, rows="horizon"), _VDM], ["vdm_2", "vdm_4b"]),
    "ldm": ([_LDM], ["ldm_8"]),
    "analytic_dpm": ([Matrix(_STEPS, rows="variance")], ["analytic_1", "analytic_2"]),
}
"""Layout → its forms, of which the first that fits is taken, and the tables of papers.yaml whose numbers it shows."""


def table_of(analysis: Analysis, asked: str = "", *, published: bool = True) -> Table:
    """The table in the layout `asked` for, or in the grid's own, with the papers' numbers if `published`; InputError
    where the one asked for does not fit."""
    sheet, name = Sheet(analysis), asked or analysis.meta.layout
    forms, tables = LAYOUTS.get(name, LAYOUTS["general"])
    fitting = next((form for form in forms if form.fits(sheet)), None)
    if fitting is None and asked:
        varies = ", ".join(axis.name for axis in sheet.axes) or "nothing"
        raise InputError(f"layout={name} does not fit a grid that varies {varies}: take layout=general")
    kinds = {metric.kind for metric in analysis.metrics} if published and fitting else set()
    shown = [paper for name, paper in papers().items() if name in tables and kinds & set(paper.metrics)]
    return (fitting or Rows()).table(sheet, shown)
