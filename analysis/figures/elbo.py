"""Where the bits of an image go, in bits/dim: a bar per cell, as long as its NLL.

    pixels     L_0                       + L_1 to L_T
    latents    E −log p(x | z)           + E log q(z | x) + (L_0 + L_1 to L_T of z)
               the reconstruction          the rate, which is what the latents cost: E log q(z | x) / p(z)

A part below 0 lies to the left of 0: L_0 of dequantised data is of a density. The line across a bar is the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing import GREY, WIDTH, new_figure
from analysis.figures.forest import label_rows, rows
from analysis.findings.cells import CellRuns, cells_of
from analysis.findings.spaces import ENTROPY, RECONSTRUCTION, in_latents
from analysis.notation import Rounding, mathtext
from analysis.read.runs import GridResults

PRIOR = ("nll/test_L0", "nll/test_Lt", "nll/test_LT")
COLORS = {
    "reconstruction": ("#029E73", "white"),
    "rate of the latents": ("#B5DFD1", "#222222"),
    "L_0": ("#0173B2", "white"),
    "L_1 to L_T": ("#BBD9EC", "#222222"),
}
"""What a part is called → the colour of its bar and of the number in it."""
_ROOM = 0.08
"""The share of the bars' range that a number needs."""


@dataclass(frozen=True)
class Bits:
    """The parts of a cell's NLL by name, as means over its seeds; of a rate, the code's and the prior's part."""

    parts: dict[str, float]
    rate: tuple[float, float] | None = None

    @property
    def total(self) -> float:
        """The NLL."""
        return sum(self.parts.values())

    @property
    def ends(self) -> tuple[float, float]:
        """Where the bar begins and ends: parts below 0 lie to the left of 0."""
        return sum(min(part, 0.0) for part in self.parts.values()), sum(max(p, 0.0) for p in self.parts.values())


def elbo_figure(grid: GridResults) -> Figure | None:
    """The figure; None where no cell has a reconstruction among its bits."""
    known = [(cell, bits) for cell in cells_of(grid) if (bits := bits_of(cell)) is not None]
    if not any(bits.rate for _, bits in known):
        return None
    heights, ticks = rows(grid, [cell for cell, _ in known])
    low, high = min(bits.ends[0] for _, bits in known), max(bits.ends[1] for _, bits in known)
    figure = new_figure(WIDTH, 0.75 + 0.17 * (len(ticks) + 1))
    axes = figure.subplots()
    axes.set(xlim=(1.02 * low, high + 0.42 * (high - low)), ylim=(max(ticks) + 0.7, -1.5))
    axes.set_xlabel("bits/dim", x=(high - low) / 2 / 1.42 / (high - low))
    ticks_at = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    axes.set_xticks([tick for tick in ticks_at if low <= tick <= high])
    axes.spines["bottom"].set_bounds(low, high)
    ends = high + 0.02 * (high - low), high + 0.15 * (high - low)
    for (_, bits), height in zip(known, heights, strict=True):
        _bar(axes, bits, height, _ROOM * (high - low))
        _say(axes, bits, height, ends)
    for place, text in zip(ends, ("NLL", "rate = log q(z|x) − log p(z)"), strict=True):
        axes.text(place, -0.9, mathtext(text), color=GREY, fontsize=6.5, ha="left", va="center")
    _legend(axes, {name for _, bits in known for name in bits.parts})
    axes.axvline(0.0, color="#444444", linewidth=0.6, zorder=3)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    label_rows(axes, ticks)
    return figure


def bits_of(cell: CellRuns) -> Bits | None:
    """Where a cell's bits go; None where a part is not known at any seed."""
    latents = in_latents(cell)
    needed = [*((RECONSTRUCTION, ENTROPY) if latents else ()), *PRIOR]
    found = {name: cell.estimate(name).values for name in needed}
    seeds = set.intersection(*(set(values) for values in found.values()))
    if not seeds:
        return None
    mean = {name: sum(values[seed] for seed in seeds) / len(seeds) for name, values in found.items()}
    first, rest = mean[PRIOR[0]], mean[PRIOR[1]] + mean[PRIOR[2]]
    if not latents:
        return Bits({"L_0": first, "L_1 to L_T": rest})
    rate = mean[ENTROPY], first + rest
    return Bits({"reconstruction": mean[RECONSTRUCTION], "rate of the latents": sum(rate)}, rate)


def _bar(axes: Axes, bits: Bits, height: float, room: float) -> None:
    """The parts one after another, each with its number where there is room, and a line at their sum."""
    left = right = 0.0
    for name, part in bits.parts.items():
        start = right if part >= 0 else left
        color, ink = COLORS[name]
        axes.barh(height, part, 0.72, start, color=color, linewidth=0)
        if abs(part) > room:
            axes.text(start + part / 2, height, _number(part), color=ink, fontsize=6.5, ha="center", va="center")
        left, right = left + min(part, 0.0), right + max(part, 0.0)
    if left < 0:
        axes.plot([bits.total] * 2, [height - 0.42, height + 0.42], color="black", linewidth=1.1, zorder=4)


def _say(axes: Axes, bits: Bits, height: float, ends: tuple[float, float]) -> None:
    """The sum, and what a rate is made of: the mean of log q, and the bound on −log p."""
    axes.text(ends[0], height, _number(bits.total), fontsize=7, ha="left", va="center")
    if bits.rate:
        code, prior = bits.rate
        sign = "+" if prior >= 0 else "−"
        text = f"{_number(code + prior)} = {_number(code)} {sign} {_number(abs(prior))}"
        axes.text(ends[1], height, text, color=GREY, fontsize=6.5, ha="left", va="center")


def _legend(axes: Axes, names: set[str]) -> None:
    """The colours, above the bars and outside of them."""
    shown = [name for name in COLORS if name in names]
    boxes = [axes.barh(0.0, 0.0, color=COLORS[name][0])[0] for name in shown]
    axes.legend(
        boxes,
        [mathtext(name) for name in shown],
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
