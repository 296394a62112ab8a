"""What a pruner saw: the first objective on validation data over training steps, a line per trial.

A trial of several seeds is their mean. One that was pruned is grey and ends in a dot, one that failed in a cross.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.drawing import GREY, WIDTH, Color, distinct_looks, label_ends, new_figure, power, stroke
from analysis.figures.trials import DARK, PALE, key, mark, winners
from analysis.figures.windows import best_window, round_ticks, show
from analysis.findings.trials import default_trial
from analysis.format.notation import mathtext
from analysis.read.search import Search
from analysis.words.trials import DEFAULT

_SETTLED = 0.25
"""The share of a training after which its values are compared; before it they fall from far above."""
_CHARS = 17
_ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "pruned": ("o", {"ms": 2.6, "mew": 0.0}),
    "failed": ("x", {"ms": 3.4, "mew": 0.8}),
}


def rungs_figure(search: Search) -> Figure | None:
    """The figure; None where trials were not pruned at rungs."""
    if search.rungs.empty:
        return None
    steps = search.rungs["step"]
    view = best_window(
        search.rungs.loc[steps >= _SETTLED * steps.max(), "value"].tolist(), search.head.objectives[0].sign
    )
    states = dict(zip(search.trials["trial"], search.trials["state"], strict=True))
    named = _named(search)
    figure = new_figure(0.75 * WIDTH, 2.9)
    axes = figure.subplots()
    show(axes, "y", view, 5)
    key(figure, _key({states[trial] for trial in set(search.rungs["trial"]) - named.keys()}))
    ends: list[tuple[float, str, Color]] = []
    for trial, rows in search.rungs.groupby("trial"):
        line, own = rows.groupby("step")["value"].mean(), int(str(trial))
        if own in named:
            label, color = named[own]
            style: dict[str, Any] = {"lw": 1.1, "dashes": (4, 1.5)} if label == DEFAULT else {"lw": 1.6}
            axes.plot(line.index, line, stroke(line), color=color, zorder=4, **style)
            ends.append((view.clipped(float(line.iloc[-1])), label, color))
        else:
            _line(axes, line, states[own])
    _steps_axis(axes, float(steps.max()))
    axes.set(xlabel="training steps", ylabel=mathtext(f"{search.head.objectives[0].head} on validation"))
    label_ends(axes, ends, _CHARS)
    return figure


def _named(search: Search) -> dict[int, tuple[str, Color]]:
    """The winners and the paper's default."""
    named, default = winners(search), default_trial(search)
    return named if default is None or default in named else named | {default: (DEFAULT, DARK)}


def _key(states: set[str]) -> list[tuple[str, Line2D]]:
    style: dict[str, Any] = {"ls": "-", "lw": 0.8}
    marks = [("complete", mark("None", distinct_looks(1)[0].color, **style))] if "complete" in states else []
    stopped = [(state, marker, look) for state, (marker, look) in _ENDS.items() if state in states]
    return marks + [(state, mark(marker, GREY, **style, **look)) for state, marker, look in stopped]


def _line(axes: Axes, line: pd.Series, state: str) -> None:
    if state not in _ENDS:
        axes.plot(line.index, line, stroke(line), ms=2, color=distinct_looks(1)[0].color, lw=0.6, alpha=0.55, zorder=2)
        return
    marker, look = _ENDS[state]
    axes.plot(line.index, line, color=PALE, lw=0.6, zorder=1)
    axes.plot(line.index[-1], line.iloc[-1], marker, color=GREY, zorder=3, **look)


def _steps_axis(axes: Axes, last: float) -> None:
    axes.set_xlim(0, 1.02 * last)
    axes.xaxis.set_major_locator(round_ticks(5, integer=True))
    if last >= 1e5:
        axes.xaxis.set_major_formatter(lambda value, _: power(value) if value else "0")
