"""Figures over training steps and over t: training loss, the weight of each t, the bound per t.

The weight of each t is what `weights` says. Training choices whose weights agree share a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.drawing import (
    DASHES,
    WIDTH,
    Which,
    first_level,
    label_ends,
    log_scale,
    looks,
    new_figure,
    stroke,
    wrapped,
)
from analysis.findings.cells import CellRuns, cells_of
from analysis.findings.spaces import in_latents
from analysis.findings.weights import SAME, effective_weights, relative
from analysis.notation import mathtext
from analysis.read.runs import GridResults

TRAINING, BOUND = "train/network", "bound_per_t"
_COLUMNS = 4


def training_figure(grid: GridResults) -> Figure | None:
    """The loss over training steps: a panel per objective, since their scales differ."""
    return _panels(grid, TRAINING, "training step", "training loss", log_x=False, share_y=False)


def bound_figure(grid: GridResults) -> Figure | None:
    """What each t adds to the bound on test data, where that is comparable.

    The first term of latents is of a density and can be below 0, where a logarithmic axis has no place for it.
    """
    return _panels(grid, BOUND, "t", "bits/dim per t", log_x=True, share_y=True)


def _panels(grid: GridResults, curve: str, x: str, y: str, *, log_x: bool, share_y: bool) -> Figure | None:
    """Small multiples over all axes but the first, whose levels are the lines."""
    panels = _by_panel(grid, curve)
    if not panels:
        return None
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(WIDTH if columns > 2 else 3.5 * columns, 0.4 + 1.6 * rows)
    subplots = figure.subplots(rows, columns, sharex=True, sharey=share_y, squeeze=False)
    drawn = [table for panel in panels.values() for table in panel.values()]
    for axes, (title, tables) in zip(subplots.flat, panels.items(), strict=False):
        axes.set_title(wrapped(title, 26), loc="left")
        fit_axis(axes, "x", [table.index.to_numpy(dtype="float64") for table in drawn], log=log_x)
        fit_axis(axes, "y", [table.to_numpy() for table in (drawn if share_y else tables.values())], log=True)
        _lines(axes, grid, tables)
    for axes in subplots.flat[len(panels) :]:
        axes.remove()
    figure.supxlabel(x, fontsize=7.5)
    figure.supylabel(y, fontsize=7.5)
    return figure


def _by_panel(grid: GridResults, curve: str) -> dict[str, dict[CellRuns, pd.DataFrame]]:
    """Panel title → cell → its curve, [x, seed]; panels in the order of the axes' levels."""
    curves = grid.curves[grid.curves["curve"] == curve]
    rest = grid.meta.axes[1:]
    cells = sorted(
        cells_of(grid),
        key=lambda cell: [axis.position(level) for axis, level in zip(rest, cell.levels[1:], strict=True)],
    )
    panels: dict[str, dict[CellRuns, pd.DataFrame]] = {}
    for cell in cells:
        table = table_of(curves, cell)
        if curve == BOUND:
            table = _positive(table) if in_latents(cell) else table
            table = table if cell.comparable("nll") else table.iloc[:0]
        if len(table):
            title = ", ".join(cell.labels[1:]) if rest else cell.parameter("objective")
            panels.setdefault(title, {})[cell] = table
    return panels


def _positive(table: pd.DataFrame) -> pd.DataFrame:
    return table.where(table > 0).dropna(how="all")


def table_of(curves: pd.DataFrame, cell: CellRuns) -> pd.DataFrame:
    """A cell's curve as [x, seed], without points that are not finite."""
    rows = curves[curves["cell_id"].isin(set(cell.runs["cell_id"])) & curves["seed"].isin(set(cell.runs["seed"]))]
    finite = rows[np.isfinite(rows["y"])]
    return pd.DataFrame(finite.pivot_table(index="x", columns="seed", values="y", aggfunc="last"))


def fit_axis(axes: Axes, which: Which, values: Sequence[NDArray[Any]], *, log: bool) -> None:
    """Limits with a margin, logarithmic if asked for and if every value is positive."""
    known = np.concatenate([value[np.isfinite(value)].ravel() for value in values])
    low, high = float(known.min()), float(known.max())
    if log and low > 0:
        margin = (high / low) ** 0.05 if high > 1.5 * low else 2.0
        log_scale(axes, which, low / margin, high * margin)
        axes.set(**{f"{which}lim": (low / margin, high * margin)})
    else:
        margin = 0.05 * (high - low) or 1.0
        axes.set(**{f"{which}lim": (low - margin, high + margin)})


def _lines(axes: Axes, grid: GridResults, tables: dict[CellRuns, pd.DataFrame]) -> None:
    """Seeds thin, their mean in full, its name at its end."""
    ends = []
    for cell, table in tables.items():
        look = looks(grid)[first_level(cell)]
        mean = table.mean(axis=1)
        if table.shape[1] > 1:
            axes.plot(table.index, table, color=look.color, linewidth=0.5, alpha=0.4)
        axes.plot(mean.index, mean, stroke(mean), color=look.color, dashes=look.dashes or (None, None))
        ends.append((float(mean.iloc[-1]), cell.labels[0] if cell.labels else "", look.color))
    label_ends(axes, ends, 12)


def weights_figure(grid: GridResults) -> Figure | None:
    """The weight of each t in training, a line per distinct training choice."""
    shared = _distinct(grid)
    if not shared:
        return None
    figure = new_figure(WIDTH, 3.0)
    axes = figure.subplots()
    fit_axis(axes, "x", [weight.index.to_numpy(dtype="float64") for weight, _ in shared], log=False)
    fit_axis(axes, "y", [weight.to_numpy() for weight, _ in shared], log=True)
    palette = sns.color_palette("colorblind" if len(shared) <= 10 else "husl", len(shared))
    ends = []
    for i, ((weight, cells), color) in enumerate(zip(shared, palette, strict=True)):
        axes.plot(weight.index, weight, color=color, dashes=DASHES[i % len(DASHES)] or (None, None))
        ends.append((float(weight.iloc[-1]), describe(cells, cells_of(grid)), color))
    label_ends(axes, ends, 32)
    axes.set(xlabel="t", ylabel=mathtext("ε-weight × density of t,\nrelative to its mean"))
    return figure


def _distinct(grid: GridResults) -> list[tuple[pd.Series[float], list[CellRuns]]]:
    """Weights over t, each with the cells that train by it."""
    runs = effective_weights(grid.curves)
    found: list[tuple[pd.Series[float], list[CellRuns]]] = []
    for cell in cells_of(grid):
        keys = zip(cell.runs["cell_id"], cell.runs["seed"], strict=True)
        seeds = [runs[key] for key in keys if key in runs]
        if not seeds:
            continue
        weight = relative(pd.concat(seeds, axis=1).mean(axis=1)).dropna()
        weight = weight[weight > 0]
        for other, cells in found:
            if other.index.equals(weight.index) and float(np.abs(np.log(weight / other)).max()) < SAME:
                cells.append(cell)
                break
        else:
            found.append((weight, [cell]))
    return found


def describe(cells: Sequence[CellRuns], everyone: Sequence[CellRuns]) -> str:
    """Cells by their later levels, a line each, led by those of the first axis where they are not all of it."""
    firsts: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        firsts.setdefault(cell.labels[1:], []).extend(cell.labels[:1])
    lines = []
    for rest, leads in firsts.items():
        whole = len(leads) == sum(cell.labels[1:] == rest for cell in everyone) > 1
        lead = "" if whole and rest else ", ".join(leads)
        lines.append(": ".join(word for word in (lead, ", ".join(rest)) if word))
    return "\n".join(lines)
