"""Figures of pictures, which have no ground of their own: the page is their background."""

from __future__ import annotations

from collections.abc import Sequence
from operator import eq
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import imread

from analysis.answers import Analysis
from analysis.figures.curves import telling_axes
from analysis.figures.style import GREY, WIDTH, parts, varying, wrapped
from analysis.labels import Rounding, mathtext
from analysis.schema import AUTOENCODER, HELD_OUT

_LEAST, _DOWN, _PAGE = 0.34, 4, 7.5
"""The least inches of an image, the most rows of a cell's images, and the inches of all rows of cells."""
_LEFT = 1.2
"""The inches of the texts at either side of a row of images."""
_GREY_LEVELS: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1}
Row = tuple[str, Path, str]
"""The label, file and scores of a row of images."""


def samples(analysis: Analysis) -> Figure | None:
    """Samples of every cell beside held-out data: those of one seed, from the same noise."""
    cells = analysis.cell_ids
    files = {path.stem: path for path in (analysis.folder / "samples").glob("*.*")}
    names = {f"{run.cell_id}-{run.seed}": str(run.cell_id) for run in analysis.runs[::-1].itertuples()}
    sheets = {cell: files[name] for name, cell in [*names.items(), (HELD_OUT, HELD_OUT)] if name in files}
    if not set(sheets) & set(cells):
        return None
    every, axes_of = [HELD_OUT] * (HELD_OUT in sheets) + cells, varying(analysis, cells)
    columns = min(4, max(2, -(-len(every) // 3)))
    width, rows = WIDTH / columns - 0.1, -(-len(every) // columns)
    across = int(width / _LEAST)
    down = max(1, min(_DOWN, int(_PAGE / rows * across / width)))
    images = {cell: imread(path) for cell, path in sheets.items() if path.suffix == ".png"}
    high, wide = (pixels + 1 for pixels in analysis.meta.shape[1:]) if images else (1, 1)
    images = {cell: sheet[: down * high + 1, : across * wide + 1] for cell, sheet in images.items()}
    shape = next(iter(images.values())).shape if images else (1, 1)
    titles = {
        cell: wrapped(parts(analysis, axes_of, cell) or analysis.names[cell], int(width / 0.066)) for cell in cells
    }
    above = 0.23 + 0.14 * max(title.count("\n") for title in titles.values())
    figure = Figure((WIDTH, rows * (width * shape[0] / shape[1] + above)), layout="compressed")
    figure.patch.set_alpha(0.0)
    for axes, cell in zip(figure.subplots(rows, columns, squeeze=False).flat, every, strict=False):
        axes.set_title(titles.get(cell, "held-out"), color=GREY, pad=3)
        if cell in images:
            inside = np.outer(*(np.arange(n) % each for n, each in zip(images[cell].shape, (high, wide), strict=False)))
            axes.imshow(images[cell], alpha=(inside > 0).astype(float), **_GREY_LEVELS)
        elif cell in sheets:
            axes.plot(*pd.read_csv(sheets[cell]).to_numpy().T, ".", ms=1.6, mew=0)
            span = 1.2 * np.quantile(pd.read_csv(sheets.get(HELD_OUT, sheets[cell])), [0.002, 0.998])
            axes.set(xlim=span, ylim=span, aspect="equal")
        else:
            axes.text(0.0, 0.5, "no samples", color=GREY, va="center", transform=axes.transAxes)
    for axes in figure.axes:
        axes.set_axis_off()
    return figure


def reconstructions(analysis: Analysis) -> Figure | None:
    """The same test images through each autoencoder of the first seed: what is lost here, no diffusion brings back."""
    folder = analysis.folder / "reconstructions"
    coded = analysis.runs[(analysis.runs["seed"] == analysis.meta.seeds[0]) & analysis.runs[AUTOENCODER].ne("")]
    first = coded.drop_duplicates(AUTOENCODER)
    axes = telling_axes(analysis, dict(zip(coded["cell_id"], coded[AUTOENCODER], strict=True)), eq)
    rows: list[Row] = [("originals", folder / "originals.png", "")]
    asked = [m for m in analysis.metrics if m.name in first and m.name.startswith(("psnr/", "rfid/"))]
    for run in first.to_dict("records"):
        scores = "\n".join(f"{m.label} {Rounding(m.decimals).number(run[m.name])} {m.unit or ''}" for m in asked)
        label = parts(analysis, axes, run["cell_id"]) or analysis.names[run["cell_id"]]
        rows.append((label, folder / f"{run[AUTOENCODER]}.png", scores))
    return _image_rows(rows)


def _image_rows(rows: Sequence[Row]) -> Figure | None:
    """A row of square images from each file that there is, the label at its left, scores at its right; None without any
    file."""
    width, bottom, placed = WIDTH - 2 * _LEFT, 0.05, []
    for label, path, scores in reversed([row for row in rows if row[1].is_file()]):
        strip = imread(path)
        strip = strip[:, : len(strip) * int(width / _LEAST)]
        height = width * len(strip) / strip.shape[1]
        placed.append((label, scores, strip, bottom, height))
        bottom += height + 0.04
    figure = Figure((WIDTH, bottom))
    figure.patch.set_alpha(0.0)
    for label, scores, strip, low, height in reversed(placed):
        axes = figure.add_axes((_LEFT / WIDTH, low / bottom, width / WIDTH, height / bottom))
        axes.imshow(strip, aspect="auto", **_GREY_LEVELS)
        edges = np.arange(1, strip.shape[1] / len(strip)) * len(strip) - 0.5
        axes.vlines(edges, *axes.get_ylim(), color="white", lw=2.5)
        axes.set_axis_off()
        axes.text(-0.02, 0.5, wrapped(label, 18), color=GREY, ha="right", va="center", transform=axes.transAxes)
        axes.text(1.02, 0.5, mathtext(scores), color=GREY, va="center", transform=axes.transAxes)
    return figure if placed else None
