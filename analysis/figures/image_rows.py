"""Rows of images: a file holds square images side by side.

strips             the process in pictures, a row per schedule: one image on its way to noise, and samples of trained
                   cells on their way from it; x_t at evenly spaced t/T, forward from 0 and backward from 1
reconstructions    test images and their reconstructions: the images themselves, then a row per autoencoder of the
                   grid's first seed; as many images as fit without being small
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.distinct import written
from analysis.figures.drawing import ON_ANY, WIDTH, new_figure
from analysis.figures.images import DPI, add_image, dots, side_lines, side_width, squares
from analysis.findings.answers import Answers
from analysis.findings.spaces import PSNR, RFID, autoencoder_axes
from analysis.grid_json import Axis
from analysis.labels import Rounding, mathtext
from analysis.read.runs import GridResults
from analysis.schema import AUTOENCODER

TITLES = {
    "forward": "forward: one image, t/T from 0 to 1",
    "backward": "backward: a sample of a trained cell each, t/T from 1 to 0",
}
ORDER = ("linear", "cosine", "sigmoid", "log_snr_linear", "learned_linear", "learned")
"""The schedules that come first, if the grid does not order them itself."""
_TITLE, _HEAD = 0.22, 0.15
_MAX_FRAME = 0.75
_MIN_HEAD = 0.32
"""The least distance in inches between numbers above the columns."""
ORIGINALS = "originals"
_CHARS = 18
_APART, _GAP, _RIGHT, _LINE = 0.16, 0.03, 0.95, 0.13
_MIN_IMAGE, _MAX_IMAGE = 0.4, 0.6
"""The least and the largest side of an image; the line before has the room below the originals, between images, for the
numbers, and of a line of text. All are in inches."""


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
    figure = new_figure(width, height, clear=True)
    figure.set_layout_engine("none")
    for strip, (top, titled, headed) in zip(strips, tops, strict=True):
        if titled:
            y = 1 - (top - _HEAD - 0.09) / height
            figure.text(left / width, y, TITLES[strip.direction], color=ON_ANY, va="bottom", fontweight="bold")
        middle = 1 - (top + frame / 2) / height
        side = mathtext("\n".join(strip.side))
        figure.text((left - 0.06) / width, middle, side, color=ON_ANY, ha="right", va="center")
        every = max(1, math.ceil(_MIN_HEAD / (frame + _GAP)))
        for i, (image, t) in enumerate(zip(strip.frames, strip.times, strict=True)):
            x = left + i * (frame + _GAP)
            add_image(figure, image, x, 1 - (top + frame) / height, frame)
            if headed and i % every == 0:
                place = (x + frame / 2) / width, 1 - (top - 0.03) / height
                figure.text(*place, f"{t:.2g}", color=ON_ANY, fontsize=6.5, ha="center", va="bottom")
    return figure


def strips_of(grid: GridResults) -> list[Strip]:
    """The strips of a grid, forward before backward, each by schedule; files of fewer than two images are left out."""
    strips = []
    for direction in TITLES:
        paths = sorted(grid.strips.glob(f"{direction}-*.png")) if grid.strips is not None else []
        names = {path.stem.removeprefix(f"{direction}-"): path for path in paths}
        for name in sorted(names, key=lambda name: _position(grid, name)):
            frames = squares(names[name])
            if len(frames) > 1:
                strips.append(Strip(direction, _schedule_label(grid, name), frames))
    return strips


def _position(grid: GridResults, name: str) -> tuple[int, int, str]:
    axis = next((axis for axis in grid.meta.axes if axis.name == "schedule"), None)
    place = ORDER.index(name) if name in ORDER else len(ORDER)
    return axis.position(name) if axis else 0, place, name


def _schedule_label(grid: GridResults, name: str) -> str:
    """The name of a schedule, as the grid's axis of schedules writes it if there is one."""
    axis = next((axis for axis in grid.meta.axes if axis.name == "schedule"), None)
    return written(axis.label_of(name) if axis else name)


def _frame(strips: Sequence[Strip], room: float) -> float:
    """The side of an image in inches: a whole number of dots per pixel of the first strip, as large as fits."""
    most = max(len(strip.frames) for strip in strips)
    size = int(strips[0].frames.shape[1])
    return size * dots(size, min(room / most - _GAP, _MAX_FRAME)) / DPI


