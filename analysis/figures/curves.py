"""Figures over training steps and over t: training loss, the weight of each t, the bound per t.

The weight of each t is what `weights` says. Training choices whose weights agree share a line.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import (
    WIDTH,
    Look,
    distinct_looks,
    first_level,
    label_ends,
    looks,
    mean_line,
    new_figure,
    panels,
    wrapped,
)
from analysis.figures.names import described
from analysis.figures.windows import fit_axis
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.spaces import in_latents
from analysis.findings.values import BOUND, TRAINING, shared
from analysis.findings.weights import SAME, relative
from analysis.format.notation import mathtext

_COLUMNS = 4
LINE = 0.16
"""Inches that the name of a line takes."""


def training_figure(answers: Answers) -> Figure | None:
    """The loss over training steps: a panel per objective, since their scales differ."""
    return _panels(answers, TRAINING, "training step", "training loss", log_x=False, share_y=False)


def bound_figure(answers: Answers) -> Figure | None:
    """The bits that each t adds to the bound on test data, where that is comparable.

    The first term of latents is of a density and can be below 0, where a logarithmic axis has no place for it.
    """
    return _panels(answers, BOUND, "t", "bits/dim per t", log_x=True, share_y=True)


def _panels(answers: Answers, curve: str, x: str, y: str, *, log_x: bool, share_y: bool) -> Figure | None:
    """Small multiples over all axes but the first, whose levels are the lines."""
    titled = _by_panel(answers, curve)
    if not titled:
        return None
    columns = min(_COLUMNS, len(titled))
    tall = max(1.6, LINE * max(map(len, titled.values())))
    height = 0.4 + tall * -(-len(titled) // columns)
    figure, subplots = panels(len(titled), height, columns=columns, alone=0.5, sharex=True, sharey=share_y)
    drawn = [table for tables in titled.values() for table in tables.values()]
    for axes, (title, tables) in zip(subplots, titled.items(), strict=True):
        axes.set_title(wrapped(title, 26), loc="left")
        fit_axis(axes, "x", [table.index.to_numpy(dtype="float64") for table in drawn], log=log_x)
        fit_axis(axes, "y", [table.to_numpy() for table in (drawn if share_y else tables.values())], log=True)
        _lines(axes, looks(answers.axes), tables)
    figure.supxlabel(x, fontsize=7.5)
    figure.supylabel(y, fontsize=7.5)
    return figure


def _by_panel(answers: Answers, curve: str) -> dict[str, dict[CellRuns, pd.DataFrame]]:
    """Panel title → cell → its curve, [x, seed]; panels in the order of the axes' levels."""
    rest = answers.axes[1:]
    ordered = sorted(
        zip(answers.cells, answers.curve(curve), strict=True),
        key=lambda item: [axis.position(level) for axis, level in zip(rest, item[0].levels[1:], strict=True)],
    )
    curves_of: dict[str, dict[CellRuns, pd.DataFrame]] = {}
    for cell, table in ordered:
        shown = _comparable(cell, table) if curve == BOUND else table
        if len(shown):
            title = ", ".join(cell.labels[1:]) if rest else cell.parameter("objective")
            curves_of.setdefault(title, {})[cell] = shown
    return curves_of


def _comparable(cell: CellRuns, table: pd.DataFrame) -> pd.DataFrame:
    """The part of a bound that stands on a logarithmic axis beside others'."""
    if not cell.comparable("nll"):
        return table.iloc[:0]
    return table.where(table > 0).dropna(how="all") if in_latents(cell) else table


def _lines(axes: Axes, styles: dict[str, Look], tables: dict[CellRuns, pd.DataFrame]) -> None:
    """The lines of a panel: seeds thin, their mean in full, its name at its end."""
    ends = []
    for cell, table in tables.items():
        look = styles[first_level(cell)]
        ends.append((mean_line(axes, table, look), cell.labels[0] if cell.labels else "", look.color))
    label_ends(axes, ends, 12)


def weights_figure(answers: Answers) -> Figure | None:
    """The weight of each t in training, a line per distinct training choice."""
    weights = _weights(answers)
    if not weights:
        return None
    names = [described(cells, answers.cells) for _, cells in weights]
    figure = new_figure(WIDTH, max(3.0, LINE * sum(wrapped(name, 32).count("\n") + 1 for name in names)))
    axes = figure.subplots()
    fit_axis(axes, "x", [weight.index.to_numpy(dtype="float64") for weight, _ in weights], log=False)
    fit_axis(axes, "y", [weight.to_numpy() for weight, _ in weights], log=True)
    ends = []
    for (weight, _), name, look in zip(weights, names, distinct_looks(len(weights)), strict=True):
        axes.plot(weight.index, weight, **look.line)
        ends.append((float(weight.iloc[-1]), name, look.color))
    label_ends(axes, ends, 32)
    axes.set(xlabel="t", ylabel=mathtext("ε-weight × density of t,\nrelative to its mean"))
    return figure


def _weights(answers: Answers) -> list[tuple[pd.Series[float], list[CellRuns]]]:
    """Weights over t, each with the cells that train by it."""
    runs = answers.weights
    weights = []
    for cell in answers.cells:
        keys = zip(cell.runs["cell_id"], cell.runs["seed"], strict=True)
        seeds = [runs[key] for key in keys if key in runs]
        if seeds:
            weight = relative(pd.concat(seeds, axis=1).mean(axis=1)).dropna()
            weights.append((cell, weight[weight > 0]))
    return shared(weights, _agree)


def _agree(a: pd.Series[float], b: pd.Series[float]) -> bool:
    return a.index.equals(b.index) and float(np.abs(np.log(a / b)).max()) < SAME
