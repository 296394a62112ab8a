"""Metrics against a number in which cells differ: steps, T, the share skipped. A column per number, a row per metric.

The guidance scale has a figure of its own, with a panel for every metric that it moves, since guidance trades one
metric for another (Ho & Salimans 2022, arXiv:2207.12598); it has a line per guide, and stars for tuned cells.

Seeds are points, their mean a line with markers and a bar for its 95 % interval. A panel in which nothing moves, since
the cells share the metric's stage, is left out. A value far off the rest is set at the edge with its number.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from analysis.figures.distinct import name, together, unnamed_later
from analysis.figures.drawing import WIDTH, Look, distinct_looks, label_ends, new_figure, panels, room_for, wrapped
from analysis.figures.points import mark_outside
from analysis.figures.windows import Window, around, on_axis, show, whole_window
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.lines import ETA, EVALUATION, GUIDANCE, HORIZON, SAMPLING, SKIP, TUNED, Line
from analysis.findings.summary import chosen
from analysis.grid_json import ShownMetric
from analysis.labels import Rounding, mathtext

COLUMNS = 3
"""The most panels side by side, of metrics against the guidance scale."""
LABELS = {
    SAMPLING: "sampling steps",
    SKIP: "share of the reverse process skipped",
    HORIZON: "T",
    EVALUATION: "T in evaluation",
    ETA: "η",
}
LOG_X, LOG_Y = 5, 10
"""The ratios of the largest to the smallest value above which an axis is logarithmic."""
_TICKS = 7
_CHARS = 14
_HEIGHT = 2.0


@dataclass(frozen=True, eq=False)
class NamedLine:
    """A line with its name, which has one look in all panels, and the text at its end, which also names hidden
    lines."""

    name: str
    line: Line
    text: str


@dataclass(frozen=True, eq=False)
class LinesPanel:
    """A metric against a number, with the lines that have any value of it."""

    key: str
    metric: ShownMetric
    lines: list[NamedLine]

    @property
    def texts(self) -> list[str]:
        """The texts at the ends of its lines."""
        return [named.text for named in self.lines]

    @property
    def names(self) -> set[str]:
        """The names of its lines."""
        return {named.name for named in self.lines}


def lines_figure(answers: Answers) -> Figure | None:
    """The figure; None where no three cells differ in a single number, or no metric changes with it."""
    shown = _panels(answers, LABELS, chosen(answers.metrics))
    if not shown:
        return None
    keys = [key for key in LABELS if any(panel.key == key for panel in shown)]
    metrics = list(dict.fromkeys(panel.metric.name for panel in shown))
    styles = _styles(shown)
    tall = max(_HEIGHT, *(room_for(panel.texts, _CHARS) for panel in shown))
    figure = new_figure(WIDTH if len(keys) > 1 else 0.65 * WIDTH, 0.2 + tall * len(metrics))
    figure.set_layout_engine("constrained", wspace=0.04)
    subplots = figure.subplots(len(metrics), len(keys), squeeze=False)
    empty = {(i, j) for i in range(len(metrics)) for j in range(len(keys))}
    for panel in shown:
        place = metrics.index(panel.metric.name), keys.index(panel.key)
        axes = subplots[place]
        row = [other for other in shown if other.metric == panel.metric]
        column = [other for other in shown if other.key == panel.key]
        # Narrow panels have no room for every name.
        here = unnamed_later(row.index(panel), [other.names for other in row]) if len(keys) > 2 else panel.names
        _draw(axes, panel, styles, here)
        axes.set_ylabel(mathtext(panel.metric.head) if panel is row[0] else "")
        axes.set_xlabel(wrapped(LABELS[panel.key], 26) if panel is column[-1] else "")
        empty.discard(place)
    for place in empty:
        subplots[place].remove()
    return figure


def guidance_figure(answers: Answers) -> Figure | None:
    """The metrics that the guidance scale moves, in small panels; None where no three cells differ in it alone."""
    shown = _panels(answers, [GUIDANCE], answers.metrics)
    if not shown:
        return None
    styles = _styles(shown)
    tall = max(_HEIGHT, *(room_for(panel.texts, _CHARS) for panel in shown))
    columns = min(COLUMNS, len(shown))
    figure, subplots = panels(len(shown), 0.2 + tall * -(-len(shown) // columns), columns=columns, wspace=0.04)
    for i, (axes, panel) in enumerate(zip(subplots, shown, strict=True)):
        row = shown[i - i % columns :][:columns]
        # Names widen a column, so a row that is not full leaves its names to the row above.
        named = unnamed_later(i % columns, [other.names for other in row]) if len(row) == columns else ()
        _draw(axes, panel, styles, named)
        axes.set_ylabel(wrapped(panel.metric.head, 30))
        axes.set_xlabel("guidance scale w" if i + columns >= len(shown) else "")
    return figure


def _styles(shown: Sequence[LinesPanel]) -> dict[str, Look]:
    names = list(dict.fromkeys(named.name for panel in shown for named in panel.lines))
    return dict(zip(names, distinct_looks(len(names)), strict=True))


def _panels(answers: Answers, keys: Collection[str], metrics: Sequence[ShownMetric]) -> list[LinesPanel]:
    """The panels, row by row, without those in which nothing changes."""
    named = {key: _named(answers, key) for key in answers.lines}
    made = []
    for metric in metrics:
        for key in (key for key in keys if key in named):
            if any(named_line.line.moves(metric.name) for named_line in named[key]):
                finite = [named_line for named_line in named[key] if any(_finite(named_line.line, metric))]
                made.append(LinesPanel(key, metric, _apart(finite, metric)))
    return made


def _apart(lines: Sequence[NamedLine], metric: ShownMetric) -> list[NamedLine]:
    """The lines that can be told apart: lines with the same values become one, whose text has all their names."""
    by_values: dict[object, list[NamedLine]] = {}
    for named in lines:
        points = zip(named.line.xs, named.line.cells, strict=True)
        values = tuple((x, cell.estimate(metric.name).by_seed) for x, cell in points)
        stars = tuple(_tuned(named.line, metric))
        by_values.setdefault((values, stars), []).append(named)
    return [replace(alike[0], text=together(named.name for named in alike)) for alike in by_values.values()]


def _named(answers: Answers, key: str) -> list[NamedLine]:
    """The lines over one number, named by what tells them apart; a single line by what tells it from other cells."""
    lines = answers.lines[key]
    own = [_own(key, line) for line in lines]
    if len(lines) == 1:
        return [NamedLine(text := _fixed(answers, own[0]), lines[0], text)]
    everyone = list({id(cell): cell for cells in own for cell in cells}.values())
    names = [name(cells, everyone) for cells in own]
    return [NamedLine(text, line, text) for text, line in zip(names, lines, strict=True)]


def _own(key: str, line: Line) -> list[CellRuns]:
    """The cells that may tell a line from others: all but the one without guidance, where every line begins."""
    return [cell for x, cell in zip(line.xs, line.cells, strict=True) if key != GUIDANCE or x != 1]


def _fixed(answers: Answers, cells: Sequence[CellRuns]) -> str:
    """The levels that all of these cells share and some others of the grid lack, each with its axis's label."""
    words = []
    for i, axis in enumerate(answers.axes):
        levels = {cell.levels[i] for cell in cells}
        if len(levels) == 1 and answers.grid.runs[f"axis.{axis.name}"].nunique() > 1:
            words.append(f"{axis.label} {cells[0].labels[i]}")
    return ", ".join(words)


