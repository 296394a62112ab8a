"""What quality costs: each metric against the cost of a cell, seeds as dots, their mean as a marker.

Filled are the cells of the Pareto front (`costs.front`); a step line joins those whose means dominate. All that are
filled are named, or, where that is more than there is room for, those on the line.
Costs whose difference is not known count as equal, so a cell can be off the front though it stands at its left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing import (
    GREY,
    WIDTH,
    Look,
    first_level,
    log_scale,
    looks,
    new_figure,
    power,
    spread,
    wrapped,
)
from analysis.figures.forest import Window, beyond, window
from analysis.findings.cells import Estimate
from analysis.findings.costs import Cost, costs_for, front, pareto_front
from analysis.findings.verdicts import Findings, findings
from analysis.notation import Rounding, mathtext
from analysis.read.runs import GridResults

LOG_FROM = 3
"""Above this ratio of costs their axis is logarithmic."""
_CHARS = 18


def cost_figure(grid: GridResults) -> Figure | None:
    """The figure; None where costs are not known, or there are no two cells to choose from."""
    shown = [(found, cost) for found in findings(grid) for cost in costs_for(grid, found) if _points(found, cost)]
    if not shown:
        return None
    columns = min(2, len(shown))
    lines = -(-len(shown) // columns)
    figure = new_figure(WIDTH if columns > 1 else 0.65 * WIDTH, 0.3 + 2.7 * lines)
    figure.set_layout_engine("constrained", wspace=0.04)
    subplots = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes, (found, cost) in zip(subplots, shown, strict=False):
        _panel(axes, grid, found, cost)
    for axes in subplots[len(shown) :]:
        axes.remove()
    return figure


def _points(found: Findings, cost: Cost) -> list[int]:
    """The cells whose value and cost are both known."""
    return [i for i, estimate in enumerate(found.estimates) if math.isfinite(estimate.mean) and cost.values[i]]


def _panel(axes: Axes, grid: GridResults, found: Findings, cost: Cost) -> None:
    known, kept = _points(found, cost), front(grid, found, cost)
    view = window([_without_interval(found.estimates[i]) for i in known], [])
    _dress(axes, cost, found.metric.head, view, known)
    styles = looks(grid)
    for i in known:
        estimate, look = found.estimates[i], styles[first_level(found.cells[i])]
        if view.holds(estimate.mean):
            _cell(axes, estimate, cost, i, look, view, filled=kept[i])
        else:
            text = Rounding.of(found.metric.decimals, [estimate.half_width]).number(estimate.mean)
            beyond(axes, text, cost.mean(i), look, view, above=estimate.mean > view.high)
    on_front = [i for i in known if kept[i]]
    dominant = _dominant(found, cost, on_front)
    _steps(axes, found, cost, dominant, view)
    seen = [i for i in dominant if view.holds(found.estimates[i].mean)]
    named = on_front if sum(_sizes(axes, found, on_front)) <= 1 else seen
    _names(axes, grid, found, cost, named, view)
    said = "filled and named: the front" if named == on_front else "filled: the front; named: its best means"
    axes.set_title(said, loc="left", color=GREY, fontsize=6.8, pad=9)


def _without_interval(estimate: Estimate) -> Estimate:
    """Points are drawn, no intervals: only they have to fit."""
    return Estimate(estimate.mean, math.nan, estimate.values)


def _dress(axes: Axes, cost: Cost, label: str, view: Window, known: Sequence[int]) -> None:
    costs = [value for i in known for value in cost.values[i].values()]
    low, high = min(costs), max(costs)
    if high > LOG_FROM * low > 0:
        margin = (high / low) ** 0.08
        log_scale(axes, "x", low / margin, high * margin)
        axes.set_xlim(low / margin, high * margin)
    else:
        margin = 0.08 * (high - low) or 0.05 * high
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        if high >= 1e5:
            axes.xaxis.set_major_formatter(lambda value, _: power(value) if value else "0")
    if view.log:
        log_scale(axes, "y", view.low, view.high)
    axes.set_ylim(view.low, view.high)
    axes.set(xlabel=mathtext(cost.head), ylabel=mathtext(label))


def _cell(axes: Axes, estimate: Estimate, cost: Cost, i: int, look: Look, view: Window, *, filled: bool) -> None:
    """Filled on the front; off it hollow and pale."""
    seeds = [(x, estimate.values[seed]) for seed, x in cost.values[i].items() if seed in estimate.values]
    inside = [point for point in seeds if view.holds(point[1])]
    axes.plot(*np.array(inside).reshape(-1, 2).T, ".", ms=3, mew=0, color=look.color, alpha=0.8 if filled else 0.35)
    face, width = (look.color, 0.0) if filled else ("white", 0.9)
    place = cost.mean(i), estimate.mean
    axes.plot(*place, look.marker, ms=5.5, mfc=face, mec=look.color, mew=width, zorder=4 if filled else 3)


def _dominant(found: Findings, cost: Cost, kept: Sequence[int]) -> list[int]:
    """Those of these cells whose mean no cheaper one reaches."""
    means = [found.estimates[i].mean for i in kept]
    on = pareto_front([cost.mean(i) for i in kept], means, found.metric.sign)
    return [i for i, dominates in zip(kept, on, strict=True) if dominates]


def _steps(axes: Axes, found: Findings, cost: Cost, dominant: Sequence[int], view: Window) -> None:
    """What the best mean is that each budget buys."""
    known = [(cost.mean(i), found.estimates[i].mean) for i in dominant]
    points = sorted((x, y) for x, y in known if view.holds(y))
    if points:
        ends = [*points, (axes.get_xlim()[1], points[-1][1])]
        axes.step(*np.array(ends).T, where="post", color=GREY, linewidth=0.8, zorder=1)


def _wrapped(found: Findings, i: int) -> str:
    return wrapped(found.cells[i].name, _CHARS)


def _sizes(axes: Axes, found: Findings, kept: Sequence[int]) -> list[float]:
    """What share of the height each name takes."""
    points = axes.get_window_extent().height / axes.figure.dpi * 72
    return [(9.0 * (_wrapped(found, i).count("\n") + 1) + 3.0) / points for i in kept]


def _names(axes: Axes, grid: GridResults, found: Findings, cost: Cost, kept: Sequence[int], view: Window) -> None:
    """At the right, at the height of its cell as far as there is room, each with a line to it."""
    styles = looks(grid)
    places = [min(max(view.share(found.estimates[i].mean), 0.0), 1.0) for i in kept]
    names = [_wrapped(found, i) for i in kept]
    for i, place, height, name in zip(kept, places, spread(places, _sizes(axes, found, kept)), names, strict=True):
        color = styles[first_level(found.cells[i])].color
        across = axes.transAxes
        start = across.inverted().transform(axes.transData.transform((cost.mean(i), 1.0)))[0]
        axes.plot([start, 1.015], [place, height], color=color, lw=0.5, alpha=0.6, transform=across, clip_on=False)
        axes.text(1.025, height, name, color=color, transform=across, va="center", fontsize=6.8, linespacing=1.0)
