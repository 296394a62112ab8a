"""Rows of a figure: a cell's or a difference's seeds, their mean and 95 % interval, on an axis that shows the bulk.

What is far off the rest is set at the edge with its number, so that it does not squash the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.figures.drawing import GREY, Look, log_scale, wrapped
from analysis.findings.cells import CellRuns, Estimate
from analysis.notation import mathtext
from analysis.read.runs import GridResults

LOG_RATIO = 20
"""Above this ratio of the largest to the smallest value that is not far off, an axis is logarithmic."""


@dataclass(frozen=True)
class Window:
    """The range of an axis that is drawn; values outside are told in words at its edge."""

    low: float
    high: float
    log: bool

    def holds(self, value: float) -> bool:
        """Whether a value is drawn where it belongs."""
        return self.low <= value <= self.high

    def share(self, value: float) -> float:
        """Where between the edges, in [0, 1]."""
        place = math.log10 if self.log else float
        return (place(value) - place(self.low)) / (place(self.high) - place(self.low))


def rows(grid: GridResults, cells: Sequence[CellRuns]) -> tuple[list[float], dict[float, tuple[str, bool]]]:
    """The height of each cell, and height → (label, whether it heads a group)."""
    heights: list[float] = []
    ticks: dict[float, tuple[str, bool]] = {}
    grouped, at, previous = len(grid.meta.axes) > 1, 0.0, None
    for cell in cells:
        if grouped and cell.levels[0] != previous:
            at += 0.4 if previous is not None else 0.0
            ticks[at] = (f"{grid.meta.axes[0].label} {cell.labels[0]}", True)
            at, previous = at + 1, cell.levels[0]
        heights.append(at)
        ticks[at] = (", ".join(cell.labels[1:] if grouped else cell.labels) or "this cell", False)
        at += 1
    return heights, ticks


def label_rows(axes: Axes, ticks: dict[float, tuple[str, bool]]) -> None:
    """The labels of the rows, those that head a group in bold."""
    axes.set_yticks(list(ticks), [wrapped(text, 60) for text, _ in ticks.values()])
    for text, (_, bold) in zip(axes.get_yticklabels(), ticks.values(), strict=True):
        text.set_fontweight("bold" if bold else "normal")


def dress(axes: Axes, view: Window, label: str) -> None:
    """The range of the axis, its ticks and label; rows have no lines of their own."""
    if view.log:
        log_scale(axes, "x", view.low, view.high)
    else:
        # Numbers of three and more decimals are long.
        most = 6 if view.high - view.low > 0.05 else 4
        axes.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlim(view.low, view.high)
    axes.set_xlabel(wrapped(label, 48))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def window(estimates: Sequence[Estimate], lines: Sequence[float], *, may_log: bool = True) -> Window:
    """What to draw: the seeds within three interquartile ranges, and what is near to them of the rest."""
    bulk = _bulk(estimates, False)
    log = may_log and float(bulk.min()) > 0 and bool(bulk.max() / bulk.min() > LOG_RATIO)
    return window_on(estimates, lines, log=log)


def window_on(estimates: Sequence[Estimate], lines: Sequence[float], *, log: bool) -> Window:
    """The same on an axis whose scale is given."""
    bulk = _bulk(estimates, log)
    bottom, top = float(bulk.min()), float(bulk.max())
    span = max(top - bottom, 0.05 * abs(top), 1e-6)
    most = max(len(estimate.values) for estimate in estimates)
    whole = [estimate for estimate in estimates if len(estimate.values) == most]
    ends = [estimate.mean + sign * estimate.half_width for estimate in whole for sign in (-1, 1)]
    for more, near in ((_placed(lines, log), 0.6 * span), (_placed(ends, log), span)):
        close = more[(more >= bulk.min() - near) & (more <= bulk.max() + near)]
        bottom, top = min([bottom, *close]), max([top, *close])
    margin = 0.06 * (top - bottom) + (0.5 * span if top - bottom < span else 0.0)
    bottom, top = float(bottom - margin), float(top + margin)
    return Window(10**bottom, 10**top, True) if log else Window(bottom, top, False)


def _bulk(estimates: Sequence[Estimate], log: bool) -> NDArray[np.float64]:
    """The seeds' places without those far off the rest; of one estimate alone all, for there is no rest."""
    seeds = _placed([value for estimate in estimates for value in estimate.values.values()], log)
    if len(estimates) == 1:
        return seeds
    low, high = np.quantile(seeds, [0.25, 0.75])
    reach = 3 * max(high - low, 1e-3 * abs(high), 1e-9)
    bulk: NDArray[np.float64] = seeds[(seeds >= low - reach) & (seeds <= high + reach)]
    return bulk