def _finite(line: Line, metric: ShownMetric) -> list[bool]:
    return [cell.estimate(metric.name).known for cell in line.cells]


def _draw(axes: Axes, panel: LinesPanel, styles: Mapping[str, Look], labelled: Collection[str]) -> None:
    """Draw one panel, in which the lines in `labelled` are named."""
    estimates = [[cell.estimate(panel.metric.name) for cell in named.line.cells] for named in panel.lines]
    tuned = [_tuned(named.line, panel.metric) for named in panel.lines]
    numbers = [x for named in panel.lines for x in named.line.xs]
    _x_axis(axes, panel.key, sorted({*numbers, *(x for stars in tuned for x, _ in stars)}))
    drawn = [cell.estimate(panel.metric.name) for named in panel.lines for cell in named.line.tuned]
    drawn += [estimate for of_line in estimates for estimate in of_line]
    view = whole_window([estimate for estimate in drawn if estimate.known], LOG_Y)
    view = view.bounded(panel.metric.least)
    show(axes, "y", view, 5)
    rounding = Rounding.of(
        panel.metric.decimals, [estimate.half_width for of_line in estimates for estimate in of_line]
    )
    out, ends = [], []
    for named, of_line, stars in zip(panel.lines, estimates, tuned, strict=True):
        look = styles[named.name]
        here = [(x, estimate) for x, estimate in zip(named.line.xs, of_line, strict=True) if estimate.known]
        points = [(x, on_axis(view, estimate)) for x, estimate in here]
        _line(axes, points, look, view, named.name)
        for x, value in stars:
            axes.plot(x, view.clipped(value), "*", ms=5.5, mew=0.4, mec="white", color=look.color, zorder=4)
        out += [((x, estimate.mean), look, rounding) for x, estimate in points]
        if named.name in labelled:
            ends.append(((points[-1][0], view.clipped(points[-1][1].mean)), named.text, look.color))
    mark_outside(axes, out, view)
    label_ends(axes, ends, _CHARS)


def _tuned(line: Line, metric: ShownMetric) -> list[tuple[float, float]]:
    """The scale that each tuned cell took at each seed, and the metric there."""
    return [
        (scale, values[seed])
        for cell in line.tuned
        for values in [cell.estimate(metric.name).values]
        for seed, scale in cell.estimate(TUNED).values.items()
        if seed in values
    ]


def _line(axes: Axes, points: Sequence[tuple[float, Estimate]], look: Look, view: Window, text: str) -> None:
    """Draw the seeds, the interval of each mean as far as it is in view, and the means."""
    for x, estimate in points:
        values = list(estimate.values.values())
        axes.plot([x] * len(values), values, ".", ms=3.4, mew=0, color=look.color, alpha=0.6, zorder=2)
        if math.isfinite(estimate.half_width):
            ends = np.clip([estimate.low, estimate.high], view.low, view.high)
            axes.plot([x, x], ends, color=look.color, lw=0.8, alpha=0.6, solid_capstyle="butt", zorder=2)
    xs, means = [x for x, _ in points], [estimate.mean for _, estimate in points]
    axes.plot(xs, means, look.marker, ls="-", ms=3.6, mew=0, label=text or "mean", zorder=3, **look.line)


def _x_axis(axes: Axes, key: str, xs: Sequence[float]) -> None:
    """Set the axis of the numbers: logarithmic over a wide range, with the numbers as ticks if they are few."""
    low, high = xs[0], xs[-1]
    log = key != SKIP and low > 0 and high > LOG_X * low
    show(axes, "x", around(low, high, 0.05, log=log), 5)
    if log and len(xs) <= _TICKS:
        axes.xaxis.set_major_locator(FixedLocator(xs))
