"""One sheet with samples of every cell: rows and columns are the grid's axes, all of one seed where it has samples.

Images are drawn as they are, 2-D data as clouds of points on equal axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.drawing import GREY, WIDTH, Color, first_level, looks, new_figure, status_word, wrapped
from analysis.figures.images import DPI, dots, read_image, show_image, side_lines, side_width
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.notation import mathtext
from analysis.read.meta import Axis

_TOP, _GAP = 0.24, 0.07
_MAX_COLUMNS, _MAX_WIDTH = 4, 2.4


@dataclass(frozen=True)
class CellSamples:
    """Samples of a cell: an image [H, W] or [H, W, 3] in [0, 1], or points [n, 2]."""

    seed: int
    values: NDArray[np.float64]
    points: bool


@dataclass(frozen=True)
class SamplePanel:
    """A panel and what is written at its edges."""

    row: int
    column: int
    title: str
    side: str
    cell: CellRuns


def samples_figure(answers: Answers) -> Figure | None:
    """The sheet; None where no samples were kept."""
    places = _places(answers)
    sheets = [_sheet(answers.grid.samples, place.cell) for place in places]
    known = [sheet for sheet in sheets if sheet is not None]
    if not known:
        return None
    rows, columns = 1 + max(place.row for place in places), 1 + max(place.column for place in places)
    left = side_width(place.side.split("\n") for place in places)
    width, height = _panel(known[0], (WIDTH - left) / columns - _GAP)
    titled = {place.row: place.title for place in places if place.title}
    bottoms = np.cumsum([(_TOP if row in titled else 0.0) + height + _GAP for row in range(rows)])
    size = (left + columns * (width + _GAP), float(bottoms[-1]))
    figure = new_figure(*size)
    figure.set_layout_engine("none")
    limits, colors = _limits(known), looks(answers.axes)
    for place, sheet in zip(places, sheets, strict=True):
        x, y = left + place.column * (width + _GAP), size[1] - float(bottoms[place.row]) + _GAP
        axes = figure.add_axes((x / size[0], y / size[1], width / size[0], height / size[1]))
        _frame(axes, place)
        _fill(axes, sheet, place.cell, limits, colors[first_level(place.cell)].color)
    return figure


def _places(answers: Answers) -> list[SamplePanel]:
    """A panel per cell: the last axis across, the others down; a single axis wraps, each panel with its own title."""
    cells = answers.cells
    if len(answers.axes) < 2:
        n = _MAX_COLUMNS
        return [SamplePanel(i // n, i % n, ", ".join(cell.labels), "", cell) for i, cell in enumerate(cells)]
    last = answers.axes[-1]
    across = sorted({cell.levels[-1] for cell in cells}, key=last.position)
    down = list(dict.fromkeys(cell.levels[:-1] for cell in cells))
    placed = [(down.index(cell.levels[:-1]), across.index(cell.levels[-1]), cell) for cell in cells]
    first_row = {column: min(row for row, c, _ in placed if c == column) for _, column, _ in placed}
    first_column = {row: min(c for r, c, _ in placed if r == row) for row, _, _ in placed}
    return [
        SamplePanel(
            row,
            column,
            cell.labels[-1] if first_row[column] == row else "",
            _side(answers.axes[0], cell) if first_column[row] == column else "",
            cell,
        )
        for row, column, cell in placed
    ]


def _side(first: Axis, cell: CellRuns) -> str:
    """The levels of all axes but the last, in short lines; a single one by the label of its axis, the first, too."""
    words = ", ".join(cell.labels[:-1])
    words = f"{first.label} {words}" if len(cell.labels) == 2 else words
    return "\n".join(side_lines(words, 14))


def _sheet(folder: Path | None, cell: CellRuns) -> CellSamples | None:
    """The first seed's samples, or those of the first seed that has any."""
    if folder is None:
        return None
    for name, seed in zip(cell.runs["cell_id"], cell.runs["seed"], strict=True):
        path = folder / f"{name}-{seed}.png"
        if path.is_file():
            return CellSamples(int(seed), read_image(path), points=False)
        if path.with_suffix(".csv").is_file():
            values = pd.read_csv(path.with_suffix(".csv")).to_numpy(dtype="float64")
            return CellSamples(int(seed), values[:, :2], points=True)
    return None


def _panel(sheet: CellSamples, room: float) -> tuple[float, float]:
    """Width and height of a panel in inches: a whole number of dots per pixel, as large as fits."""
    room = min(room, _MAX_WIDTH)
    if sheet.points:
        return room, room
    height, width = sheet.values.shape[:2]
    each = dots(width, room)
    return width * each / DPI, height * each / DPI


def _limits(sheets: Sequence[CellSamples]) -> float:
    """Half the side of the square that holds nearly all points of every cell."""
    clouds = [np.abs(sheet.values) for sheet in sheets if sheet.points]
    return 1.1 * float(np.median([np.quantile(cloud, 0.995) for cloud in clouds])) if clouds else 1.0


def _frame(axes: Axes, place: SamplePanel) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(wrapped(place.title, 26), pad=4)
    axes.set_ylabel(mathtext(place.side), rotation="horizontal", ha="right", va="center", labelpad=4)


def _fill(axes: Axes, sheet: CellSamples | None, cell: CellRuns, limit: float, color: Color) -> None:
    if sheet is None:
        axes.set_facecolor("#f2f2f2")
        axes.text(0.5, 0.5, status_word(cell), color=GREY, ha="center", va="center", transform=axes.transAxes)
        return
    if sheet.points:
        axes.plot(*sheet.values.T, ".", markersize=1, markeredgewidth=0, color=color)
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    else:
        show_image(axes, sheet.values)
    if sheet.seed != cell.runs["seed"].iloc[0]:
        axes.text(
            1, -0.01, f"seed {sheet.seed}", color=GREY, fontsize=6, ha="right", va="top", transform=axes.transAxes
        )