def _places(strips: Sequence[Strip], frame: float) -> tuple[list[tuple[float, bool, bool]], float]:
    """The top of each row in inches, with flags for a title and for numbers above it; and the height of all rows."""
    places, at = [], 0.0
    for i, strip in enumerate(strips):
        titled = i == 0 or strips[i - 1].direction != strip.direction
        headed = titled or len(strips[i - 1].frames) != len(strip.frames)
        at += (_TITLE if titled else 0.0) + (_HEAD if headed else 0.0) + (0.1 if titled and i else 0.0)
        places.append((at, titled, headed))
        at += frame + _GAP
    return places, at


@dataclass(frozen=True, eq=False)
class ImageRow:
    """Images [n, size, size] or [n, size, size, 3] in [0, 1], with the texts at their left and right."""

    label: str
    images: NDArray[np.float64]
    scores: tuple[str, ...] = ()

    @property
    def side(self) -> list[str]:
        """The label in short lines."""
        return side_lines(self.label, _CHARS)


def reconstructions_figure(answers: Answers) -> Figure | None:
    """The figure; None where there are no originals or no reconstructions."""
    rows = rows_of(answers)
    if len(rows) < 2:
        return None
    left = side_width(row.side for row in rows)
    shown, side = _fit(rows, WIDTH - left - _RIGHT)
    lines = max(max(len(row.side), len(row.scores)) for row in rows)
    step = max(side, _LINE * lines) + _GAP
    width = left + shown * (side + _GAP) + _RIGHT
    height = _APART + step * len(rows) + _GAP
    figure = new_figure(width, height, clear=True)
    figure.set_layout_engine("none")
    for i, row in enumerate(rows):
        middle = 1 - (_GAP + i * step + (_APART if i else 0.0) + step / 2) / height
        label = mathtext("\n".join(row.side))
        figure.text((left - 0.07) / width, middle, label, color=ON_ANY, ha="right", va="center")
        for j, image in enumerate(row.images[:shown]):
            add_image(figure, image, left + j * (side + _GAP), middle - side / height / 2, side)
        at = (left + shown * (side + _GAP) + 0.05) / width
        figure.text(at, middle, "\n".join(row.scores), color=ON_ANY, fontsize=6.5, ha="left", va="center")
    return figure


def rows_of(answers: Answers) -> list[ImageRow]:
    """The originals, then the images of each autoencoder of the first seed with a file, in the order of the cells."""
    grid, folder = answers.grid, answers.grid.reconstructions
    if folder is None or not (folder / f"{ORIGINALS}.png").is_file():
        return []
    image_rows = [ImageRow(ORIGINALS, squares(folder / f"{ORIGINALS}.png"))]
    first = grid.runs[(grid.runs["seed"] == grid.meta.seeds[0]) & (grid.runs[AUTOENCODER] != "")]
    axes = autoencoder_axes(grid.meta.axes, first) or answers.space_axes
    for name in dict.fromkeys(first[AUTOENCODER]):
        path = folder / f"{name}.png"
        if path.is_file():
            runs = first[first[AUTOENCODER] == name]
            image_rows.append(ImageRow(_label(answers, axes, runs), squares(path), _scores(grid, runs)))
    return image_rows


def _label(answers: Answers, axes: Sequence[Axis], runs: pd.DataFrame) -> str:
    """The levels that tell autoencoders apart, from the first cell with this one."""
    cell = next(cell for cell in answers.cells if runs["cell_id"].iloc[0] in set(cell.runs["cell_id"]))
    labels = [label for axis, label in zip(answers.axes, cell.labels, strict=True) if axis in axes]
    return ", ".join(labels) or cell.name


def _scores(grid: GridResults, runs: pd.DataFrame) -> tuple[str, ...]:
    """PSNR and rFID of an autoencoder, as far as they are known."""
    scores = []
    for metric in sorted(grid.meta.metrics, key=lambda metric: metric.name != PSNR):
        values = runs[metric.name].dropna() if metric.name in runs else pd.Series(dtype="float64")
        if len(values) and (metric.name == PSNR or metric.name.startswith(RFID)):
            unit = f" {metric.unit}" if metric.unit else ""
            scores.append(f"{metric.label} {Rounding(metric.decimals).number(float(values.iloc[0]))}{unit}")
    return tuple(scores)


def _fit(rows: Sequence[ImageRow], room: float) -> tuple[int, float]:
    """The number of images shown, and their side in inches: a whole number of dots per pixel, as large as fits."""
    most, size = max(len(row.images) for row in rows), int(rows[0].images.shape[1])
    shown = max(1, min(most, int(room / (_MIN_IMAGE + _GAP))))
    return shown, size * dots(size, min(room / shown - _GAP, _MAX_IMAGE)) / DPI
