"""Where the bits are: the shares of L_0, L_1 to L_{T−1} and L_T in each cell's bound, a bar per cell.

    L_0 + Σ_{t=2..T} L_{t−1} + L_T

L_0 is that of the values the network sees: of dequantised data it is taken without the constant that states the bound
for fewer grey levels, and which would make it negative. Cells in latents are left out: their terms are of the latents,
and what those cost beside the reconstruction is in `elbo`.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from analysis.figures.curves import BOUND, table_of
from analysis.figures.drawing import GREY, WIDTH, new_figure
from analysis.figures.forest import label_rows, rows
from analysis.findings.cells import CellRuns, cells_of
from analysis.findings.spaces import in_latents
from analysis.notation import mathtext
from analysis.read.runs import GridResults

TERMS = ("L_0", "L_1 to L_{T−1}", "L_T")
_COLORS, _INK = ("#0173B2", "#BBD9EC", "#DE8F05"), ("white", "#222222", "white")
_ROOM = 0.09
"""The share of a bar that a percentage needs."""

Shares = tuple[float, float, float]


def split_figure(grid: GridResults) -> Figure | None:
    """The figure; None where no cell has a bound with its terms."""
    known = [(cell, shares) for cell in cells_of(grid) if (shares := shares_of(grid, cell)) is not None]
    if not known:
        return None
    heights, ticks = rows(grid, [cell for cell, _ in known])
    figure = new_figure(WIDTH, 0.6 + 0.17 * (len(ticks) + 1))
    axes = figure.subplots()
    axes.set(xlim=(0, 1.1), ylim=(max(ticks) + 0.7, -1.6), xlabel="share of the bound")
    for (_, shares), height in zip(known, heights, strict=True):
        _bar(axes, shares, height)
    _head(axes, known[0][1])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    label_rows(axes, ticks)
    return figure


def shares_of(grid: GridResults, cell: CellRuns) -> Shares | None:
    """The shares of the three terms in their sum, as means over the finished seeds; None where one is unknown."""
    if in_latents(cell):
        return None
    curve = table_of(grid.curves[grid.curves["curve"] == BOUND], cell)
    seeds = [seed for seed in cell.estimate("nll/test_Lt").values if seed in curve]
    if not seeds or not {"nll/test_Lt", "nll/test_LT"} <= set(cell.runs):
        return None
    by_seed = cell.runs.set_index("seed").loc[seeds]
    parts = (curve[seeds].iloc[0].mean(), by_seed["nll/test_Lt"].mean(), by_seed["nll/test_LT"].mean())
    first, middle, last = (float(part) for part in parts)
    total = first + middle + last
    if not math.isfinite(total) or min(first, middle, last) < 0 or total == 0:
        return None
    return first / total, middle / total, last / total


def _bar(axes: Axes, shares: Shares, height: float) -> None:
    """The shares one after another, each with its number where there is room; L_T, which is short, beside the bar."""
    starts = np.concatenate([[0.0], np.cumsum(shares)[:-1]])
    for start, share, color, ink in zip(starts, shares, _COLORS, _INK, strict=True):
        axes.barh(height, share, 0.72, start, color=color, linewidth=0)
        if share > _ROOM:
            axes.text(start + share / 2, height, _percent(share), color=ink, fontsize=6.5, ha="center", va="center")
    if shares[2] <= _ROOM:
        axes.text(1.01, height, _percent(shares[2]), color=GREY, fontsize=6.5, ha="left", va="center")


def _head(axes: Axes, shares: Shares) -> None:
    """The terms above the first bar."""
    places = (0.0, shares[0] + shares[1] / 2, 1.01)
    for place, term, side in zip(places, TERMS, ("left", "center", "left"), strict=True):
        axes.text(place, -0.9, mathtext(term), color=GREY, ha=side, va="center")


def _percent(share: float) -> str:
    if 0 < share < 1e-3:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"
