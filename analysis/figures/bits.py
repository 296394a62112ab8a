"""Figures of bits, a bar per cell, its parts one after another, each with its number where there is room.

    elbo     where the bits of an image go, in bits/dim: bars are as long as the NLL (`findings.spaces`)
    split    the shares of L_0, L_1 to L_{T−1} and L_T in each cell's bound, where these differ by `_APART` or more;
             cells in latents are left out

A bar that is many times as long as most is cut where an arrow stands. A part below 0 lies to the left of 0, as L_0 of
dequantised data may, which is of a density. Such a bar has a line at the sum of its parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from analysis.figures.distinct import distinct
from analysis.figures.drawing import GREY, WIDTH, new_figure
from analysis.figures.forest import label_rows, plain_rows, rows
from analysis.figures.windows import round_ticks
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.spaces import Bits
from analysis.grid_json import Axis
from analysis.labels import Rounding, listed, mathtext

SMALL = 6.5
"""The size of the numbers in and beside bars."""


@dataclass(frozen=True)
class BarPart:
    """A part of a bar: its name, its colour, and the colour of the number in it."""

    name: str
    color: str
    ink: str


PARTS = (
    BarPart("reconstruction", "#029E73", "white"),
    BarPart("rate of the latents", "#B5DFD1", "#222222"),
    BarPart("L_0", "#0173B2", "white"),
    BarPart("L_1 to L_T", "#BBD9EC", "#222222"),
)
_ROOM_OF_RANGE = 0.08
"""The share of the bars' range that a number needs."""
_MANY = 8.0
"""A bar that is longer than so many typical ones is cut."""
TERMS = (
    BarPart("L_0", "#0173B2", "white"),
    BarPart("L_1 to L_{T−1}", "#BBD9EC", "#222222"),
    BarPart("L_T", "#DE8F05", "white"),
)
_ROOM_OF_BAR = 0.09
"""The share of a bar that a percentage needs."""
_APART = 0.05
"""The share of the bound by which some term has to differ between cells for a figure to be worth its place."""


def elbo_figure(answers: Answers) -> Figure | None:
    """The figure `elbo`; None where no cell has a reconstruction among its bits."""
    bars = [(cell, bits) for cell, bits in zip(answers.cells, answers.bits, strict=True) if bits is not None]
    if not any(bits.rate for _, bits in bars):
        return None
    heights, ticks = rows(answers.axes, [cell for cell, _ in bars])
    low, high = min(bits.ends[0] for _, bits in bars), _longest([bits.ends[1] for _, bits in bars])
    figure, axes = bar_axes(ticks, 0.75, 1.5)
    axes.set_xlim(1.02 * low, high + 0.42 * (high - low))
    axes.set_xlabel("bits/dim", x=(high - low) / 2 / 1.42 / (high - low))
    axes.set_xticks([tick for tick in round_ticks(6).tick_values(low, high) if low <= tick <= high])
    axes.spines["bottom"].set_bounds(low, high)
    places = high + 0.02 * (high - low), high + 0.15 * (high - low)
    for (_, bits), height in zip(bars, heights, strict=True):
        _elbo_bar(axes, bits, height, _ROOM_OF_RANGE * (high - low), high)
        _say(axes, bits, height, places)
    for place, text in zip(places, ("NLL", "rate = log q(z|x) − log p(z)"), strict=True):
        axes.text(place, -0.9, mathtext(text), color=GREY, fontsize=SMALL, ha="left", va="center")
    _legend(axes, {name for _, bits in bars for name in bits.parts})
    axes.axvline(0.0, color="#444444", linewidth=0.6, zorder=3)
    return figure


def _elbo_bar(axes: Axes, bits: Bits, height: float, room: float, most: float) -> None:
    """Draw the parts up to `most`, and a line at their sum if it is not their end."""
    looks = {part.name: part for part in PARTS}
    parts = [(looks[name], value) for name, value in bits.parts.items()]
    left, right = draw_bar(axes, height, parts, room, _number, most)
    if right > most:
        axes.plot(most, height, ">", ms=5, color="black", mew=0, clip_on=False, zorder=4)
    elif left < 0:
        axes.plot([bits.total] * 2, [height - 0.42, height + 0.42], color="black", linewidth=1.1, zorder=4)


