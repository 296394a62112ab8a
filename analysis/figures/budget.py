"""Metrics over the budget: each cell's mean where trainings were scored on their way, and at their end.

A panel per metric that decides and a line per cell, with a bar for the 95 % interval over its seeds; of many cells the
best have a name. Lines that cross or come together are what more training may turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from analysis.figures.drawing import GREY, Color, Look, distinct_looks, label_ends, panels, wrapped
from analysis.figures.windows import Window, on_axis, show, whole_window
from analysis.findings.answers import Answers
from analysis.findings.cells import Estimate
from analysis.findings.comparisons import Budget, Rung
from analysis.findings.verdicts import Findings
from analysis.format.notation import mathtext
from analysis.statistics.paired import mean_interval

NAMED = 10
"""Cells that have a colour and a name; the others are grey."""
_CHARS = 18
_LINE = 0.17
_ASIDE = 0.012
"""The distance of the bars of cells, in halvings of the budget."""


def budget_figure(answers: Answers) -> Figure | None:
    """The figure; None where no training was scored on its way."""
    scored = [(answer, answer.budget) for answer in answers.findings if answer.budget is not None]
    if not scored:
        return None
    named = {id(answer.cells[i]): answer.cells[i].name for answer, of in scored for i in _ranked(answer, of)[:NAMED]}
    few = list(named)[:NAMED]
    looks = dict(zip(few, distinct_looks(len(few)), strict=True))
    tall = max(2.4, 0.7 + _LINE * sum(1 + wrapped(named[key], _CHARS).count("\n") for key in few))
    figure, subplots = panels(len(scored), tall, alone=0.62, wspace=0.05)
    for axes, (answer, budget) in zip(subplots, scored, strict=True):
        _draw(axes, answer, budget, [looks.get(id(cell)) for cell in answer.cells])
    return figure


def _draw(axes: Axes, answer: Findings, budget: Budget, looks: Sequence[Look | None]) -> None:
    """The panel of a metric, in which cells without a look are grey."""
    lines = [_line(budget.rungs, i) for i in range(len(answer.cells))]
    view = whole_window([estimate for line in lines for _, estimate in line], log_from=5).bounded(answer.metric.least)
    lines = [[(x, on_axis(view, estimate)) for x, estimate in line] for line in lines]
    show(axes, "y", view, 5)
    ends: list[tuple[float, str, Color]] = []
    for i in _ranked(answer, budget)[::-1]:
        look = looks[i]
        _plot(axes, lines[i], look, view, (i - len(lines) / 2) * _ASIDE)
        if look is not None:
            ends.append((view.clipped(lines[i][-1][1].mean), answer.cells[i].name, look.color))
    places = [-rung.halvings for rung in budget.rungs]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([rung.label for rung in budget.rungs]))
    axes.xaxis.set_minor_locator(NullLocator())
    where = " on validation" if budget.on_validation else ""
    axes.set(xlabel="training steps", ylabel=mathtext(f"{answer.metric.head}{where}"))
    label_ends(axes, ends[::-1], _CHARS)


def _ranked(answer: Findings, budget: Budget) -> list[int]:
    """The cells in order of their values, without those that have no part in it."""
    return [i for i in answer.ranked if budget.rungs[-1].values[i]]


def _line(rungs: Sequence[Rung], i: int) -> list[tuple[float, Estimate]]:
    """A cell's estimates where it has any, by the place of the rung on the axis."""
    points = [(-rung.halvings, rung.values[i]) for rung in rungs if rung.values[i]]
    return [(x, Estimate(*mean_interval(list(values.values())), values)) for x, values in points]


def _plot(axes: Axes, line: Sequence[tuple[float, Estimate]], look: Look | None, view: Window, aside: float) -> None:
    xs, means = [x + aside for x, _ in line], [view.clipped(estimate.mean) for _, estimate in line]
    if look is None:
        axes.plot(xs, means, color=GREY, lw=0.6, alpha=0.5, zorder=1)
        return
    axes.plot(xs, means, look.marker, ls="-", ms=3.4, mew=0, zorder=3, **look.line)
    for x, (_, estimate) in zip(xs, line, strict=True):
        if math.isfinite(estimate.half_width):
            ends = [view.clipped(estimate.low), view.clipped(estimate.high)]
            axes.plot([x, x], ends, color=look.color, lw=0.8, alpha=0.5, solid_capstyle="butt", zorder=2)
