"""The schedules of a grid: log-SNR over t/T where cells differ in it, and how a learned one moved in training.

Cells whose log-SNR agrees share a line, whatever their T. A learned schedule is drawn by γ = −log-SNR at five quantiles
u of the time axis, in the colour that it has at the left.
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

from analysis.figures.curves import fit_axis, table_of
from analysis.figures.drawing import GREY, WIDTH, Look, distinct_looks, label_ends, new_figure, stroke
from analysis.figures.names import name
from analysis.findings.cells import CellRuns, cells_of
from analysis.notation import mathtext
from analysis.read.runs import GridResults

LOG_SNR = "log_snr"
_GAMMA = re.compile(r"schedule/gamma_(\d+)")
_SAME = 0.05
"""log-SNRs that differ by less than this at every t are one line: no eye would tell them apart."""


@dataclass(frozen=True, eq=False)
class ScheduleLine:
    """log-SNR as [t/T, seed], and the cells that have it."""

    table: pd.DataFrame
    cells: list[CellRuns]


@dataclass(frozen=True, eq=False)
class Learned:
    """γ at a quantile u of the time axis as [training step, seed], of one cell."""

    u: float
    table: pd.DataFrame
    cell: CellRuns


def schedules_figure(grid: GridResults) -> Figure | None:
    """The figure; None where all cells have one schedule and none learns."""
    schedules, learned = distinct(grid), learned_of(grid)
    differ = len(schedules) > 1
    if not differ and not learned:
        return None
    panels = differ + bool(learned)
    lines = sum(name(schedule.cells, cells_of(grid)).count("\n") + 1 for schedule in schedules)
    figure = new_figure(WIDTH if panels > 1 else 0.65 * WIDTH, max(2.6, 0.16 * lines))
    figure.set_layout_engine("constrained", wspace=0.06)
    subplots = list(figure.subplots(1, panels, squeeze=False).flat)
    if differ:
        _log_snr(subplots[0], schedules)
    if learned:
        _training(subplots[-1], schedules, learned)
    return figure


def distinct(grid: GridResults) -> list[ScheduleLine]:
    """The schedules that can be told apart, in the order of the cells."""
    curves = grid.curves[grid.curves["curve"] == LOG_SNR]
    found: list[ScheduleLine] = []
    for cell in cells_of(grid):
        table = table_of(curves, cell)
        if table.empty:
            continue
        table.index = table.index / table.index.max()
        alike = next((one for one in found if _agree(one.table.mean(axis=1), table.mean(axis=1))), None)
        if alike is None:
            found.append(ScheduleLine(table, [cell]))
        else:
            alike.cells.append(cell)
    return found


def _agree(a: pd.Series[float], b: pd.Series[float]) -> bool:
    """Whether two curves over t/T agree wherever the one of fewer steps is known."""
    coarse, fine = sorted((a, b), key=len)
    between = np.interp(coarse.index, fine.index, fine, left=np.nan, right=np.nan)
    apart = np.abs(between - coarse.to_numpy())
    return bool((apart[np.isfinite(apart)] < _SAME).all())


def learned_of(grid: GridResults) -> list[Learned]:
    """Every cell's quantiles of γ, by u; none where no schedule learns."""
    by_name = dict(list(grid.curves.groupby("curve")))
    names = {int(match[1]) / 100: str(name) for name in by_name if (match := _GAMMA.fullmatch(str(name)))}
    tables = [(u, table_of(by_name[names[u]], cell), cell) for cell in cells_of(grid) for u in sorted(names)]
    return [Learned(u, table, cell) for u, table, cell in tables if len(table)]


def _log_snr(axes: Axes, schedules: Sequence[ScheduleLine]) -> None:
    everyone = [cell for schedule in schedules for cell in schedule.cells]
    fit_axis(axes, "x", [np.array([0.0, 1.0])], log=False)
    fit_axis(axes, "y", [schedule.table.to_numpy() for schedule in schedules], log=False)
    ends = []
    for schedule, look in zip(schedules, distinct_looks(len(schedules)), strict=True):
        end = _line(axes, schedule.table, look)
        ends.append((end, name(schedule.cells, everyone), look.color))
    label_ends(axes, ends, 16)
    axes.set(xlabel="t/T", ylabel="log-SNR(t)")


def _training(axes: Axes, schedules: Sequence[ScheduleLine], learned: Sequence[Learned]) -> None:
    """The name of each quantile stands once, at the mean of the schedules that learn."""
    fit_axis(axes, "x", [one.table.index.to_numpy(dtype="float64") for one in learned], log=False)
    fit_axis(axes, "y", [one.table.to_numpy() for one in learned], log=False)
    looks = zip(schedules, distinct_looks(len(schedules)), strict=True)
    look_of = {cell.levels: look for schedule, look in looks for cell in schedule.cells}
    ends: dict[float, list[float]] = {}
    for one in learned:
        end = _line(axes, one.table, look_of.get(one.cell.levels, Look(to_rgb(GREY), (), "o")))
        ends.setdefault(one.u, []).append(end)
    label_ends(axes, [(float(np.mean(found)), f"u = {u:g}", to_rgb(GREY)) for u, found in ends.items()], 16)
    axes.set(xlabel="training step", ylabel=mathtext("γ(u) of the learned schedule"))


def _line(axes: Axes, table: pd.DataFrame, look: Look) -> float:
    """Seeds thin where they differ, their mean in full; where it ends."""
    mean = table.mean(axis=1)
    if table.nunique(axis=1).gt(1).any():
        axes.plot(table.index, table, color=look.color, linewidth=0.5, alpha=0.4)
    axes.plot(mean.index, mean, stroke(mean), color=look.color, dashes=look.dashes or (None, None))
    return float(mean.iloc[-1])
