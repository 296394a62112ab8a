"""Figures that follow from formulas alone: schedules, variances, weights, and the distance from a Gaussian.

Each has a few panels, and each panel shows the curves of one `figure` of formulas.csv. To add one, add it to `DECK`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.distinct import unnamed_later, written
from analysis.figures.drawing import Look, distinct_looks, ink, label_ends, panels, room_for, wrapped
from analysis.figures.windows import fit_axis
from analysis.findings.answers import Answers
from analysis.labels import mathtext


@dataclass(frozen=True)
class FormulaPanel:
    """A panel: the `figure` of the formulas, the labels of its axes, and whether they are logarithmic.

    Each name stands at the end of its line or, if all lines end in one point, at its start.
    """

    figure: str
    x: str
    y: str
    log_x: bool = False
    log_y: bool = False
    at_start: bool = False


DECK: dict[str, tuple[FormulaPanel, ...]] = {
    "forward": (
        FormulaPanel("prior", "t/T", "KL(q(xₜ | x₀) ‖ N(0, I))\n(bits/dim)", log_y=True),
        FormulaPanel("prior_end", "T", "the same at t = T, which is L_T\n(bits/dim)", log_x=True, log_y=True),
    ),
    "noise": (FormulaPanel("alpha_bar", "t/T", "ᾱₜ"), FormulaPanel("log_snr", "t/T", "log-SNR, log(ᾱₜ / (1 − ᾱₜ))")),
    "variances": (FormulaPanel("beta_ratio", "t/T", "β̃ₜ / βₜ", log_x=True, at_start=True),),
    "objectives": (
        FormulaPanel("eps_weight", "t", "weight of ‖ε − ε̂‖²,\nrelative to its mean", log_x=True, log_y=True),
    ),
    "reverse": (
        FormulaPanel("reverse_kl", "βₜ", "KL(q(xₜ₋₁ | xₜ) ‖ Gaussian)\n(nats)", log_x=True, log_y=True),
        FormulaPanel("gap", "T", "bound less the exact NLL\n(bits/dim)", log_x=True, log_y=True),
    ),
}
_CHARS = 18


def deck_figure(name: str) -> Callable[[Answers], Figure | None]:
    """The function that draws a figure of the deck, or returns None if the grid has none of its curves."""

    def make(answers: Answers) -> Figure | None:
        drawn = [(panel, _series(answers.grid.formulas, panel)) for panel in DECK[name]]
        shown = [(panel, series) for panel, series in drawn if series]
        return _figure(shown) if shown else None

    return make


def _series(formulas: pd.DataFrame, panel: FormulaPanel) -> dict[str, pd.DataFrame]:
    """Name → its points, in the order of the file, without points that the axes cannot show."""
    points = formulas[formulas["figure"] == panel.figure]
    for name, log in (("x", panel.log_x), ("y", panel.log_y)):
        points = points[np.isfinite(points[name]) & ((points[name] > 0) | (not log))]
    return {str(name): rows for name, rows in points.groupby("series", sort=False)}


def _figure(shown: Sequence[tuple[FormulaPanel, dict[str, pd.DataFrame]]]) -> Figure:
    tall = max(room_for(map(written, series), _CHARS) for _, series in shown)
    figure, subplots = panels(len(shown), max(2.6, tall), wspace=0.06)
    for i, (panel, series) in enumerate(shown):
        axes = subplots[i]
        shared = [other for _, other in shown if not other.keys().isdisjoint(series)]
        names = list(dict.fromkeys(name for other in shared for name in other))
        styles = dict(zip(names, distinct_looks(len(names)), strict=True))
        fit_axis(axes, "x", [rows["x"].to_numpy() for rows in series.values()], log=panel.log_x)
        fit_axis(axes, "y", [rows["y"].to_numpy() for rows in series.values()], log=panel.log_y)
        axes.set(xlabel=mathtext(panel.x), ylabel=wrapped(panel.y, 40))
        for name, rows in series.items():
            axes.plot(rows["x"], rows["y"], label=name, **styles[name].line)
        here = unnamed_later(i, [own for _, own in shown])
        _name(axes, panel, {name: rows for name, rows in series.items() if name in here}, styles)
    return figure


def _name(axes: Axes, panel: FormulaPanel, series: Mapping[str, pd.DataFrame], styles: Mapping[str, Look]) -> None:
    """Write the names of these lines; lines that a later panel has too are named there."""
    if not panel.at_start:
        ends = {name: (float(rows["x"].iloc[-1]), float(rows["y"].iloc[-1])) for name, rows in series.items()}
        label_ends(axes, [(end, written(name), styles[name].color) for name, end in ends.items()], _CHARS)
        return
    low, high = axes.get_xlim()
    axes.set_xlim(low / (high / low) ** 0.11 if panel.log_x else low - 0.11 * (high - low), high)
    for name, rows in series.items():
        start = float(rows["x"].iloc[0]), float(rows["y"].iloc[0])
        style: dict[str, Any] = {"color": ink(styles[name].color), "ha": "right", "va": "center", "fontsize": 6.5}
        axes.annotate(mathtext(written(name)), start, (-3, 0), textcoords="offset points", **style)
