"""The schedules of a grid: log-SNR over t/T if cells differ in it, and how a learned one moved in training.

Cells whose log-SNR agrees share a line, whatever their T. A learned schedule is shown by γ = −log-SNR at five quantiles
u of the time axis, in the colour that it has in the panel at the left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.figures.distinct import name
from analysis.figures.drawing import GREY, Look, Point, distinct_looks, label_ends, mean_line, panels, room_for
from analysis.figures.windows import fit_axis
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.values import shared
from analysis.labels import mathtext
from analysis.schema import LOG_SNR

_CHARS = 18
_GAMMA = re.compile(r"schedule/gamma_(\d+)")
_SAME = 0.05
"""The difference of log-SNR below which, at every t, two schedules are one line, as no eye would tell them apart."""


SharedSchedule = tuple[pd.DataFrame, list[CellRuns]]
"""A log-SNR as [t/T, seed], and the cells that have it."""


@dataclass(frozen=True, eq=False)
class LearnedCurve:
    """The curve of γ of one cell at a quantile u of the time axis, as [training step, seed]."""

    u: float
    table: pd.DataFrame
    cell: CellRuns


def schedules_figure(answers: Answers) -> Figure | None:
    """The figure; None where all cells have one schedule and none learns its own."""
    schedules, learned = distinct(answers), learned_of(answers)
    differ = len(schedules) > 1
    if not differ and not learned:
        return None
    names = [name(cells, answers.cells) for _, cells in schedules]
    figure, subplots = panels(differ + bool(learned), max(2.6, room_for(names, _CHARS)), wspace=0.06)
    if differ:
        _log_snr(subplots[0], schedules)
    if learned:
        _training(subplots[-1], schedules, learned)
    return figure


def distinct(answers: Answers) -> list[SharedSchedule]:
    """The distinct schedules, in the order of the cells."""
    tables = zip(answers.cells, answers.curve(LOG_SNR), strict=True)
    return shared(
        [(cell, table.set_index(table.index / table.index.max())) for cell, table in tables if len(table)], _agree
    )


def _agree(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """True where two curves over t/T agree in the mean, wherever the curve with fewer steps is known."""
    coarse, fine = sorted((a.mean(axis=1), b.mean(axis=1)), key=len)
    between = np.interp(coarse.index, fine.index, fine, left=np.nan, right=np.nan)
    apart = np.abs(between - coarse.to_numpy())
    return bool((apart[np.isfinite(apart)] < _SAME).all())


def learned_of(answers: Answers) -> list[LearnedCurve]:
    """Every cell's quantiles of γ, by u; none where no schedule learns."""
    curves = [str(name) for name in answers.grid.curves["curve"].unique()]
    names = {int(match[1]) / 100: name for name in curves if (match := _GAMMA.fullmatch(name))}
    tables = [(u, answers.curve(names[u])[i], cell) for i, cell in enumerate(answers.cells) for u in sorted(names)]
    return [LearnedCurve(u, table, cell) for u, table, cell in tables if len(table)]


def _log_snr(axes: Axes, schedules: Sequence[SharedSchedule]) -> None:
    everyone = [cell for _, cells in schedules for cell in cells]
    fit_axis(axes, "x", [np.array([0.0, 1.0])], log=False)
    fit_axis(axes, "y", [table.to_numpy() for table, _ in schedules], log=False)
    ends = []
    for (table, cells), look in zip(schedules, distinct_looks(len(schedules)), strict=True):
        ends.append((mean_line(axes, table, look), name(cells, everyone), look.color))
    label_ends(axes, ends, _CHARS)
    axes.set(xlabel="t/T", ylabel="log-SNR(t)")


def _training(axes: Axes, schedules: Sequence[SharedSchedule], learned: Sequence[LearnedCurve]) -> None:
    """Draw the panel of learned schedules; each quantile is named once, at the mean of the schedules that learn."""
    fit_axis(axes, "x", [curve.table.index.to_numpy(dtype="float64") for curve in learned], log=False)
    fit_axis(axes, "y", [curve.table.to_numpy() for curve in learned], log=False)
    looks = zip(schedules, distinct_looks(len(schedules)), strict=True)
    look_of = {cell.levels: look for (_, cells), look in looks for cell in cells}
    ends: dict[float, list[Point]] = {}
    for curve in learned:
        end = mean_line(axes, curve.table, look_of.get(curve.cell.levels, Look(to_rgb(GREY), (), "o")))
        ends.setdefault(curve.u, []).append(end)
    means = {u: (float(np.max(points, axis=0)[0]), float(np.mean(points, axis=0)[1])) for u, points in ends.items()}
    label_ends(axes, [(point, f"u = {u:g}", to_rgb(GREY)) for u, point in means.items()], _CHARS)
    axes.set(xlabel="training step", ylabel=mathtext("γ(u) of the learned schedule"))
