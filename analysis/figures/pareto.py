"""Two objectives of a search against each other: all complete trials, and the front that none of them dominates.

Beyond the staircase, where both are better, is what no trial reached. Far-off values are triangles at the edge.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.drawing import WIDTH, distinct_looks, new_figure
from analysis.figures.trials import PALE, beyond, emphasise, key, mark, names_key, views, worst_edge
from analysis.figures.windows import Window, show
from analysis.findings.trials import front_of_trials
from analysis.format.notation import mathtext
from analysis.read.search import Search


def pareto_figure(search: Search) -> Figure | None:
    """The figure; None of one objective, or where no trial is complete."""
    if len(search.head.objectives) < 2 or search.complete.empty:
        return None
    x, y = search.head.objectives
    seen = list(views(search).values())
    figure = new_figure(0.8 * WIDTH, 3.6)
    axes = figure.subplots()
    show(axes, "x", seen[0], 5)
    show(axes, "y", seen[1], 5)
    axes.set(xlabel=mathtext(x.head), ylabel=mathtext(y.head))
    key(figure, [*_points(axes, search, seen), *names_key(search)])
    places = {
        int(trial): (seen[0].clipped(a), seen[1].clipped(b))
        for trial, a, b in search.complete[["trial", x.name, y.name]].itertuples(index=False)
    }
    emphasise(axes, search, places)
    return figure


def _points(axes: Axes, search: Search, seen: list[Window]) -> list[tuple[str, Line2D]]:
    """Trials and the front; what the key says of them."""
    x, y = search.head.objectives
    names, blue, on = [x.name, y.name], distinct_looks(1)[0].color, front_of_trials(search)
    sideways = "<" if x.sign > 0 else ">"
    edge = False
    for trial, *point in search.complete[["trial", *names]].itertuples(index=False):
        place = [view.clipped(value) for view, value in zip(seen, point, strict=True)]
        out = place != point
        edge |= out
        best = trial in set(on["trial"])
        marker = (beyond(y) if place[1] != point[1] else sideways) if out else "o"
        axes.plot(*place, marker, ms=4.4 if best else 3.4, mew=0, color=blue if best else PALE, zorder=3, clip_on=False)
    steps = np.array(
        [[view.clipped(value) for view, value in zip(seen, point, strict=True)] for point in on[names].to_numpy()]
    )
    ends = np.concatenate([[[steps[0][0], worst_edge(y, seen[1])]], steps, [[worst_edge(x, seen[0]), steps[-1][1]]]])
    axes.step(*ends.T, where="post", color=blue, lw=0.9, alpha=0.8, zorder=2)
    marks = [("on the front", mark("o", blue)), ("dominated", mark("o", PALE))]
    return [*marks, *([("beyond the scale", mark(beyond(y), PALE))] if edge else [])]
