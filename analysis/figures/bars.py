"""Bars of a figure: a row per cell, its parts one after another, each with its number where there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import WIDTH, new_figure
from analysis.figures.forest import label_rows, plain_rows

SMALL = 6.5
"""The size of the numbers in and beside bars."""


@dataclass(frozen=True)
class BarPart:
    """The name of a part of a bar, its colour, and that of the number in it."""

    name: str
    color: str
    ink: str


def bar_axes(ticks: dict[float, tuple[str, bool]], height: float, above: float) -> tuple[Figure, Axes]:
    """A figure of rows with these labels, so high besides them, with room for what stands above the first."""
    figure = new_figure(WIDTH, height + 0.17 * (len(ticks) + 1))
    axes = figure.subplots()
    axes.set_ylim(max(ticks) + 0.7, -above)
    plain_rows(axes)
    label_rows(axes, ticks)
    return figure, axes


def draw_bar(
    axes: Axes, height: float, parts: Sequence[tuple[BarPart, float]], room: float, number: Callable[[float], str]
) -> tuple[float, float]:
    """The parts from 0 on, those below 0 to its left, with a number where one takes more than `room`; the ends."""
    left = right = 0.0
    for part, value in parts:
        start = right if value >= 0 else left
        axes.barh(height, value, 0.72, start, color=part.color, linewidth=0)
        if abs(value) > room:
            style: dict[str, Any] = {"color": part.ink, "fontsize": SMALL, "ha": "center", "va": "center"}
            axes.text(start + value / 2, height, number(value), **style)
        left, right = left + min(value, 0.0), right + max(value, 0.0)
    return left, right
