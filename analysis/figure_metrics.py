"""NLL and FID side by side: a row per cell with its seeds, their mean and 95 % interval.

What is far off the rest is set at the edge with its number, so that it does not squash the rest; known values
(histogram codes, held-out images) are dashed lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.cells import Cell, Estimate
from analysis.drawing import GREY, WIDTH, Look, first_level, log_scale, looks, new_figure, status_word, wrapped
from analysis.meta import Metric
from analysis.notation import mathtext
from analysis.runs import Grid
from analysis.summary import Summary, metrics_present, references

LOG_RATIO = 20
"""Above this ratio of the largest to the smallest value that is not far off, an axis is logarithmic."""
_SHOWN = ("nll/", "fid/")


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


def metrics_figure(grid: Grid) -> Figure | None:
    """The figure; None where no cell finished."""
    summary = Summary.of(grid, _chosen(metrics_present(grid)))
    metrics = [m for m in summary.metrics if any(estimate.values for estimate in summary.estimates[m.name])]
    if not metrics:
        return None
    heights, ticks = _rows(grid, summary.cells)
    known = {m.name: [(label, values[m.name]) for label, values in references(grid, [m]).items()] for m in metrics}
    above = max(len(lines) for lines in known.values())
    figure = new_figure(WIDTH if len(metrics) > 1 else 0.65 * WIDTH, 0.6 + 0.17 * (len(ticks) + above))
    panels = np.atleast_1d(figure.subplots(1, len(metrics), sharey=True))
    for axes, metric in zip(panels, metrics, strict=True):
        axes.set_ylim(max(ticks) + 0.7, -0.9 - 0.9 * above)
        _panel(axes, grid, summary, metric, heights, known[metric.name])
    panels[0].set_yticks(list(ticks), [wrapped(text, 60) for text, _ in ticks.values()])
    for text, (_, bold) in zip(panels[0].get_yticklabels(), ticks.values(), strict=True):
        text.set_fontweight("bold" if bold else "normal")
    return figure


def _chosen(metrics: list[Metric]) -> list[Metric]:
    """NLL and FID, or the first two that there are."""
    found = [metric for kind in _SHOWN for metric in metrics if metric.name.startswith(kind)][:2]
    return found if len(found) == 2 else metrics[:2]


def _rows(grid: Grid, cells: Sequence[Cell]) -> tuple[list[float], dict[float, tuple[str, bool]]]:
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


def window(estimates: Sequence[Estimate], lines: Sequence[float]) -> Window:
    """What to draw: the seeds within three interquartile ranges, and what is near to them of the rest."""
    log = False
    bulk = _bulk(estimates, log)
    if bulk.min() > 0 and bulk.max() / bulk.min() > LOG_RATIO:
        log = True
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
    """The seeds' places without those far off the rest."""
    seeds = _placed([value for estimate in estimates for value in estimate.values.values()], log)
    low, high = np.quantile(seeds, [0.25, 0.75])
    reach = 3 * max(high - low, 1e-3 * abs(high), 1e-9)
    bulk: NDArray[np.float64] = seeds[(seeds >= low - reach) & (seeds <= high + reach)]
    return bulk


def _placed(values: Sequence[float] | NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """Where on the axis the finite values stand; those that a logarithm lacks have no place."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known) & (known > 0 if log else True)]
    return np.log10(known) if log else known


def _panel(
    axes: Axes, grid: Grid, summary: Summary, metric: Metric, heights: list[float], known: list[tuple[str, float]]
) -> None:
    estimates, rounding = summary.estimates[metric.name], summary.rounding[metric.name]
    view = window(estimates, [value for _, value in known])
    if view.log:
        log_scale(axes, "x", view.low, view.high)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlim(view.low, view.high)
    axes.set_xlabel(mathtext(metric.head))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    styles = looks(grid)
    for i, (label, value) in enumerate(known):
        _line(axes, f"{label}: {rounding.number(value)}", value, -0.9 - 0.9 * (len(known) - 1 - i), view)
    for cell, estimate, height in zip(summary.cells, estimates, heights, strict=True):
        if estimate.values:
            _row(axes, estimate, height, styles[first_level(cell)], view, rounding.number(estimate.mean))
        else:
            _words(axes, status_word(cell), 0.0, height, "left", style="italic")


def _words(axes: Axes, text: str, place: float, height: float, side: str, color: str = GREY, **style: Any) -> None:
    """Text at a share of the width, on white so that no line runs through it."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    across = axes.get_yaxis_transform()
    axes.text(place, height, mathtext(text), color=color, ha=side, va="center", bbox=box, transform=across, **style)


def _out_of_view(axes: Axes, text: str, right: bool, height: float, **style: Any) -> None:
    """Words at the edge, with an arrow to where their value lies."""
    if right:
        _words(axes, f"{text} ▸", 1.0, height, "right", **style)
    else:
        _words(axes, f"◂ {text}", 0.0, height, "left", **style)


def _row(axes: Axes, estimate: Estimate, height: float, look: Look, view: Window, text: str) -> None:
    """The mean on its interval, the seeds below it; a mean out of view as an arrow with its number."""
    if not view.holds(estimate.mean):
        _out_of_view(axes, text, estimate.mean > view.high, height, color=look.color)
        return
    if not math.isnan(estimate.half_width):
        _interval(axes, estimate, height, look, view)
    seeds = [value for value in estimate.values.values() if view.holds(value)]
    axes.plot(seeds, [height + 0.3] * len(seeds), "o", markersize=2.2, color=look.color, alpha=0.6, markeredgewidth=0)
    axes.plot(estimate.mean, height, look.marker, markersize=4.6, color=look.color, markeredgewidth=0, zorder=4)


def _interval(axes: Axes, estimate: Estimate, height: float, look: Look, view: Window) -> None:
    """A line from end to end; where an end is out of view, an arrow at the edge."""
    for sign in (-1, 1):
        end = estimate.mean + sign * estimate.half_width
        shown = min(max(end, view.low), view.high)
        axes.plot([estimate.mean, shown], [height, height], color=look.color, linewidth=1.4, solid_capstyle="butt")
        if shown != end:
            tip = ">" if sign > 0 else "<"
            axes.plot(shown, height, tip, markersize=4, color=look.color, markeredgewidth=0, clip_on=False)


def _line(axes: Axes, text: str, value: float, height: float, view: Window) -> None:
    """A known value as a dashed line, named above the rows; one out of view by its name and an arrow."""
    if not view.holds(value):
        _out_of_view(axes, text, value > view.high, height, fontsize=6.5)
        return
    axes.axvline(value, color=GREY, linewidth=0.8, dashes=(4, 2), zorder=1)
    place = view.share(value)
    _words(
        axes, text, place + (-0.015 if place > 0.5 else 0.015), height, "right" if place > 0.5 else "left", fontsize=6.5
    )
