"""The process in pictures, a row per schedule: one image on its way to noise, and samples of trained cells on theirs
from it.

A strip is a file of square images side by side, x_t at evenly spaced t/T, forward from 0 and backward from 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.drawing import GREY, WIDTH, new_figure
from analysis.figures.images import DPI, add_image, dots, side_lines, side_width, squares
from analysis.figures.names import written
from analysis.findings.answers import Answers
from analysis.format.notation import mathtext
from analysis.read.runs import GridResults

TITLES = {
    "forward": "forward: one image, t/T from 0 to 1",
    "backward": "backward: a sample of a trained cell each, t/T from 1 to 0",
}
ORDER = ("linear", "cosine", "sigmoid", "log_snr_linear", "learned_linear", "learned")
"""The schedules that come first, where the grid does not order them itself."""
_TITLE, _HEAD, _GAP = 0.22, 0.15, 0.03
_MAX_FRAME = 0.75
_MIN_HEAD = 0.32
"""Inches between numbers above the columns."""


@dataclass(frozen=True, eq=False)
class Strip:
    """Images of one process, [n, size, size] or [n, size, size, 3] in [0, 1], in the order of the file."""

    direction: str
    label: str
    frames: NDArray[np.float64]

    @property
    def side(self) -> list[str]:
        """The label in short lines."""
        return side_lines(self.label, 12)

    @property
    def times(self) -> list[float]:
        """The t/T of each image."""
        up = [i / (len(self.frames) - 1) for i in range(len(self.frames))]
        return up if self.direction == "forward" else up[::-1]


def strips_figure(answers: Answers) -> Figure | None:
    """The figure; None where there are no strips."""
    strips = strips_of(answers.grid)
    if not strips:
        return None
    left = side_width(strip.side for strip in strips)
    frame = _frame(strips, WIDTH - left)
    tops, height = _places(strips, frame)
    width = left + max(len(strip.frames) for strip in strips) * (frame + _GAP)
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    for strip, (top, titled, headed) in zip(strips, tops, strict=True):
        if titled:
            y = 1 - (top - _HEAD - 0.09) / height
            figure.text(left / width, y, TITLES[strip.direction], va="bottom", fontweight="bold")
        middle = 1 - (top + frame / 2) / height
        figure.text((left - 0.06) / width, middle, mathtext("\n".join(strip.side)), ha="right", va="center")
        every = max(1, math.ceil(_MIN_HEAD / (frame + _GAP)))
        for i, (image, t) in enumerate(zip(strip.frames, strip.times, strict=True)):
            x = left + i * (frame + _GAP)
            add_image(figure, image, x, 1 - (top + frame) / height, frame)
            if headed and i % every == 0:
                place = (x + frame / 2) / width, 1 - (top - 0.03) / height
                figure.text(*place, f"{t:.2g}", color=GREY, fontsize=6.5, ha="center", va="bottom")
    return figure


def strips_of(grid: GridResults) -> list[Strip]:
    """The strips of a grid, forward before backward, each by schedule; a file of fewer than two images is none."""
    strips = []
    for direction in TITLES:
        paths = sorted(grid.strips.glob(f"{direction}-*.png")) if grid.strips is not None else []
        names = {path.stem.removeprefix(f"{direction}-"): path for path in paths}
        for name in sorted(names, key=lambda name: _position(grid, name)):
            frames = squares(names[name])
            if len(frames) > 1:
                strips.append(Strip(direction, _label(grid, name), frames))
    return strips


def _position(grid: GridResults, name: str) -> tuple[int, int, str]:
    axis = next((axis for axis in grid.meta.axes if axis.name == "schedule"), None)
    place = ORDER.index(name) if name in ORDER else len(ORDER)
    return axis.position(name) if axis else 0, place, name


def _label(grid: GridResults, name: str) -> str:
    """The name of a schedule as the grid's own axis writes it, if it has one."""
    axis = next((axis for axis in grid.meta.axes if axis.name == "schedule"), None)
    return written(axis.label_of(name) if axis else name)


def _frame(strips: Sequence[Strip], room: float) -> float:
    """The side of an image in inches: a whole number of dots per pixel of the first strip, as large as all fit."""
    most = max(len(strip.frames) for strip in strips)
    size = int(strips[0].frames.shape[1])
    return size * dots(size, min(room / most - _GAP, _MAX_FRAME)) / DPI


def _places(strips: Sequence[Strip], frame: float) -> tuple[list[tuple[float, bool, bool]], float]:
    """The top of each row in inches, whether a title and whether numbers stand above it; and the height of all."""
    places, at = [], 0.0
    for i, strip in enumerate(strips):
        titled = i == 0 or strips[i - 1].direction != strip.direction
        headed = titled or len(strips[i - 1].frames) != len(strip.frames)
        at += (_TITLE if titled else 0.0) + (_HEAD if headed else 0.0) + (0.1 if titled and i else 0.0)
        places.append((at, titled, headed))
        at += frame + _GAP
    return places, at