def _longest(bars: Sequence[float]) -> float:
    """The length up to which bars are shown: of those that are many times as long as most, only the beginning."""
    typical = sorted(bars)[len(bars) // 2]
    shown = [length for length in bars if length <= _MANY * typical]
    return max(bars) if len(shown) == len(bars) else 1.15 * max(shown)


def _say(axes: Axes, bits: Bits, height: float, places: tuple[float, float]) -> None:
    """Write the sum, and the parts of a rate: the mean of log q, and the bound on −log p."""
    axes.text(places[0], height, _number(bits.total), fontsize=7, ha="left", va="center")
    if bits.rate:
        code, prior = bits.rate
        sign = "+" if prior >= 0 else "−"
        text = f"{_number(code + prior)} = {_number(code)} {sign} {_number(abs(prior))}"
        axes.text(places[1], height, text, color=GREY, fontsize=SMALL, ha="left", va="center")


def _legend(axes: Axes, names: set[str]) -> None:
    """Draw the legend of colours above the bars."""
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


def split_figure(answers: Answers) -> Figure | None:
    """The figure `split`; None where no two cells have a bound whose shares lie apart."""
    axes_that_tell, bars = _splits(answers)
    if all(high - low < _APART for low, high in _ranges([shares for _, shares in bars])):
        return None
    heights, ticks = rows(axes_that_tell, [cell for cell, _ in bars])
    figure, axes = bar_axes(ticks, 0.6, 1.6)
    axes.set(xlim=(0, 1.1), xlabel="share of the bound")
    for (_, shares), height in zip(bars, heights, strict=True):
        draw_bar(axes, height, list(zip(TERMS, shares, strict=True)), _ROOM_OF_BAR, _percent)
        if shares[2] <= _ROOM_OF_BAR:
            # L_T is short: its number stands beside the bar.
            axes.text(1.01, height, _percent(shares[2]), color=GREY, fontsize=SMALL, ha="left", va="center")
    _head(axes, bars[0][1])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.grid(False)
    return figure


Shares = tuple[float, float, float]


def split_sentence(answers: Answers) -> str:
    """The sentence in place of the figure `split` if all bounds have about the same shares; "" if they lie apart, or
    none exist."""
    ranges = _ranges([shares for _, shares in _splits(answers)[1]])
    if not ranges or any(high - low >= _APART for low, high in ranges):
        return ""
    ends = [" to ".join(dict.fromkeys(map(_percent, of))) for of in ranges]
    parts = listed([f"{share} is {term.name}" for share, term in zip(ends, TERMS, strict=True)])
    return f"In every bound {parts}."


def _ranges(shares: Sequence[Shares]) -> list[tuple[float, float]]:
    """The least and the largest share of each term."""
    return [(min(of), max(of)) for of in zip(*shares, strict=True)]


def _splits(answers: Answers) -> tuple[list[Axis], list[tuple[CellRuns, Shares]]]:
    """The axes along which bounds differ, and a cell with its shares for each combination of their levels."""
    shares = zip(answers.cells, answers.shares, strict=True)
    axes, groups = distinct(answers.axes, [(cell, of) for cell, of in shares if of is not None], tuple.__eq__)
    rows_of = [(cell, group.thing) for group in groups for cell in group.cells]
    return axes, sorted(rows_of, key=lambda row: [a.position(of) for a, of in zip(axes, row[0].levels, strict=True)])


def _head(axes: Axes, shares: tuple[float, float, float]) -> None:
    """Write the names of the terms above the first bar."""
    places = (0.0, shares[0] + shares[1] / 2, 1.01)
    for place, term, side in zip(places, TERMS, ("left", "center", "left"), strict=True):
        axes.text(place, -0.9, mathtext(term.name), color=GREY, ha=side, va="center")


def _percent(share: float) -> str:
    if 0 < share < 1e-3:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def bar_axes(ticks: dict[float, tuple[str, bool]], height: float, above: float) -> tuple[Figure, Axes]:
    """A figure of rows with these labels and of this height besides them, with room above the first row."""
    figure = new_figure(WIDTH, height + 0.17 * (max(ticks) + 2))
    axes = figure.subplots()
    axes.set_ylim(max(ticks) + 0.7, -above)
    plain_rows(axes)
    label_rows(axes, ticks)
    return figure, axes


def draw_bar(
    axes: Axes,
    height: float,
    parts: Sequence[tuple[BarPart, float]],
    room: float,
    number: Callable[[float], str],
    most: float = math.inf,
) -> tuple[float, float]:
    """Draw the parts from 0 to `most`, those below 0 to its left, with a number if longer than `room`; return both ends
    as they would be without a cut."""
    left = right = 0.0
    for part, value in parts:
        start = right if value >= 0 else left
        shown = min(value, max(most - start, 0.0))
        axes.barh(height, shown, 0.72, start, color=part.color, linewidth=0)
        if abs(shown) > room:
            style: dict[str, Any] = {"color": part.ink, "fontsize": SMALL, "ha": "center", "va": "center"}
            axes.text(start + shown / 2, height, number(value), **style)
        left, right = left + min(value, 0.0), right + max(value, 0.0)
    return left, right