def _placed(values: Sequence[float] | NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """Where on the axis the finite values stand; those that a logarithm lacks have no place."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known) & (known > 0 if log else True)]
    return np.log10(known) if log else known


def words(axes: Axes, text: str, place: float, height: float, side: str, color: str = GREY, **style: Any) -> None:
    """Text at a share of the width, on white so that no line runs through it."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    across = axes.get_yaxis_transform()
    axes.text(place, height, mathtext(text), color=color, ha=side, va="center", bbox=box, transform=across, **style)


def out_of_view(axes: Axes, text: str, right: bool, height: float, **style: Any) -> None:
    """Words at the edge, with an arrow to where their value lies."""
    if right:
        words(axes, f"{text} ▸", 1.0, height, "right", **style)
    else:
        words(axes, f"◂ {text}", 0.0, height, "left", **style)


def beyond(axes: Axes, text: str, x: float, look: Look, view: Window, *, above: bool, stacked: int = 0) -> None:
    """A mean far above or below the rest: an arrow at the edge with its number, so many others being there already."""
    edge, tip, down = (view.high, "^", -1) if above else (view.low, "v", 1)
    axes.plot(x, edge, tip, ms=4, color=look.color, mew=0, clip_on=False, zorder=4)
    # At the right there is no room for it, and the names of others.
    left = axes.transAxes.inverted().transform(axes.transData.transform((x, edge)))[0] > 0.9
    shift, side = (-5 if left else 5, down * (2 + 8 * stacked)), "right" if left else "left"
    style: dict[str, Any] = {"color": look.color, "fontsize": 6.5, "ha": side, "va": "center"}
    axes.annotate(text, (x, edge), shift, textcoords="offset points", **style)


def row(
    axes: Axes, estimate: Estimate, height: float, look: Look, view: Window, text: str, *, filled: bool = True
) -> None:
    """The mean on its interval, the seeds below it; a mean out of view as an arrow with its number."""
    if not view.holds(estimate.mean):
        out_of_view(axes, text, estimate.mean > view.high, height, color=look.color)
        return
    if not math.isnan(estimate.half_width):
        _interval(axes, estimate, height, look, view)
    seeds = [value for value in estimate.values.values() if view.holds(value)]
    axes.plot(seeds, [height + 0.3] * len(seeds), "o", markersize=2.2, color=look.color, alpha=0.6, markeredgewidth=0)
    face = look.color if filled else "white"
    axes.plot(estimate.mean, height, look.marker, ms=4.6, mfc=face, mec=look.color, mew=0 if filled else 1, zorder=4)


def _interval(axes: Axes, estimate: Estimate, height: float, look: Look, view: Window) -> None:
    """A line from end to end; where an end is out of view, an arrow at the edge."""
    for sign in (-1, 1):
        end = estimate.mean + sign * estimate.half_width
        shown = min(max(end, view.low), view.high)
        axes.plot([estimate.mean, shown], [height, height], color=look.color, linewidth=1.4, solid_capstyle="butt")
        if shown != end:
            tip = ">" if sign > 0 else "<"
            axes.plot(shown, height, tip, markersize=4, color=look.color, markeredgewidth=0, clip_on=False)
