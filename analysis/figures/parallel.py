"""Parallel coordinates of a search: an axis per parameter and one for the first objective, a line per complete trial.

The darker a line, the better its trial; the best lie on top. Where parameters depend on a choice, only the trials with
the best trial's choices are drawn, whose parameters are all the same; the small title says so.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.drawing import GREY, WIDTH, Color, label_ends, new_figure, wrapped
from analysis.figures.slices import limits, tick_text, ticks
from analysis.figures.trials import DARK, INK, shade, winners
from analysis.figures.windows import Window, best_window, round_ticks
from analysis.findings.trials import DEFAULT, best_trials, default_trial
from analysis.read.meta import Metric
from analysis.read.search import Parameter, Search

FEWEST = 2
"""Parameters and trials from which there is something to see that the slices do not show."""
_TICKS = 5


def parallel_figure(search: Search) -> Figure | None:
    """The figure; None with fewer than two trials or parameters to draw."""
    trials, parameters, said = _drawn(search)
    if len(trials) < FEWEST or len(parameters) < FEWEST:
        return None
    objective = search.head.objectives[0]
    view = best_window(trials[objective.name].tolist())
    figure = new_figure(WIDTH, 3.0)
    axes = figure.subplots()
    _frame(axes, [*(wrapped(parameter.label, 14) for parameter in parameters), wrapped(objective.head, 20)])
    for i, parameter in enumerate(parameters):
        _axis(axes, i, list(zip(_tick_places(parameter), _tick_texts(parameter), strict=True)))
    _axis(axes, len(parameters), _objective_ticks(view))
    heights = np.stack([*(_heights(p, trials) for p in parameters), _shares(view, trials[objective.name])], axis=1)
    _lines(axes, search, trials, heights, objective)
    axes.set_title(said, loc="left", color=GREY, fontsize=6.8, pad=6)
    return figure


def _drawn(search: Search) -> tuple[pd.DataFrame, list[Parameter], str]:
    """Which trials and parameters, and that in words."""
    best = best_trials(search, 1)
    if best.empty:
        return best, [], ""
    conditional = [parameter for parameter in search.head.parameters if parameter.when]
    said = f"dark: better {search.head.objectives[0].label}"
    if not conditional:
        return search.complete, list(search.head.parameters), said
    parents = [p for p in search.head.parameters if any(p.name in other.when for other in conditional)]
    chosen = {parent.name: str(best.iloc[0][parent.column]) for parent in parents}
    trials = search.complete
    for parent in parents:
        trials = trials[trials[parent.column] == chosen[parent.name]]
    kept = [p for p in search.head.parameters if p not in parents and p.applies(chosen)]
    words = ", ".join(f"{parent.label} = {chosen[parent.name]}" for parent in parents)
    return trials, kept, wrapped(f"only the {len(trials)} trials with {words}, the best one's; {said}", 110)


def _frame(axes: Axes, labels: list[str]) -> None:
    """Nothing but the names below the axes."""
    axes.set_xlim(-0.05, len(labels) - 1 + 0.02)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(False)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _axis(axes: Axes, at: int, known: list[tuple[float, str]]) -> None:
    """A vertical line with its ticks at its left, on white so that no line hides them."""
    axes.plot([at, at], [0, 1], color="#444444", lw=0.8, zorder=6)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
    style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 6.2, "color": INK, "bbox": box, "zorder": 7}
    for height, text in known:
        axes.plot(at, height, "_", ms=4, color="#444444", mew=0.8, zorder=6)
        axes.annotate(text, (at, height), (-4, 0), textcoords="offset points", **style)


def _place(parameter: Parameter, value: float) -> float:
    low, high = limits(parameter)
    scaled = math.log10 if parameter.log else float
    return (scaled(value) - scaled(low)) / (scaled(high) - scaled(low))


def _heights(parameter: Parameter, trials: pd.DataFrame) -> NDArray[np.float64]:
    if parameter.kind == "choice":
        last = max(1, len(parameter.choices) - 1)
        return np.array([parameter.choices.index(value) / last for value in trials[parameter.column]])
    return np.array([_place(parameter, value) for value in trials[parameter.column]])


def _shares(view: Window, values: pd.Series) -> NDArray[np.float64]:
    """Of the objective; what is beyond its axis lies at the end of it."""
    return np.array([view.share(view.clipped(value)) for value in values])


def _tick_places(parameter: Parameter) -> list[float]:
    if parameter.kind == "choice":
        last = max(1, len(parameter.choices) - 1)
        return [i / last for i in range(len(parameter.choices))]
    return [_place(parameter, value) for value in ticks(parameter)]


def _tick_texts(parameter: Parameter) -> list[str]:
    if parameter.kind == "choice":
        return [wrapped(choice, 12) for choice in parameter.choices]
    return [tick_text(parameter, value) for value in ticks(parameter)]


def _objective_ticks(view: Window) -> list[tuple[float, str]]:
    if view.log:
        values = [float(f"{value:.2g}") for value in np.geomspace(view.low, view.high, _TICKS)]
    else:
        values = list(round_ticks(_TICKS).tick_values(view.low, view.high))
    values = [value for value in values if view.holds(value)]
    return [(view.share(value), f"{value:.4g}".replace("-", "−")) for value in values]


def _lines(axes: Axes, search: Search, trials: pd.DataFrame, heights: NDArray[np.float64], objective: Metric) -> None:
    """From the worst to the best; the winners and the default are named at the right."""
    order = trials[objective.name].rank(method="first", ascending=False).to_numpy() - 1
    ends: list[tuple[float, str, Color]] = []
    named, default = winners(search), default_trial(search)
    for trial, height, place in zip(trials["trial"], heights, order.tolist(), strict=True):
        share = place / max(1, len(trials) - 1)
        style: dict[str, Any] = {"color": shade(share), "lw": 0.7 + 0.4 * share, "alpha": 0.75}
        if trial in named:
            label, color = named[trial]
            style = {"color": color, "lw": 1.9}
            ends.append((height[-1], label, color))
        elif trial == default:
            style = {"color": INK, "lw": 1.2, "dashes": (4, 1.5)}
            ends.append((height[-1], DEFAULT, DARK))
        front = len(trials) + (2 if trial in named else 1) if trial in named or trial == default else place
        axes.plot(range(len(height)), height, zorder=1 + 4 * front / (len(trials) + 2), clip_on=False, **style)
    label_ends(axes, ends, 15)
