"""Two objectives of a search against each other: all complete trials, and the front that none of them dominates.

Below and left of the staircase is what no trial reached. Far-off values are triangles at the edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.answers.trials import DEFAULT, default_trial, front
from analysis.figures.drawing import WIDTH, distinct_looks, new_figure
from analysis.figures.forest import Window
from analysis.figures.trials import INK, PALE, clipped, key, mark, ring, scale, square, window, winners
from analysis.frames.search import Search
from analysis.notation import mathtext

_ROOM = 0.1
"""The share of each axis that is added below the best, where the names of winners stand."""


def pareto_figure(search: Search) -> Figure | None:
    """The figure; None of one objective, or where no trial is complete."""
    if len(search.head.objectives) < 2 or search.complete.empty:
        return None
    x, y = search.head.objectives
    views = [_with_room(window(search.complete[o.name].tolist())) for o in (x, y)]
    figure = new_figure(0.8 * WIDTH, 3.6)
    axes = figure.subplots()
    scale(axes, views[0], "x")
    scale(axes, views[1], "y")
    axes.set(xlabel=mathtext(x.head), ylabel=mathtext(y.head))
    key(figure, _points(axes, search, views))
    _names(axes, search, views)
    return figure


def _with_room(view: Window) -> Window:
    if view.log:
        return Window(view.low / (view.high / view.low) ** _ROOM, view.high, True)
    return Window(view.low - _ROOM * (view.high - view.low), view.high, False)


def _points(axes: Axes, search: Search, views: list[Window]) -> list[tuple[str, Line2D]]:
    """Trials and the front; what the key says of them."""
    names, blue, on = [o.name for o in search.head.objectives], distinct_looks(1)[0].color, front(search)
    edge = False
    for trial, *point in search.complete[["trial", *names]].itertuples(index=False):
        place = [clipped(view, value) for view, value in zip(views, point, strict=True)]
        out = place != point
        edge |= out
        best = trial in set(on["trial"])
        marker = ("^" if place[1] != point[1] else ">") if out else "o"
        axes.plot(*place, marker, ms=4.4 if best else 3.4, mew=0, color=blue if best else PALE, zorder=3, clip_on=False)
    steps = np.array(
        [[clipped(v, value) for v, value in zip(views, point, strict=True)] for point in on[names].to_numpy()]
    )
    ends = np.concatenate([[[steps[0][0], views[1].high]], steps, [[views[0].high, steps[-1][1]]]])
    axes.step(*ends.T, where="post", color=blue, lw=0.9, alpha=0.8, zorder=2)
    marks = [("on the front", mark("o", blue)), ("dominated", mark("o", PALE))]
    return [*marks, *([("beyond the scale", mark("^", PALE))] if edge else [])]


def _names(axes: Axes, search: Search, views: list[Window]) -> None:
    """Names stand below and left of what is on the front, where no trial is; that of another default above it."""
    names = [o.name for o in search.head.objectives]
    known = {int(t): point for t, *point in search.complete[["trial", *names]].itertuples(index=False)}
    places = {t: (clipped(views[0], a), clipped(views[1], b)) for t, (a, b) in known.items()}
    below: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 7, "zorder": 6}
    default, named = default_trial(search), winners(search)
    for trial, (label, color) in named.items():
        if trial in places:
            ring(axes, *places[trial], color)
            axes.annotate(label, places[trial], (-5, -5), color=color, **below)
    if default is None or default not in places:
        return
    square(axes, *places[default])
    if default in set(front(search)["trial"]) - set(named):
        axes.annotate(DEFAULT, places[default], (-5, -5), color=INK, **below)
    elif default not in named:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
        above = below | {"ha": "left", "va": "bottom", "bbox": box}
        axes.annotate(DEFAULT, places[default], (5, 4), color=INK, **above)
