"""Metrics over the budget: each cell's mean at the rungs and at the end of training.

A panel per deciding metric and a line per cell, or per training that cells share, with a bar for the 95 % interval over
its seeds; if there are many, the best by each metric have a name. More training may turn lines that cross or come
together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from analysis.figures.distinct import name
from analysis.figures.drawing import GREY, Color, Look, Point, cell_looks, label_ends, panels, room_for
from analysis.figures.windows import Window, on_axis, show, whole_window
from analysis.findings.answers import Answers
from analysis.findings.cells import Estimate
from analysis.findings.comparisons import Budget
from analysis.findings.values import shared
from analysis.findings.verdicts import Findings
from analysis.labels import counted, mathtext
from analysis.statistics.paired import mean_interval

Line = list[tuple[float, Estimate]]
"""The estimates of a line, each with the place of its rung on the axis."""
NAMED = 10
"""The most lines that have a colour and a name; the others are grey."""
_CHARS = 18
_ASIDE = 0.012
"""The distance between the bars of named lines, in halvings of the budget."""


@dataclass(frozen=True)
class NamedCourse:
    """A line with its name; `key` is the levels of its first cell, by which it has the same look in all panels."""

    points: Line
    key: tuple[str, ...]
    name: str


def budget_figure(answers: Answers) -> Figure | None:
    """The figure; None where no training was scored at a rung."""
    scored = [(answer, answer.budget) for answer in answers.findings if answer.budget is not None]
    if not scored:
        return None
    lines_of = [_distinct(answers, answer, budget) for answer, budget in scored]
    in_turn = [line for lines in zip_longest(*lines_of) for line in lines if line is not None]
    names = {line.key: line.name for line in reversed(in_turn)}
    few = list(dict.fromkeys(line.key for line in in_turn))[:NAMED]
    looks = dict(zip(few, cell_looks(answers.axes, few), strict=True))
    tall = max(2.4, room_for([*(names[key] for key in few), "others"], _CHARS))
    figure, subplots = panels(len(scored), tall, alone=0.62, wspace=0.05)
    for axes, (answer, budget), lines in zip(subplots, scored, lines_of, strict=True):
        _draw(axes, answer, budget, [(line, looks.get(line.key)) for line in lines])
    return figure


def _distinct(answers: Answers, answer: Findings, budget: Budget) -> list[NamedCourse]:
    """The lines, the best first; cells that share a training share one."""
    ranked = [i for i in answer.ranked if budget.rungs[-1].values[i]]
    values = [(answer.cells[i], [(-rung.halvings, rung.values[i]) for rung in budget.rungs]) for i in ranked]
    return [
        NamedCourse(_line(of_rungs), cells[0].levels, name(cells, answers.cells))
        for of_rungs, cells in shared(values, list.__eq__)
    ]


def _draw(axes: Axes, answer: Findings, budget: Budget, lines: Sequence[tuple[NamedCourse, Look | None]]) -> None:
    """Draw the panel of a metric; lines without a look are grey, and counted."""
    view = whole_window([estimate for line, _ in lines for _, estimate in line.points], log_from=5)
    view = view.bounded(answer.metric.least)
    show(axes, "y", view, 5)
    ends: list[tuple[Point, str, Color]] = []
    others: list[Point] = []
    for i, (line, look) in reversed(list(enumerate(lines))):
        # The grey ones have no bars that could hide each other.
        aside = (i - min(len(lines), NAMED) / 2) * _ASIDE if look else 0.0
        points = [(x, on_axis(view, estimate)) for x, estimate in line.points]
        _plot(axes, points, look, view, aside)
        end = points[-1][0] + aside, view.clipped(points[-1][1].mean)
        if look is None:
            others.append(end)
        else:
            ends.append((end, line.name, look.color))
    if others:
        ends.append((others[0], counted(len(others), "other"), to_rgb(GREY)))
    places = [-rung.halvings for rung in budget.rungs]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([rung.label for rung in budget.rungs]))
    axes.xaxis.set_minor_locator(NullLocator())
    where = " on validation" if budget.on_validation else ""
    axes.set(xlabel="training steps", ylabel=mathtext(f"{answer.metric.head}{where}"))
    label_ends(axes, ends, _CHARS)


def _line(values: Sequence[tuple[float, dict[int, float]]]) -> Line:
    """A cell's estimates where it has any, by the place of the rung on the axis."""
    return [(x, Estimate(*mean_interval(list(of_seed.values())), of_seed)) for x, of_seed in values if of_seed]


def _plot(axes: Axes, line: Line, look: Look | None, view: Window, aside: float) -> None:
    xs, means = [x + aside for x, _ in line], [view.clipped(estimate.mean) for _, estimate in line]
    if look is None:
        axes.plot(xs, means, color=GREY, lw=0.6, alpha=0.5, zorder=1)
        return
    axes.plot(xs, means, look.marker, ls="-", ms=3.4, mew=0, zorder=3, **look.line)
    for x, (_, estimate) in zip(xs, line, strict=True):
        if math.isfinite(estimate.half_width):
            ends = [view.clipped(estimate.low), view.clipped(estimate.high)]
            axes.plot([x, x], ends, color=look.color, lw=0.8, alpha=0.5, solid_capstyle="butt", zorder=2)
