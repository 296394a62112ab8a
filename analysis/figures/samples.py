"""One sheet with samples of every cell: rows and columns are the grid's axes, all of one seed where it has samples.

Of images, as many are drawn as are large enough to be seen, from the same noise in all cells. 2-D data are clouds of
points on equal axes. Held-out data come first, if there are any: their range is the one shown for every cell, and each
panel gives the number of points outside of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.distinct import parts_of
from analysis.figures.drawing import GREY, ON_ANY, WIDTH, Color, first_level, looks, new_figure, status_word, wrapped
from analysis.figures.forest import ON_WHITE
from analysis.figures.images import DPI, dots, first_images, read_image, show_image, side_lines, side_width, tile
from analysis.figures.windows import round_ticks
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.grid_json import Axis
from analysis.labels import mathtext
from analysis.schema import HELD_OUT

_GAP, _LINE, _LETTERS = 0.07, 0.125, 15.0
"""The inches between panels and of a line of text, and the letters per inch."""
_TILE, _MAX_TILE, _PAGE, _DOWN = 0.34, 0.6, 6.0, 4
"""The least and largest width of an image and the height of all rows, in inches; the most rows of a cell's images."""
_TICKS = 0.3
"""The inches that an axis's numbers take, at the left of a panel of points and below it."""
_MARGIN, _BULK = 0.1, 0.99
"""The share of the range of held-out points that is added at either end; without held-out points, the share of the
median cell's coordinates that is shown."""
_NARROW = 12
"""The most cells of a single axis whose images stand in two columns; more cells, and points, stand in four."""
_FULL = 0.75
"""The share of an axis's combinations with the others that has to exist for them to be laid out as rows and columns."""
_MAX_WIDTH = 2.4


@dataclass(frozen=True)
class CellSamples:
    """The samples of a cell, or held-out data: an image [H, W] or [H, W, 3] in [0, 1], or points [n, 2]."""

    seed: int
    values: NDArray[np.float64]
    points: bool


@dataclass(frozen=True)
class SamplePanel:
    """A panel and the texts at its edges; `cell` is None for held-out data."""

    row: int
    column: int
    title: str
    side: str
    cell: CellRuns | None


@dataclass(frozen=True)
class Square:
    """The square part of the plane in which points are shown."""

    x: float
    y: float
    half: float

    @staticmethod
    def around(points: NDArray[np.float64]) -> Square:
        """The square that holds all of these points, with a margin."""
        low, high = points.min(axis=0), points.max(axis=0)
        (x, y), half = (low + high) / 2, float((high - low).max()) / 2
        return Square(float(x), float(y), (1 + 2 * _MARGIN) * half or 1.0)

    def outside(self, points: NDArray[np.float64]) -> int:
        """The number of these points outside of the square."""
        return int((np.abs(points - (self.x, self.y)).max(axis=1) > self.half).sum())


def samples_figure(answers: Answers) -> Figure | None:
    """The sheet; None where no samples were kept."""
    cells = [first_sheet(answers.grid.samples, cell) for cell in answers.cells]
    present = [sheet for sheet in cells if sheet is not None]
    if not present:
        return None
    points = present[0].points
    real = kept_sheet(answers.grid.samples, HELD_OUT, 0)
    sheets = cells if real is None else [real, *cells]
    places = _places(answers, "points" if points else "images", held_out=real is not None)
    rows, columns = 1 + max(place.row for place in places), 1 + max(place.column for place in places)
    gap = _TICKS if points else _GAP
    left = side_width(place.side.split("\n") for place in places) + (_TICKS if points else 0.0)
    room = (WIDTH - left) / columns - gap
    across, down = _few(present[0], room, rows)
    width, height = _panel(present[0], room, across, down)
    chars = int(_LETTERS * (width + gap))
    high = max(height, *(_LINE * (place.side.count("\n") + 1) for place in places))
    bottoms = np.cumsum([_above(places, row, chars) + high + gap for row in range(rows)])
    size = (left + columns * (width + gap), float(bottoms[-1]))
    figure = new_figure(*size, clear=True)
    figure.set_layout_engine("none")
    shown, colors = _shown(real if points else None, present), looks(answers.axes)
    for place, sheet in zip(places, sheets, strict=True):
        x, y = left + place.column * (width + gap), size[1] - float(bottoms[place.row]) + gap + (high - height) / 2
        axes = figure.add_axes((x / size[0], y / size[1], width / size[0], height / size[1]))
        _frame(axes, place, chars)
        color = GREY if place.cell is None else colors[first_level(place.cell)].color
        if sheet is not None and not sheet.points:
            sheet = replace(sheet, values=first_images(sheet.values, across, down))
        _fill(axes, sheet, place.cell, shown, color)
    return figure


def _above(places: Sequence[SamplePanel], row: int, chars: int) -> float:
    titles = [wrapped(place.title, chars).count("\n") + 1 for place in places if place.row == row and place.title]
    return 0.1 + _LINE * max(titles) if titles else 0.0


