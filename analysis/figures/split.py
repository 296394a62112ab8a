"""The shares of the bits: those of L_0, L_1 to L_{T−1} and L_T in each cell's bound, a bar per cell.

    L_0 + Σ_{t=2..T} L_{t−1} + L_T

Cells in latents are left out: what their terms cost beside the reconstruction is in `elbo`.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from analysis.figures.bars import SMALL, BarPart, bar_axes, draw_bar
from analysis.figures.drawing import GREY
from analysis.figures.forest import rows
from analysis.findings.answers import Answers
from analysis.format.notation import mathtext

TERMS = (
    BarPart("L_0", "#0173B2", "white"),
    BarPart("L_1 to L_{T−1}", "#BBD9EC", "#222222"),
    BarPart("L_T", "#DE8F05", "white"),
)
_ROOM = 0.09
"""The share of a bar that a percentage needs."""


def split_figure(answers: Answers) -> Figure | None:
    """The figure; None where no cell has a bound with its terms."""
    bars = [(cell, shares) for cell, shares in zip(answers.cells, answers.shares, strict=True) if shares is not None]
    if not bars:
        return None
    heights, ticks = rows(answers.axes, [cell for cell, _ in bars])
    figure, axes = bar_axes(ticks, 0.6, 1.6)
    axes.set(xlim=(0, 1.1), xlabel="share of the bound")
    for (_, shares), height in zip(bars, heights, strict=True):
        draw_bar(axes, height, list(zip(TERMS, shares, strict=True)), _ROOM, _percent)
        if shares[2] <= _ROOM:
            # L_T is short: its number stands beside the bar.
            axes.text(1.01, height, _percent(shares[2]), color=GREY, fontsize=SMALL, ha="left", va="center")
    _head(axes, bars[0][1])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.grid(False)
    return figure


def _head(axes: Axes, shares: tuple[float, float, float]) -> None:
    """The terms above the first bar."""
    places = (0.0, shares[0] + shares[1] / 2, 1.01)
    for place, term, side in zip(places, TERMS, ("left", "center", "left"), strict=True):
        axes.text(place, -0.9, mathtext(term.name), color=GREY, ha=side, va="center")


def _percent(share: float) -> str:
    if 0 < share < 1e-3:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"
