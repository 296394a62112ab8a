"""The cost of quality: each metric against the cost of a cell, seeds as dots, their mean as a marker.

Filled are the cells of the Pareto front (`costs.front_of_cells`); a step line joins those whose means dominate. All
filled cells are named or, if there is no room for that, those on the line, or some of these from end to end. Costs that
are not known to differ count as equal, so a cell can be off the front although it lies at its left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.distinct import name
from analysis.figures.drawing import GREY, Look, first_level, label_ends, label_heights, looks, panels, wrapped
from analysis.figures.points import cost_axis, draw_seeds, known_cells, mark_outside
from analysis.figures.windows import Window, bulk_window, show
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.costs import Cost, Purchase
from analysis.findings.values import shared
from analysis.findings.verdicts import Findings
from analysis.labels import Rounding, mathtext
from analysis.statistics.pareto import pareto_front

_CHARS = 18


def cost_figure(answers: Answers) -> Figure | None:
    """The figure; None where costs are not known, or there are no two cells to choose from."""
    shown = [bought for bought in answers.purchases if known_cells(bought.answer.estimates, bought.cost)]
    if not shown:
        return None
    columns = min(2, len(shown))
    figure, subplots = panels(len(shown), 0.3 + 2.7 * -(-len(shown) // columns), columns=columns, wspace=0.04)
    for axes, purchase in zip(subplots, shown, strict=True):
        _panel(axes, purchase, looks(answers.axes))
    return figure


def _panel(axes: Axes, purchase: Purchase, styles: dict[str, Look]) -> None:
    answer, cost, kept = purchase.answer, purchase.cost, purchase.front
    drawn = known_cells(answer.estimates, cost)
    # Only points and their seeds have to fit, not the intervals.
    bare = [Estimate(answer.estimates[i].mean, math.nan, answer.estimates[i].values) for i in drawn]
    view = bulk_window(bare).bounded(answer.metric.least)
    cost_axis(axes, cost, drawn)
    show(axes, "y", view, 7)
    axes.set(xlabel=mathtext(cost.head), ylabel=mathtext(answer.metric.head))
    means = []
    for i in drawn:
        estimate, look = answer.estimates[i], styles[first_level(answer.cells[i])]
        if view.holds(estimate.mean):
            _cell(axes, estimate, cost, i, look, filled=kept[i])
        rounding = Rounding.of(answer.metric.decimals, [estimate.half_width])
        means.append(((cost.mean(i), estimate.mean), look, rounding))
    mark_outside(axes, means, view)
    on_front = [i for i in drawn if kept[i]]
    dominant = _dominant(answer, cost, on_front)
    _steps(axes, answer, cost, dominant, view)
    alike = _alike(answer, cost, on_front)
    first = {id(cell): i for i, cells in alike for cell in cells}
    seen = list(dict.fromkeys(first[id(answer.cells[i])] for i in dominant if view.holds(answer.estimates[i].mean)))
    names = {i: name(cells, answer.cells) for i, cells in alike}
    choices = [list(names), *(_spread(sorted(seen, key=cost.mean), most) for most in range(len(seen), 1, -1))]
    named = next((chosen for chosen in choices if _share(axes, [names[i] for i in chosen]) <= 1), seen[:1])
    points = {i: (cost.mean(i), view.clipped(answer.estimates[i].mean)) for i in named}
    ends = [(at, names[i], styles[first_level(answer.cells[i])].color) for i, at in points.items()]
    label_ends(axes, ends, _CHARS, fontsize=6.8)
    part = "its best means" if len(named) == len(seen) else "some of its best means"
    title = "filled and named: the front" if named == list(names) else f"filled: the front; named: {part}"
    axes.set_title(title, loc="left", color=GREY, fontsize=6.8, pad=9)


def _alike(answer: Findings, cost: Cost, cells: Sequence[int]) -> list[tuple[int, list[CellRuns]]]:
    """The cells, grouped under the first of those with the same value and cost, because they share a training."""

    def same(i: int, j: int) -> bool:
        return cost.values[i] == cost.values[j] and answer.estimates[i].by_seed == answer.estimates[j].by_seed

    return shared([(answer.cells[i], i) for i in cells], same)


def _spread(cells: Sequence[int], most: int) -> list[int]:
    """So many of the cells, evenly spaced from the first to the last."""
    return [cells[round(k * (len(cells) - 1) / (most - 1))] for k in range(most)]


def _share(axes: Axes, names: Iterable[str]) -> float:
    """The share of the axes' height that the names take."""
    return sum(label_heights(axes, [wrapped(text, _CHARS) for text in names], 3.0))


def _cell(axes: Axes, estimate: Estimate, cost: Cost, i: int, look: Look, *, filled: bool) -> None:
    """Draw the seeds and the mean of a cell: filled on the front; hollow and pale off it."""
    draw_seeds(axes, cost.values[i], estimate, look, 0.8 if filled else 0.35)
    face, width = (look.color, 0.0) if filled else ("white", 0.9)
    place = cost.mean(i), estimate.mean
    axes.plot(*place, look.marker, ms=5.5, mfc=face, mec=look.color, mew=width, zorder=4 if filled else 3)


def _dominant(answer: Findings, cost: Cost, kept: Sequence[int]) -> list[int]:
    """The cells among `kept` whose mean no cheaper one reaches."""
    means = [answer.estimates[i].mean for i in kept]
    on = pareto_front([cost.mean(i) for i in kept], means, answer.metric.sign)
    return [i for i, dominates in zip(kept, on, strict=True) if dominates]


def _steps(axes: Axes, answer: Findings, cost: Cost, dominant: Sequence[int], view: Window) -> None:
    """Draw the step line of the best mean for each budget."""
    corners = [(cost.mean(i), answer.estimates[i].mean) for i in dominant]
    points = sorted((x, y) for x, y in corners if view.holds(y))
    if points:
        ends = [*points, (axes.get_xlim()[1], points[-1][1])]
        axes.step(*np.array(ends).T, where="post", color=GREY, linewidth=0.8, zorder=1)
