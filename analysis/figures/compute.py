"""The deciding metrics against the FLOPs of training, its autoencoder's included: a line per space.

A line joins the cells of one space by their compute. An autoencoder alone, as a VAE, is a hollow marker without a line.
Cells without a comparable value are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.distinct import unnamed_later
from analysis.figures.drawing import GREY, Look, distinct_looks, label_ends, panels
from analysis.figures.points import cost_axis, draw_seeds, known_cells, mark_outside
from analysis.figures.windows import show, whole_window
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.costs import Cost
from analysis.findings.spaces import is_vae
from analysis.findings.summary import deciding
from analysis.grid_json import ShownMetric
from analysis.labels import Rounding, mathtext

_CHARS = 16
MOST = 12
"""The most lines that can be named beside a panel."""
LOG_FROM = 4
"""The ratio of values above which their axis is logarithmic; an autoencoder alone soon causes such a ratio."""


@dataclass(frozen=True, eq=False)
class ComputePanel:
    """One metric of the cells and the cost of their trainings; `lines` are each space's cells by index, cheapest
    first."""

    metric: ShownMetric
    cells: Sequence[CellRuns]
    cost: Cost
    estimates: Sequence[Estimate]
    lines: dict[str, list[int]]

    @property
    def known(self) -> list[int]:
        """The indices of the cells that are drawn."""
        return [i for line in self.lines.values() for i in line]


def compute_figure(answers: Answers) -> Figure | None:
    """The figure; None where the grid does not vary the space, has too many lines to name, or no known costs."""
    if not answers.space_axes:
        return None
    shown = [panel for metric in deciding(answers.metrics) if (panel := _panel_of(answers, metric)).lines]
    spaces = dict.fromkeys(_space(answers, cell) for cell in answers.cells)
    names = [name for name in spaces if any(name in panel.lines for panel in shown)]
    if not shown or len(names) > MOST:
        return None
    styles = dict(zip(names, distinct_looks(len(names)), strict=True))
    figure, subplots = panels(len(shown), 2.9, wspace=0.04)
    for i, (axes, panel) in enumerate(zip(subplots, shown, strict=True)):
        _draw(axes, panel, styles, unnamed_later(i, [other.lines for other in shown]))
    figure.supxlabel(mathtext(shown[0].cost.head), fontsize=7.5)
    return figure


def _panel_of(answers: Answers, metric: ShownMetric) -> ComputePanel:
    """The panel of a metric, without lines where no cell has both its value and its cost."""
    cells = answers.cells
    cost, estimates = answers.costs.train_flops, [cell.estimate(metric.name) for cell in cells]
    lines: dict[str, list[int]] = {}
    for i in known_cells(estimates, cost):
        lines.setdefault(_space(answers, cells[i]), []).append(i)
    return ComputePanel(
        metric, cells, cost, estimates, {name: sorted(line, key=cost.mean) for name, line in lines.items()}
    )


def _space(answers: Answers, cell: CellRuns) -> str:
    """The levels of a cell on the axes that change the space."""
    labelled = zip(answers.axes, cell.labels, strict=True)
    return ", ".join(label for axis, label in labelled if axis in answers.space_axes)


def _draw(axes: Axes, panel: ComputePanel, styles: dict[str, Look], labelled: set[str]) -> None:
    """Draw one metric; the lines in `labelled` are named at their right."""
    estimates = [panel.estimates[i] for i in panel.known]
    cost_axis(axes, panel.cost, panel.known)
    view = whole_window(estimates, LOG_FROM).bounded(panel.metric.least)
    show(axes, "y", view, 5)
    rounding = Rounding.of(panel.metric.decimals, [estimate.half_width for estimate in estimates])
    ends = []
    for name, line in panel.lines.items():
        _line(axes, panel, line, styles[name])
        if name in labelled:
            end = panel.cost.mean(line[-1]), view.clipped(panel.estimates[line[-1]].mean)
            ends.append((end, name, styles[name].color))
    looks = {i: styles[name] for name, line in panel.lines.items() for i in line}
    points = {i: (panel.cost.mean(i), panel.estimates[i].mean) for i in looks}
    mark_outside(axes, [(points[i], look, rounding) for i, look in looks.items()], view)
    axes.set_ylabel(mathtext(panel.metric.head))
    if any(is_vae(panel.cells[i]) for i in panel.known):
        axes.set_title("hollow: the autoencoder alone, a VAE", loc="left", color=GREY, fontsize=6.8, pad=6)
    label_ends(axes, ends, _CHARS)


def _line(axes: Axes, panel: ComputePanel, line: Sequence[int], look: Look) -> None:
    """Draw the seeds and means of a space's cells, and the line through all but VAEs."""
    means = {i: (panel.cost.mean(i), panel.estimates[i].mean) for i in line}
    for i in means:
        draw_seeds(axes, panel.cost.values[i], panel.estimates[i], look, 0.6)
    joined = [point for i, point in means.items() if not is_vae(panel.cells[i])]
    alone = [point for i, point in means.items() if is_vae(panel.cells[i])]
    style: dict[str, Any] = {"marker": look.marker, "ms": 4.6, "zorder": 3}
    if joined:
        axes.plot(*np.array(joined).T, ls="-", mew=0, **look.line, **style)
    if alone:
        axes.plot(*np.array(alone).T, ls="none", mfc="white", mew=1.0, color=look.color, **style)
