"""The bits of an image, by where they go, in bits/dim: a bar per cell, as long as its NLL (`findings.bits`).

A part below 0 lies to the left of 0: L_0 of dequantised data is of a density. The line across a bar is the sum.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.bars import SMALL, BarPart, bar_axes, draw_bar
from analysis.figures.drawing import GREY
from analysis.figures.forest import rows
from analysis.figures.windows import round_ticks
from analysis.findings.answers import Answers
from analysis.findings.spaces import Bits
from analysis.format.notation import Rounding, mathtext

PARTS = (
    BarPart("reconstruction", "#029E73", "white"),
    BarPart("rate of the latents", "#B5DFD1", "#222222"),
    BarPart("L_0", "#0173B2", "white"),
    BarPart("L_1 to L_T", "#BBD9EC", "#222222"),
)
_ROOM = 0.08
"""The share of the bars' range that a number needs."""


def elbo_figure(answers: Answers) -> Figure | None:
    """The figure; None where no cell has a reconstruction among its bits."""
    bars = [(cell, bits) for cell, bits in zip(answers.cells, answers.bits, strict=True) if bits is not None]
    if not any(bits.rate for _, bits in bars):
        return None
    heights, ticks = rows(answers.axes, [cell for cell, _ in bars])
    low, high = min(bits.ends[0] for _, bits in bars), max(bits.ends[1] for _, bits in bars)
    figure, axes = bar_axes(ticks, 0.75, 1.5)
    axes.set_xlim(1.02 * low, high + 0.42 * (high - low))
    axes.set_xlabel("bits/dim", x=(high - low) / 2 / 1.42 / (high - low))
    axes.set_xticks([tick for tick in round_ticks(6).tick_values(low, high) if low <= tick <= high])
    axes.spines["bottom"].set_bounds(low, high)
    places = high + 0.02 * (high - low), high + 0.15 * (high - low)
    for (_, bits), height in zip(bars, heights, strict=True):
        _bar(axes, bits, height, _ROOM * (high - low))
        _say(axes, bits, height, places)
    for place, text in zip(places, ("NLL", "rate = log q(z|x) − log p(z)"), strict=True):
        axes.text(place, -0.9, mathtext(text), color=GREY, fontsize=SMALL, ha="left", va="center")
    _legend(axes, {name for _, bits in bars for name in bits.parts})
    axes.axvline(0.0, color="#444444", linewidth=0.6, zorder=3)
    return figure


def _bar(axes: Axes, bits: Bits, height: float, room: float) -> None:
    """The parts, and a line at their sum where it is not their end."""
    looks = {part.name: part for part in PARTS}
    left, _ = draw_bar(axes, height, [(looks[name], value) for name, value in bits.parts.items()], room, _number)
    if left < 0:
        axes.plot([bits.total] * 2, [height - 0.42, height + 0.42], color="black", linewidth=1.1, zorder=4)


def _say(axes: Axes, bits: Bits, height: float, places: tuple[float, float]) -> None:
    """The sum, and what a rate is made of: the mean of log q, and the bound on −log p."""
    axes.text(places[0], height, _number(bits.total), fontsize=7, ha="left", va="center")
    if bits.rate:
        code, prior = bits.rate
        sign = "+" if prior >= 0 else "−"
        text = f"{_number(code + prior)} = {_number(code)} {sign} {_number(abs(prior))}"
        axes.text(places[1], height, text, color=GREY, fontsize=SMALL, ha="left", va="center")


def _legend(axes: Axes, names: set[str]) -> None:
    """The colours, above the bars and outside of them."""
    shown = [part for part in PARTS if part.name in names]
    boxes = [axes.barh(0.0, 0.0, color=part.color)[0] for part in shown]
    axes.legend(
        boxes,
        [mathtext(part.name) for part in shown],
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=len(shown),
        borderaxespad=0.2,
        handlelength=1.0,
        handleheight=0.8,
        columnspacing=1.4,
    )


def _number(value: float) -> str:
    return Rounding(2).number(value)
