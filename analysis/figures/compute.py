"""NLL and FID against what a training takes in FLOPs, its autoencoder included: a line per space to diffuse in.

A line joins the cells of one space by their compute: seeds are dots, their mean is a marker. An autoencoder alone, as a
VAE, is a hollow marker that no line passes. Cells without a comparable value are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import GREY, WIDTH, Look, distinct_looks, label_ends, log_scale, new_figure
from analysis.figures.forest import Window, beyond
from analysis.figures.lines import y_axis
from analysis.findings.cells import CellRuns, Estimate, cells_of
from analysis.findings.costs import train_flops
from analysis.findings.spaces import is_vae, space_axes
from analysis.findings.summary import metrics_present
from analysis.notation import Rounding, mathtext
from analysis.read.meta import Metric
from analysis.read.runs import GridResults

_KINDS = ("nll", "fid")
_CHARS = 16
MOST = 12
"""Lines that can be named beside a panel."""
LOG_FROM = 4
"""Above this ratio of values, which an autoencoder alone soon brings about, their axis is logarithmic."""


@dataclass(frozen=True)
class Point:
    """A cell: its compute and value of a metric by seed, and whether it is a VAE."""

    compute: dict[int, float]
    value: Estimate
    vae: bool

    @property
    def x(self) -> float:
        """Its mean compute."""
        return float(np.mean(list(self.compute.values())))


Lines = dict[str, list[Point]]
"""The name of a space → its cells by compute."""


def compute_figure(grid: GridResults) -> Figure | None:
    """The figure; None where the grid does not vary the space, or by more lines than can be named, or nothing is known
    of its costs."""
    if not space_axes(grid):
        return None
    metrics = [metric for kind in _KINDS for metric in metrics_present(grid) if metric.kind == kind]
    known = {metric.name: lines for metric in metrics if (lines := lines_of(grid, metric))}
    shown = [metric for metric in metrics if metric.name in known]
    if not shown:
        return None
    names = [name for name in _names(grid) if any(name in lines for lines in known.values())]
    if len(names) > MOST:
        return None
    styles = dict(zip(names, distinct_looks(len(names)), strict=True))
    figure = new_figure(WIDTH if len(shown) > 1 else 0.65 * WIDTH, 2.9)
    figure.set_layout_engine("constrained", wspace=0.04)
    panels = list(figure.subplots(1, len(shown), squeeze=False).flat)
    for i, (axes, metric) in enumerate(zip(panels, shown, strict=True)):
        after = {name for later in shown[i + 1 :] for name in known[later.name]}
        _panel(axes, metric, known[metric.name], styles, [name for name in names if name not in after])
    figure.supxlabel(mathtext(train_flops(cells_of(grid)).head), fontsize=7.5)
    return figure


def lines_of(grid: GridResults, metric: Metric) -> Lines:
    """The cells whose compute and value are both known, by space; in the order of the cells."""
    cells = cells_of(grid)
    found: Lines = {}
    for cell, compute in zip(cells, train_flops(cells).values, strict=True):
        value = cell.estimate(metric.name)
        if compute and math.isfinite(value.mean):
            found.setdefault(_name(grid, cell), []).append(Point(compute, value, is_vae(cell)))
    return {name: sorted(points, key=lambda point: point.x) for name, points in found.items()}


def _names(grid: GridResults) -> list[str]:
    return list(dict.fromkeys(_name(grid, cell) for cell in cells_of(grid)))


def _name(grid: GridResults, cell: CellRuns) -> str:
    """Its levels of the axes that change the space."""
    axes = space_axes(grid)
    return ", ".join(label for axis, label in zip(grid.meta.axes, cell.labels, strict=True) if axis in axes)


def _panel(axes: Axes, metric: Metric, lines: Lines, styles: dict[str, Look], labelled: Sequence[str]) -> None:
    """One metric; these of its lines are named at their right."""
    points = [point for line in lines.values() for point in line]
    _x_axis(axes, [value for point in points for value in point.compute.values()])
    view = y_axis(axes, [point.value for point in points], LOG_FROM)
    rounding = Rounding.of(metric.decimals, [point.value.half_width for point in points])
    ends = []
    for name, line in lines.items():
        _line(axes, line, styles[name], view, rounding)
        if name in labelled:
            ends.append((min(max(line[-1].value.mean, view.low), view.high), name, styles[name].color))
    axes.set_ylabel(mathtext(metric.head))
    if any(point.vae for point in points):
        axes.set_title("hollow: the autoencoder alone, a VAE", loc="left", color=GREY, fontsize=6.8, pad=6)
    label_ends(axes, ends, _CHARS)


def _x_axis(axes: Axes, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    margin = max((high / low) ** 0.06, 1.05)
    log_scale(axes, "x", low / margin, high * margin)
    axes.set_xlim(low / margin, high * margin)


def _line(axes: Axes, line: Sequence[Point], look: Look, view: Window, rounding: Rounding) -> None:
    """Seeds, means, and the line through all but a VAE; a mean out of view is an arrow with its number."""
    for point in line:
        seeds = [(x, point.value.values[seed]) for seed, x in point.compute.items() if seed in point.value.values]
        axes.plot(*np.array(seeds).reshape(-1, 2).T, ".", ms=3, mew=0, color=look.color, alpha=0.6, zorder=2)
        if not view.holds(point.value.mean):
            text = rounding.number(point.value.mean)
            beyond(axes, text, point.x, look, view, above=point.value.mean > view.high)
    joined = [(point.x, point.value.mean) for point in line if not point.vae]
    alone = [(point.x, point.value.mean) for point in line if point.vae]
    style: dict[str, Any] = {"marker": look.marker, "color": look.color, "ms": 4.6, "zorder": 3}
    if joined:
        axes.plot(*np.array(joined).T, dashes=look.dashes or (None, None), ls="-", mew=0, **style)
    if alone:
        axes.plot(*np.array(alone).T, ls="none", mfc="white", mew=1.0, **style)
