"""Metrics against a number that cells differ in: steps, T, the share skipped. A column per number, a row per metric.

Seeds are points, their mean a line with markers and a bar for its 95 % interval. A panel whose metric is of a stage
that its cells share, so that nothing moves, is left out. What is far off the rest is set at the edge with its number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from analysis.figures.drawing import WIDTH, Look, distinct_looks, label_ends, log_scale, new_figure, wrapped
from analysis.figures.forest import Window, beyond, window_on
from analysis.figures.metrics import chosen
from analysis.figures.names import name
from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.lines import ETA, HORIZON, SAMPLING, SCORING, SKIP, Line, lines_of
from analysis.findings.summary import metrics_present
from analysis.notation import Rounding, mathtext
from analysis.read.meta import Metric
from analysis.read.runs import GridResults

LABELS = {
    SAMPLING: "sampling steps",
    SKIP: "share of the reverse process skipped",
    HORIZON: "T",
    SCORING: "T in evaluation",
    ETA: "η",
}
LOG_X, LOG_Y = 5, 10
"""Above these ratios of the largest to the smallest value an axis is logarithmic."""
_TICKS = 7
_CHARS = 14
_HEIGHT = 2.0
_FLAT = 3
"""As often as large as the range of the bulk, the range of all values makes that of the bulk too flat to read."""


@dataclass(frozen=True, eq=False)
class Named:
    """A line with its name, which has one look in all panels."""

    name: str
    line: Line


@dataclass(frozen=True, eq=False)
class Panel:
    """A metric against a number, by the lines that have any value of it."""

    key: str
    metric: Metric
    lines: list[Named]


def lines_figure(grid: GridResults) -> Figure | None:
    """The figure; None where no three cells differ in a number alone, or no metric moves with it."""
    panels = _panels(grid)
    if not panels:
        return None
    keys = [key for key in LABELS if any(panel.key == key for panel in panels)]
    metrics = list(dict.fromkeys(panel.metric.name for panel in panels))
    names = list(dict.fromkeys(named.name for panel in panels for named in panel.lines))
    styles = dict(zip(names, distinct_looks(len(names)), strict=True))
    tall = max(_HEIGHT, 0.3 + 0.16 * len(styles))
    figure = new_figure(WIDTH if len(keys) > 1 else 0.65 * WIDTH, 0.2 + tall * len(metrics))
    figure.set_layout_engine("constrained", wspace=0.04)
    subplots = figure.subplots(len(metrics), len(keys), squeeze=False)
    empty = {(i, j) for i in range(len(metrics)) for j in range(len(keys))}
    for panel in panels:
        place = metrics.index(panel.metric.name), keys.index(panel.key)
        axes = subplots[place]
        row = [one for one in panels if one.metric == panel.metric]
        column = [one for one in panels if one.key == panel.key]
        _draw(axes, panel, styles, _unnamed(panel, row) if len(keys) > 2 else panel.lines)
        axes.set_ylabel(mathtext(panel.metric.head) if panel is row[0] else "")
        axes.set_xlabel(wrapped(LABELS[panel.key], 26) if panel is column[-1] else "")
        empty.discard(place)
    for place in empty:
        subplots[place].remove()
    return figure


def _panels(grid: GridResults) -> list[Panel]:
    """Row by row, without those in which nothing moves."""
    found = lines_of(grid)
    named = {key: _named(grid, lines) for key, lines in found.items()}
    panels = []
    for metric in chosen(metrics_present(grid)):
        for key in (key for key in LABELS if key in named):
            if any(one.line.moves(metric.name) for one in named[key]):
                known = [one for one in named[key] if any(_finite(one.line, metric))]
                panels.append(Panel(key, metric, known))
    return panels


def _named(grid: GridResults, lines: Sequence[Line]) -> list[Named]:
    """Lines of one number by what tells them apart; a lone one by what tells it from the rest of the grid, if any."""
    if len(lines) == 1:
        return [Named(_fixed(grid, lines[0].cells), lines[0])]
    everyone = list({id(cell): cell for line in lines for cell in line.cells}.values())
    return [Named(name(line.cells, everyone), line) for line in lines]


def _fixed(grid: GridResults, cells: Sequence[CellRuns]) -> str:
    """The levels that all of these cells have and some of the grid's have not, each by its axis's label too."""
    words = []
    for i, axis in enumerate(grid.meta.axes):
        levels = {cell.levels[i] for cell in cells}
        if len(levels) == 1 and grid.runs[f"axis.{axis.name}"].nunique() > 1:
            words.append(f"{axis.label} {cells[0].labels[i]}")
    return ", ".join(words)


def _unnamed(panel: Panel, row: Sequence[Panel]) -> list[Named]:
    """Where a row is narrow a line is named once, in the last panel that has it: these are left to this one."""
    after = {named.name for other in row[row.index(panel) + 1 :] for named in other.lines}
    return [named for named in panel.lines if named.name not in after]


def _finite(line: Line, metric: Metric) -> list[bool]:
    return [math.isfinite(cell.estimate(metric.name).mean) for cell in line.cells]


def _draw(axes: Axes, panel: Panel, styles: Mapping[str, Look], labelled: Sequence[Named]) -> None:
    """One panel, in which these of its lines are named."""
    estimates = [[cell.estimate(panel.metric.name) for cell in named.line.cells] for named in panel.lines]
    _x_axis(axes, panel.key, sorted({x for named in panel.lines for x in named.line.xs}))
    view = y_axis(axes, [one for found in estimates for one in found if math.isfinite(one.mean)])
    rounding = Rounding.of(panel.metric.decimals, [one.half_width for found in estimates for one in found])
    out: Counter[tuple[float, bool]] = Counter()
    ends = []
    for named, found in zip(panel.lines, estimates, strict=True):
        look = styles[named.name]
        points = [(x, one) for x, one in zip(named.line.xs, found, strict=True) if math.isfinite(one.mean)]
        _line(axes, points, look, view, named.name)
        for x, one in points:
            if not view.holds(one.mean):
                side = x, one.mean > view.high
                beyond(axes, rounding.number(one.mean), x, look, view, above=side[1], stacked=out[side])
                out[side] += 1
        if named.name and named in labelled:
            ends.append((min(max(points[-1][1].mean, view.low), view.high), named.name, look.color))
    label_ends(axes, ends, _CHARS)


def _line(axes: Axes, points: Sequence[tuple[float, Estimate]], look: Look, view: Window, text: str) -> None:
    """Seeds, the interval of each mean as far as it is in view, and the means."""
    for x, one in points:
        values = list(one.values.values())
        axes.plot([x] * len(values), values, ".", ms=3.4, mew=0, color=look.color, alpha=0.6, zorder=2)
        if math.isfinite(one.half_width):
            ends = np.clip([one.mean - one.half_width, one.mean + one.half_width], view.low, view.high)
            axes.plot([x, x], ends, color=look.color, lw=0.8, alpha=0.6, solid_capstyle="butt", zorder=2)
    dashes = look.dashes or (None, None)
    xs, means = [x for x, _ in points], [one.mean for _, one in points]
    axes.plot(
        xs, means, look.marker, ls="-", dashes=dashes, ms=3.6, mew=0, color=look.color, label=text or "mean", zorder=3
    )


def _x_axis(axes: Axes, key: str, xs: Sequence[float]) -> None:
    """Logarithmic over a wide range, with the numbers themselves as ticks where they are few."""
    low, high = xs[0], xs[-1]
    if key != SKIP and low > 0 and high > LOG_X * low:
        margin = (high / low) ** 0.05
        log_scale(axes, "x", low, high)
        if len(xs) <= _TICKS:
            axes.xaxis.set_major_locator(FixedLocator(xs))
        axes.set_xlim(low / margin, high * margin)
    else:
        margin = 0.05 * (high - low)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.set_xlim(low - margin, high + margin)


def y_axis(axes: Axes, estimates: Sequence[Estimate], log_from: float = LOG_Y) -> Window:
    """The range that is drawn, and its ticks; logarithmic above this ratio of the largest to the smallest value."""
    view = _view(estimates, log_from)
    if view.log:
        log_scale(axes, "y", view.low, view.high)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.set_ylim(view.low, view.high)
    return view


def _view(estimates: Sequence[Estimate], log_from: float) -> Window:
    """All values, on a logarithmic axis where they span more than this ratio, or where a few would flatten the rest.

    Where they would do so on either axis, the bulk alone.
    """
    values = [value for one in estimates for value in one.values.values()]
    wide, positive = 0 < log_from * min(values) < max(values), min(values) > 0
    for log in (True,) if wide else (False, True) if positive else (False,):
        bulk = window_on(estimates, [], log=log)
        whole = _widened(bulk, values)
        if bulk.share(whole.high) - bulk.share(whole.low) < _FLAT:
            return whole
    bulk = window_on(estimates, [], log=wide)
    return bulk if bulk.high > log_from * bulk.low else window_on(estimates, [], log=False)


def _widened(view: Window, values: Sequence[float]) -> Window:
    """A range that holds these values too."""
    low, high = min(view.low, *values), max(view.high, *values)
    if (low, high) == (view.low, view.high):
        return view
    if view.log:
        margin = (high / low) ** 0.04
        return Window(low / margin, high * margin, True)
    margin = 0.04 * (high - low)
    return Window(low - margin, high + margin, False)