def _few(sheet: CellSamples, room: float, rows: int) -> tuple[int, int]:
    """The numbers of images across and down in a panel, with none smaller than can be seen."""
    if sheet.points:
        return 1, 1
    high, wide = tile(sheet.values)
    side = min(_TILE, room)
    down = int(_PAGE / rows / (side * high / wide))
    return max(1, min(sheet.values.shape[1] // wide, int(room / side))), max(1, min(_DOWN, down))


def _places(answers: Answers, what: str, *, held_out: bool) -> list[SamplePanel]:
    """A panel per cell: the last axis across, the others down, with held-out data in a row of their own above. A single
    axis wraps, and so do axes of which few combinations exist: each panel has its own title, held-out data come first.
    """
    cells = answers.cells
    first = [SamplePanel(0, 0, f"held-out {what}", "", None)] if held_out else []
    crossed = len({cell.levels[:-1] for cell in cells}) * len({cell.levels[-1] for cell in cells if cell.levels})
    if len(answers.axes) < 2 or len(cells) < _FULL * crossed:
        n, start = 2 if what == "images" and len(cells) <= _NARROW else 4, len(first)
        return first + [
            SamplePanel(i // n, i % n, ", ".join(parts_of(cell)), "", cell) for i, cell in enumerate(cells, start)
        ]
    last = answers.axes[-1]
    across = sorted({cell.levels[-1] for cell in cells}, key=last.position)
    down = list(dict.fromkeys(cell.levels[:-1] for cell in cells))
    placed = [(down.index(cell.levels[:-1]), across.index(cell.levels[-1]), cell) for cell in cells]
    first_row = {column: min(row for row, c, _ in placed if c == column) for _, column, _ in placed}
    first_column = {row: min(c for r, c, _ in placed if r == row) for row, _, _ in placed}
    return first + [
        SamplePanel(
            row + len(first),
            column,
            parts_of(cell)[-1] if first_row[column] == row else "",
            _side(answers.axes[0], cell) if first_column[row] == column else "",
            cell,
        )
        for row, column, cell in placed
    ]


def _side(first: Axis, cell: CellRuns) -> str:
    """The levels on all axes but the last, in short lines; a single level with the label of its axis."""
    words = ", ".join(cell.labels[:-1])
    words = f"{first.label} {words}" if len(cell.labels) == 2 else words
    return "\n".join(side_lines(words, 18))


def first_sheet(folder: Path | None, cell: CellRuns) -> CellSamples | None:
    """The first seed's samples, or those of the first seed that has any."""
    if folder is None:
        return None
    sheets = (
        kept_sheet(folder, f"{of}-{seed}", int(seed))
        for of, seed in zip(cell.runs["cell_id"], cell.runs["seed"], strict=True)
    )
    return next((sheet for sheet in sheets if sheet is not None), None)


def kept_sheet(folder: Path | None, name: str, seed: int) -> CellSamples | None:
    """The sheet of this name, an image or points [n, 2]; None where there is none."""
    if folder is None:
        return None
    if (path := folder / f"{name}.png").is_file():
        return CellSamples(seed, read_image(path), points=False)
    if (path := folder / f"{name}.csv").is_file():
        return CellSamples(seed, pd.read_csv(path).to_numpy(dtype="float64")[:, :2], points=True)
    return None


def _panel(sheet: CellSamples, room: float, across: int, down: int) -> tuple[float, float]:
    """The width and height of a panel in inches; for images, a whole number of dots per pixel, as large as fits."""
    if sheet.points:
        return min(room, _MAX_WIDTH), min(room, _MAX_WIDTH)
    height, width = first_images(sheet.values, across, down).shape[:2]
    each = dots(width, min(room, _MAX_TILE * across))
    return width * each / DPI, height * each / DPI


def _shown(real: CellSamples | None, sheets: Sequence[CellSamples]) -> Square:
    """The square around held-out points or, without these, the one that holds nearly all points of the median cell."""
    if real is not None and len(real.values):
        return Square.around(real.values)
    reach = [float(np.quantile(np.abs(sheet.values), _BULK)) for sheet in sheets if sheet.points and len(sheet.values)]
    return Square(0.0, 0.0, 1.1 * sorted(reach)[(len(reach) - 1) // 2] if reach else 1.0)


def _frame(axes: Axes, place: SamplePanel, chars: int) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(wrapped(place.title, chars), pad=4, color=ON_ANY)
    axes.set_ylabel(mathtext(place.side), rotation="horizontal", ha="right", va="center", labelpad=4, color=ON_ANY)


def _fill(axes: Axes, sheet: CellSamples | None, cell: CellRuns | None, shown: Square, color: Color | str) -> None:
    if sheet is None:
        assert cell is not None, "a panel of no cell holds held-out data"
        axes.set_facecolor("#f2f2f2")
        axes.text(0.5, 0.5, status_word(cell), color=GREY, ha="center", va="center", transform=axes.transAxes)
        return
    if sheet.points:
        _cloud(axes, sheet.values, shown, color)
    else:
        show_image(axes, sheet.values)
    if cell is not None and sheet.seed != cell.runs["seed"].iloc[0]:
        axes.text(
            1, -0.01, f"seed {sheet.seed}", color=GREY, fontsize=6, ha="right", va="top", transform=axes.transAxes
        )


def _cloud(axes: Axes, points: NDArray[np.float64], shown: Square, color: Color | str) -> None:
    """Draw points in their frame, and write how many lie outside of it."""
    axes.plot(*points.T, ".", markersize=1.6, markeredgewidth=0, color=color)
    axes.set(xlim=(shown.x - shown.half, shown.x + shown.half), ylim=(shown.y - shown.half, shown.y + shown.half))
    axes.set_aspect("equal")
    for which in (axes.xaxis, axes.yaxis):
        which.set_major_locator(round_ticks(4))
    axes.tick_params(labelsize=6, length=2, pad=1.5, colors=GREY)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#c8c8c8", linewidth=0.6)
    outside = shown.outside(points)
    if outside:
        style: dict[str, Any] = {"color": GREY, "fontsize": 6, "ha": "right", "va": "top", "bbox": ON_WHITE}
        axes.text(0.98, 0.98, f"{outside} of {len(points)} outside", transform=axes.transAxes, **style)
