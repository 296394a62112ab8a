"""A search over time: each trial's value in the order of trials, a panel per objective.

Complete trials are dots, the best so far is a line, the paper's default dashed. Pruned trials stand grey at the last
value that was seen of them, failed ones as crosses at the edge where worse values lie.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing import WIDTH, Color, distinct_looks, label_ends, new_figure
from analysis.figures.trials import (
    DARK,
    INK,
    PALE,
    beyond,
    key,
    mark,
    out_of_view,
    ring,
    value_label,
    views,
    winners,
    worst_edge,
)
from analysis.figures.windows import Window, show
from analysis.findings.trials import default_trial, value_of
from analysis.format.grid_json import ShownMetric
from analysis.format.notation import mathtext
from analysis.read.search import Search
from analysis.words.trials import DEFAULT

_CHARS = 17
_WORD = 0.055
"""The share of the width that a number takes."""
_STOPPED = {"^": "v", "v": "^"}
"""By the mark of what is out of view, that of pruned trials."""


def history_figure(search: Search) -> Figure | None:
    """The figure; None where no trial is complete."""
    if search.complete.empty:
        return None
    objectives = search.head.objectives
    figure = new_figure(WIDTH, 0.6 + 2.1 * len(objectives))
    panels = list(figure.subplots(len(objectives), 1, sharex=True, squeeze=False).flat)
    _history_key(figure, search)
    for axes, objective in zip(panels, objectives, strict=True):
        _history(axes, search, objective)
    panels[-1].set_xlabel("trial")
    panels[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    return figure


def _history_key(figure: Figure, search: Search) -> None:
    states = set(search.trials["state"])
    blue = distinct_looks(1)[0].color
    marks = [("complete", mark("o", blue, alpha=0.55))]
    pruned = mark(_STOPPED[beyond(search.head.objectives[0])], PALE)
    marks += [("pruned, at the last value seen or the edge", pruned)] if "pruned" in states else []
    marks += [("failed", mark("x", INK, mew=1.0))] if "failed" in states else []
    key(figure, [*marks, *((words, mark(marker, blue)) for words, marker in out_of_view(search))])


def _history(axes: Axes, search: Search, objective: ShownMetric) -> None:
    known = search.complete
    values = known[objective.name].to_numpy(dtype=np.float64)
    trials = known["trial"].to_numpy(dtype=np.float64)
    view = views(search)[objective.name]
    show(axes, "y", view, 5)
    blue = distinct_looks(1)[0].color
    last = float(search.trials["trial"].max())
    axes.set_xlim(-0.02 * last - 0.5, 1.02 * last + 0.5)
    inside = np.array([view.holds(value) for value in values])
    axes.plot(trials[inside], values[inside], "o", ms=3.6, mew=0, color=blue, alpha=0.55, zorder=3)
    for trial, value in zip(trials[~inside], values[~inside], strict=True):
        at = float(trial), worst_edge(objective, view)
        axes.plot(*at, beyond(objective), ms=4, mew=0, color=blue, clip_on=False, zorder=4)
        _number(axes, search, at, set(trials[~inside].tolist()), value_label(objective, value))
    best = (np.maximum if objective.sign > 0 else np.minimum).accumulate(values)
    steps = [*zip(trials, best, strict=True), (last, best[-1])]
    axes.step(*np.array([(x, view.clipped(y)) for x, y in steps]).T, where="post", color=blue, lw=1.0, zorder=2)
    _stopped(axes, search, objective, view)
    _named(axes, search, objective, view, float(best[-1]), blue)
    axes.set_ylabel(mathtext(objective.head))


def _number(axes: Axes, search: Search, at: tuple[float, float], out: set[float], text: str) -> None:
    """The value of a mark at the edge, at its right or left; nowhere where other marks leave no room."""
    trial, height = at
    # On the line of the lower edge, which is drawn, it would be struck through.
    up = 2 if height == axes.get_ylim()[0] else -3
    stopped = search.trials["state"].isin(("pruned", "failed"))
    others = (out | set(search.trials.loc[stopped, "trial"])) - {trial}
    left, right = axes.get_xlim()
    reach = _WORD * (right - left)
    style: dict[str, Any] = {"textcoords": "offset points", "color": distinct_looks(1)[0].color, "fontsize": 6.2}
    if trial + reach < right and not any(trial < other < trial + 1.2 * reach for other in others):
        axes.annotate(text, at, (4, up), **style)
    elif trial - reach > left and not any(trial - 2.2 * reach < other < trial for other in others):
        axes.annotate(text, at, (-4, up), ha="right", **style)


def _stopped(axes: Axes, search: Search, objective: ShownMetric, view: Window) -> None:
    """Pruned trials at what was last seen of them, which only the first objective has; failed ones at the edge."""
    first = objective == search.head.objectives[0]
    seen = search.rungs.groupby("trial")["value"].last() if first else pd.Series(dtype="float64")
    for trial, state in zip(search.trials["trial"], search.trials["state"], strict=True):
        if state == "pruned":
            height = view.clipped(float(seen.get(trial, worst_edge(objective, view))))
            axes.plot(trial, height, _STOPPED[beyond(objective)], ms=3.6, mew=0, color=PALE, clip_on=False, zorder=2)
        elif state == "failed":
            axes.plot(trial, worst_edge(objective, view), "x", ms=4, mew=1.0, color=INK, clip_on=False, zorder=4)


def _named(axes: Axes, search: Search, objective: ShownMetric, view: Window, best: float, blue: Color) -> None:
    """At the right: the winners, the best so far where it is none of them, and the default with its line."""
    ends: list[tuple[float, str, Color]] = []
    for trial, (label, color) in winners(search).items():
        value = value_of(search, trial, objective.name)
        if math.isfinite(value):
            ring(axes, trial, view.clipped(value), color)
            ends.append((view.clipped(value), f"{label} {value_label(objective, value)}", color))
    if not any(value_of(search, trial, objective.name) == best for trial in winners(search)):
        ends.append((view.clipped(best), f"best so far {value_label(objective, best)}", blue))
    default = value_of(search, default_trial(search), objective.name)
    if math.isfinite(default) and default_trial(search) not in winners(search):
        axes.axhline(view.clipped(default), color=INK, lw=0.8, dashes=(4, 2), zorder=1)
        ends.append((view.clipped(default), f"{DEFAULT} {value_label(objective, default)}", DARK))
    label_ends(axes, ends, _CHARS)
