"""Rows of a figure: the seeds of a cell or a difference, their mean and 95 % interval, on an axis that shows the bulk.

A value far off the rest is an arrow at the edge with its number, so that it does not squash the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from matplotlib.axes import Axes

from analysis.figures.distinct import parts_of
from analysis.figures.drawing import GREY, Look, ink, place_of, wrapped
from analysis.figures.windows import Window, on_axis, show
from analysis.findings.cells import CellRuns, Estimate
from analysis.grid_json import Axis
from analysis.labels import mathtext

CHARS = 48
"""The letters in a line of a row's label."""
_LETTER, _TIP = 0.045, 0.02
"""The shares of the width that a letter of a number and half an arrow take in the narrowest panels."""
ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
"""The halo behind a text, so that no line runs through it."""


@dataclass(frozen=True)
class Mark:
    """A mean out of view: its text, its place, its value, and its look."""

    text: str
    x: float
    mean: float
    look: Look


def rows(axes: Sequence[Axis], cells: Sequence[CellRuns]) -> tuple[list[float], dict[float, tuple[str, bool]]]:
    """The height of each cell of a grid with these axes, and height → (label, True if it heads a group)."""
    heights: list[float] = []
    ticks: dict[float, tuple[str, bool]] = {}
    grouped, at, previous = len(axes) > 1, 0.0, None
    for cell in cells:
        if grouped and cell.levels[0] != previous:
            at += 0.4 if previous is not None else 0.0
            ticks[at] = (f"{axes[0].label} {cell.labels[0]}", True)
            at, previous = at + 1, cell.levels[0]
        text = ", ".join(parts_of(cell)[1:] if grouped else parts_of(cell)) or cell.name
        at += more_than_a_line(text) / 2
        heights.append(at)
        ticks[at] = (text, False)
        at += 1 + more_than_a_line(text) / 2
    return heights, ticks


def more_than_a_line(text: str) -> float:
    """The height that a label takes beyond a single line, in rows."""
    return 0.7 * wrapped(text, CHARS).count("\n")


def label_rows(axes: Axes, ticks: dict[float, tuple[str, bool]]) -> None:
    """Write the labels of the rows, those that head a group in bold."""
    axes.set_yticks(list(ticks), [wrapped(text, CHARS) for text, _ in ticks.values()])
    for text, (_, bold) in zip(axes.get_yticklabels(), ticks.values(), strict=True):
        text.set_fontweight("bold" if bold else "normal")


def plain_rows(axes: Axes) -> None:
    """Remove the lines of rows: no grid, ticks or spine at their labels."""
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def dress(axes: Axes, view: Window, label: str, panels: int = 2) -> None:
    """Set the range, ticks and label of the axis below the rows, for the room that `panels` panels in a row leave."""
    # Numbers of three and more decimals are long.
    show(axes, "x", view, 6 if view.high - view.low > 0.05 and panels < 3 else 4)
    # A label of several lines is about a cell with a long name: such names in the rows leave narrow panels.
    chars = 48 if len(label) <= 48 else 36
    axes.set_xlabel(wrapped(label, chars if panels < 3 else 72 // panels))
    plain_rows(axes)


def words(axes: Axes, text: str, place: float, height: float, side: str, color: str = GREY, **style: Any) -> None:
    """Write text at a share of the width, on white so that no line runs through it."""
    across = axes.get_yaxis_transform()
    style |= {"color": ink(color), "ha": side, "va": "center", "bbox": ON_WHITE, "transform": across}
    axes.text(place, height, mathtext(text), **style)


def out_of_view(axes: Axes, text: str, right: bool, height: float, **style: Any) -> None:
    """Write words at the edge, with an arrow towards their value."""
    if right:
        words(axes, f"{text} ▸", 1.0, height, "right", **style)
    else:
        words(axes, f"◂ {text}", 0.0, height, "left", **style)


def beyond(axes: Axes, marks: Sequence[Mark], view: Window) -> None:
    """Draw means far above or below the rest, as arrows at the edge with their numbers, which are stacked if needed."""
    ordered = sorted(marks, key=lambda mark: (mark.x, -abs(mark.mean)))
    sides = [(view.high, "^", -1) if mark.mean > view.high else (view.low, "v", 1) for mark in ordered]
    for mark, (edge, tip, _) in zip(ordered, sides, strict=True):
        axes.plot(mark.x, edge, tip, ms=4, color=mark.look.color, mew=0, clip_on=False, zorder=4)
    places = [place_of(axes, (mark.x, edge))[0] for mark, (edge, *_) in zip(ordered, sides, strict=True)]
    # No number is written on the arrow of another mean.
    placed = [(at - _TIP, at + _TIP, edge, 0) for at, (edge, *_) in zip(places, sides, strict=True)]
    for mark, (edge, _, down), place in zip(ordered, sides, places, strict=True):
        # At the right there is no room for its number beside the names of other lines.
        wide, left = 0.03 + _LETTER * len(mark.text), place > 0.8
        start, end = (place - wide, place - _TIP) if left else (place + _TIP, place + wide)
        used = {level for a, b, of, level in placed if of == edge and a < end and start < b}
        level = next(level for level in count() if level not in used)
        placed.append((start, end, edge, level))
        shift, side = (-5 if left else 5, down * (2 + 8 * level)), "right" if left else "left"
        style: dict[str, Any] = {"color": ink(mark.look.color), "fontsize": 6.5, "ha": side, "va": "center"}
        axes.annotate(mark.text, (mark.x, edge), shift, textcoords="offset points", bbox=ON_WHITE, **style)


def row(axes: Axes, estimate: Estimate, height: float, look: Look, view: Window, text: str) -> None:
    """Draw the mean on its interval, and the seeds below it; a mean out of view is an arrow with its number."""
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
    """Draw a line between the ends, as far as values are possible; an end out of view is an arrow at the edge."""
    for sign in (-1, 1):
        end = estimate.high if sign > 0 else max(estimate.low, view.least)
        shown = view.clipped(end)
        axes.plot([estimate.mean, shown], [height, height], color=look.color, linewidth=1.4, solid_capstyle="butt")
        if shown != end:
            tip = ">" if sign > 0 else "<"
            axes.plot(shown, height, tip, markersize=4, color=look.color, markeredgewidth=0, clip_on=False)
