"""The same test images as each autoencoder gives them back: the images themselves, then a row per autoencoder.

A file is a row of square images side by side, of which the first are shown, as many as fit without being small. Of
autoencoders that differ in their seed only, that of the grid's first seed is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.drawing import GREY, WIDTH, new_figure
from analysis.figures.images import DPI, add_image, dots, side_lines, side_width, squares
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.spaces import PSNR, RFID, autoencoder_axes
from analysis.format.grid_json import Axis
from analysis.format.names import AUTOENCODER
from analysis.format.notation import Rounding, mathtext
from analysis.read.runs import GridResults

ORIGINALS = "originals"
_CHARS = 18
_APART, _GAP, _RIGHT, _LINE = 0.16, 0.03, 0.95, 0.13
_MIN_IMAGE, _MAX_IMAGE = 0.4, 0.6
"""Inches: the room below the originals, between images and for the numbers, a line of text, the side of an image."""


@dataclass(frozen=True, eq=False)
class ImageRow:
    """Images [n, size, size] or [n, size, size, 3] in [0, 1], with what stands at their left and right."""

    label: str
    images: NDArray[np.float64]
    scores: tuple[str, ...] = ()

    @property
    def side(self) -> list[str]:
        """The label in short lines."""
        return side_lines(self.label, _CHARS)


def reconstructions_figure(answers: Answers) -> Figure | None:
    """The figure; None where there are no originals or nothing made of them."""
    rows = rows_of(answers)
    if len(rows) < 2:
        return None
    left = side_width(row.side for row in rows)
    shown, side = _fit(rows, WIDTH - left - _RIGHT)
    lines = max(max(len(row.side), len(row.scores)) for row in rows)
    step = max(side, _LINE * lines) + _GAP
    width = left + shown * (side + _GAP) + _RIGHT
    height = _APART + step * len(rows) + _GAP
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    for i, row in enumerate(rows):
        middle = 1 - (_GAP + i * step + (_APART if i else 0.0) + step / 2) / height
        figure.text((left - 0.07) / width, middle, mathtext("\n".join(row.side)), ha="right", va="center")
        for j, image in enumerate(row.images[:shown]):
            add_image(figure, image, left + j * (side + _GAP), middle - side / height / 2, side)
        at = (left + shown * (side + _GAP) + 0.05) / width
        figure.text(at, middle, "\n".join(row.scores), color=GREY, fontsize=6.5, ha="left", va="center")
    return figure


def rows_of(answers: Answers) -> list[ImageRow]:
    """The originals, and each autoencoder of the first seed in the order of the cells; those without a file are left
    out."""
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
    """The levels that tell autoencoders apart, of the first cell that has this one."""
    cell = _cell(answers, str(runs["cell_id"].iloc[0]))
    labels = [label for axis, label in zip(answers.axes, cell.labels, strict=True) if axis in axes]
    return ", ".join(labels) or cell.name


def _cell(answers: Answers, cell_id: str) -> CellRuns:
    return next(cell for cell in answers.cells if cell_id in set(cell.runs["cell_id"]))


def _scores(grid: GridResults, runs: pd.DataFrame) -> tuple[str, ...]:
    """PSNR and rFID of the autoencoder that is shown, as far as they are known."""
    said = []
    for metric in sorted(grid.meta.metrics, key=lambda metric: metric.name != PSNR):
        values = runs[metric.name].dropna() if metric.name in runs else pd.Series(dtype="float64")
        if len(values) and (metric.name == PSNR or metric.name.startswith(RFID)):
            unit = f" {metric.unit}" if metric.unit else ""
            said.append(f"{metric.label} {Rounding(metric.decimals).number(float(values.iloc[0]))}{unit}")
    return tuple(said)


def _fit(rows: Sequence[ImageRow], room: float) -> tuple[int, float]:
    """The number of images that are shown, and their side in inches: a whole number of dots per pixel, as large as they
    fit."""
    most, size = max(len(row.images) for row in rows), int(rows[0].images.shape[1])
    shown = max(1, min(most, int(room / (_MIN_IMAGE + _GAP))))
    return shown, size * dots(size, min(room / shown - _GAP, _MAX_IMAGE)) / DPI
