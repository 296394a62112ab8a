"""Rows of a figure: a cell's or a difference's seeds, their mean and 95 % interval, on an axis that shows the bulk.

What is far off the rest is set at the edge with its number, so that it does not squash the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from analysis.figures.drawing import GREY, Look, wrapped
from analysis.figures.windows import Window, on_axis, show
from analysis.findings.cells import CellRuns, Estimate
from analysis.format.grid_json import Axis
from analysis.format.notation import mathtext

ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
"""The halo behind a text, so that no line runs through it."""


def rows(axes: Sequence[Axis], cells: Sequence[CellRuns]) -> tuple[list[float], dict[float, tuple[str, bool]]]:
    """The height of each cell of a grid with these axes, and height → (label, whether it heads a group)."""
    heights: list[float] = []
    ticks: dict[float, tuple[str, bool]] = {}
    grouped, at, previous = len(axes) > 1, 0.0, None
    for cell in cells:
        if grouped and cell.levels[0] != previous:
            at += 0.4 if previous is not None else 0.0
            ticks[at] = (f"{axes[0].label} {cell.labels[0]}", True)
            at, previous = at + 1, cell.levels[0]
        heights.append(at)
        ticks[at] = (", ".join(cell.labels[1:] if grouped else cell.labels) or cell.name, False)
        at += 1
    return heights, ticks


def label_rows(axes: Axes, ticks: dict[float, tuple[str, bool]]) -> None:
    """The labels of the rows, those that head a group in bold."""
    axes.set_yticks(list(ticks), [wrapped(text, 60) for text, _ in ticks.values()])
    for text, (_, bold) in zip(axes.get_yticklabels(), ticks.values(), strict=True):
        text.set_fontweight("bold" if bold else "normal")


def plain_rows(axes: Axes) -> None:
    """Rows without lines of their own: no grid, ticks or spine at their labels."""
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def dress(axes: Axes, view: Window, label: str, panels: int = 2) -> None:
    """The range of the axis below the rows, its ticks and label, as far as so many panels in a row leave room."""
    # Numbers of three and more decimals are long.
    show(axes, "x", view, 6 if view.high - view.low > 0.05 and panels < 3 else 4)
    axes.set_xlabel(wrapped(label, 48 if panels < 3 else 72 // panels))
    plain_rows(axes)


def words(axes: Axes, text: str, place: float, height: float, side: str, color: str = GREY, **style: Any) -> None:
    """Text at a share of the width, on white so that no line runs through it."""
    across = axes.get_yaxis_transform()
    style |= {"color": color, "ha": side, "va": "center", "bbox": ON_WHITE, "transform": across}
    axes.text(place, height, mathtext(text), **style)


def out_of_view(axes: Axes, text: str, right: bool, height: float, **style: Any) -> None:
    """Words at the edge, with an arrow to where their value lies."""
    if right:
        words(axes, f"{text} ▸", 1.0, height, "right", **style)
    else:
        words(axes, f"◂ {text}", 0.0, height, "left", **style)


def beyond(axes: Axes, text: str, point: tuple[float, float], look: Look, view: Window, stacked: int = 0) -> None:
    """A mean far above or below the rest: an arrow at the edge with its number, so many others being there already."""
    x, mean = point
    edge, tip, down = (view.high, "^", -1) if mean > view.high else (view.low, "v", 1)
    axes.plot(x, edge, tip, ms=4, color=look.color, mew=0, clip_on=False, zorder=4)
    # At the right there is no room for it, and the names of others.
    left = axes.transAxes.inverted().transform(axes.transData.transform((x, edge)))[0] > 0.9
    shift, side = (-5 if left else 5, down * (2 + 8 * stacked)), "right" if left else "left"
    style: dict[str, Any] = {"color": look.color, "fontsize": 6.5, "ha": side, "va": "center", "bbox": ON_WHITE}
    axes.annotate(text, (x, edge), shift, textcoords="offset points", **style)


def row(axes: Axes, estimate: Estimate, height: float, look: Look, view: Window, text: str) -> None:
    """The mean on its interval, the seeds below it; a mean out of view as an arrow with its number."""
    estimate = on_axis(view, estimate)
    if not view.holds(estimate.mean):
        out_of_view(axes, text, estimate.mean > view.high, height, color=look.color)
        return
    if not math.isnan(estimate.half_width):
        _interval(axes, estimate, height, look, view)
    seeds = [value for value in estimate.values.values() if view.holds(value)]
    axes.plot(seeds, [height + 0.3] * len(seeds), "o", markersize=2.2, color=look.color, alpha=0.6, markeredgewidth=0)
    face = look.color if look.filled else "white"
    axes.plot(
        estimate.mean, height, look.marker, ms=4.6, mfc=face, mec=look.color, mew=0 if look.filled else 1, zorder=4
    )


def _interval(axes: Axes, estimate: Estimate, height: float, look: Look, view: Window) -> None:
    """A line from end to end, as far as there can be values; where an end is out of view, an arrow at the edge."""
    for sign in (-1, 1):
        end = estimate.high if sign > 0 else max(estimate.low, view.least)
        shown = view.clipped(end)
        axes.plot([estimate.mean, shown], [height, height], color=look.color, linewidth=1.4, solid_capstyle="butt")
        if shown != end:
            tip = ">" if sign > 0 else "<"
            axes.plot(shown, height, tip, markersize=4, color=look.color, markeredgewidth=0, clip_on=False)
