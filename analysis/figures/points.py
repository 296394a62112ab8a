"""Cells as points, a metric against a cost: the common parts of the figures `cost` and `compute`.

Seeds are dots, their mean is a marker; a mean out of view is an arrow at the edge with its number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.drawing import Look, Point
from analysis.figures.forest import Mark, beyond
from analysis.figures.ticks import power
from analysis.figures.windows import Window, around, show
from analysis.findings.cells import Estimate
from analysis.findings.costs import Cost
from analysis.labels import Rounding

LOG_FROM = 3
"""The ratio of costs above which their axis is logarithmic."""
_PLAIN = 1e5
"""The cost from which on the ticks of a linear axis are powers of ten."""


def known_cells(estimates: Sequence[Estimate], cost: Cost) -> list[int]:
    """The cells whose value and cost are both known."""
    return [i for i, estimate in enumerate(estimates) if estimate.known and cost.values[i]]


def cost_axis(axes: Axes, cost: Cost, cells: Sequence[int]) -> None:
    """Set the axis to the range of these cells' costs at any seed, logarithmic if that is wide."""
    costs = [value for i in cells for value in cost.values[i].values()]
    low, high = min(costs), max(costs)
    log = high > LOG_FROM * low > 0
    show(axes, "x", around(low, high, 0.08, log=log, flat=0.05 * high), 5)
    if not log and high >= _PLAIN:
        axes.xaxis.set_major_formatter(lambda value, _: power(value) if value else "0")


def draw_seeds(axes: Axes, costs: dict[int, float], estimate: Estimate, look: Look, alpha: float) -> None:
    """Draw a dot for each seed whose cost and value are both known."""
    seeds = [(x, estimate.values[seed]) for seed, x in costs.items() if seed in estimate.values]
    axes.plot(*np.array(seeds).reshape(-1, 2).T, ".", ms=3, mew=0, color=look.color, alpha=alpha, zorder=2)


def mark_outside(axes: Axes, means: Sequence[tuple[Point, Look, Rounding]], view: Window) -> None:
    """Draw the arrows of the means that are out of view."""
    out = [(point, look, rounding) for point, look, rounding in means if not view.holds(point[1])]
    beyond(axes, [Mark(rounding.number(mean), x, mean, look) for (x, mean), look, rounding in out], view)
