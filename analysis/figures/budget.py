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
from analysis.figures.windows import Window, show, whole_window
from analysis.findings.answers import Answers
from analysis.findings.cells import Estimate
from analysis.findings.comparisons import Budget, Rung
from analysis.findings.verdicts import Findings
from analysis.format.notation import mathtext
from analysis.statistics.paired import mean_interval
from analysis.words.budget import steps_of

NAMED = 10
"""Cells that have a colour and a name; the others are grey."""
_CHARS = 18
_LINE = 0.17
_ASIDE = 0.012
"""The distance of the bars of cells, in halvings of the budget."""


def budget_figure(answers: Answers) -> Figure | None:
    """The figure; None where no training was scored on its way."""
    known = [(found, found.budget) for found in answers.findings if found.budget is not None]
    if not known:
        return None
    named = {id(found.cells[i]): found.cells[i].name for found, _ in known for i in found.ranked[:NAMED]}
    few = list(named)[:NAMED]
    looks = dict(zip(few, distinct_looks(len(few)), strict=True))
    tall = max(2.4, 0.7 + _LINE * sum(1 + wrapped(named[one], _CHARS).count("\n") for one in few))
    figure, subplots = panels(len(known), tall, alone=0.62, wspace=0.05)
    for axes, (found, budget) in zip(subplots, known, strict=True):
        _draw(axes, found, budget, [looks.get(id(cell)) for cell in found.cells])
    return figure


def _draw(axes: Axes, found: Findings, budget: Budget, looks: Sequence[Look | None]) -> None:
    """The panel of a metric, in which cells without a look are grey."""
    lines = [_line(budget.rungs, i) for i in range(len(found.cells))]
    view = whole_window([one for line in lines for _, one in line], log_from=5).bounded(found.metric.least)
    show(axes, "y", view, 5)
    ends: list[tuple[float, str, Color]] = []
    for i in found.ranked[::-1]:
        look = looks[i]
        _plot(axes, lines[i], look, view, (i - len(lines) / 2) * _ASIDE)
        if look is not None:
            ends.append((view.clipped(lines[i][-1][1].mean), found.cells[i].name, look.color))
    places = [-rung.halvings for rung in budget.rungs]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([steps_of(rung) for rung in budget.rungs]))
    axes.xaxis.set_minor_locator(NullLocator())
    where = " on validation" if budget.on_validation else ""
    axes.set(xlabel="training steps", ylabel=mathtext(f"{found.metric.head}{where}"))
    label_ends(axes, ends[::-1], _CHARS)


def _line(rungs: Sequence[Rung], i: int) -> list[tuple[float, Estimate]]:
    """A cell's estimates where it has any, by the place of the rung on the axis."""
    known = [(-rung.halvings, rung.values[i]) for rung in rungs if rung.values[i]]
    return [(x, Estimate(*mean_interval(list(values.values())), values)) for x, values in known]


def _plot(axes: Axes, line: Sequence[tuple[float, Estimate]], look: Look | None, view: Window, aside: float) -> None:
    xs, means = [x + aside for x, _ in line], [view.clipped(one.mean) for _, one in line]
    if look is None:
        axes.plot(xs, means, color=GREY, lw=0.6, alpha=0.5, zorder=1)
        return
    axes.plot(xs, means, look.marker, ls="-", ms=3.4, mew=0, zorder=3, **look.line)
    for x, (_, one) in zip(xs, line, strict=True):
        if math.isfinite(one.half_width):
            ends = [view.clipped(one.low), view.clipped(one.high)]
            axes.plot([x, x], ends, color=look.color, lw=0.8, alpha=0.5, solid_capstyle="butt", zorder=2)
