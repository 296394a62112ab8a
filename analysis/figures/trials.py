"""What the figures of a search share: which values are in view, how trials are marked, and a key to the marks.

A search tries what is bad, too: values far from the best would squash what matters. They are set at the edge where
worse values lie, the upper one where less is better, as triangles. Trials get darker in the order in which they were
tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.drawing import GREY, Color, distinct_looks
from analysis.figures.windows import Window, best_window
from analysis.findings.trials import default_trial
from analysis.format.grid_json import ShownMetric
from analysis.format.notation import Rounding, mathtext
from analysis.read.search import Search
from analysis.words.trials import DEFAULT

_LETTERS = 18
"""How many letters of the key go to an inch."""
INK = "#222222"
DARK: Color = (0.13, 0.13, 0.13)
"""The colour of the default's labels."""
PALE = "#b4b4b4"


def views(search: Search) -> dict[str, Window]:
    """The window of each objective."""
    return {
        objective.name: best_window(search.complete[objective.name].tolist(), objective.sign)
        for objective in search.head.objectives
    }


def worst_edge(objective: ShownMetric, view: Window) -> float:
    """The edge of a window at which worse values lie."""
    return view.low if objective.sign > 0 else view.high


def beyond(objective: ShownMetric) -> str:
    """The mark of a trial that is out of view, which points to where its value is."""
    return "v" if objective.sign > 0 else "^"


def out_of_view(search: Search) -> list[tuple[str, str]]:
    """Where complete trials are out of view, in words, with their mark: above the scale, below it, or both."""
    seen, known = views(search), search.complete
    out = [o for o in search.head.objectives if not known[o.name].map(seen[o.name].holds).all()]
    words = {"^": "above the scale", "v": "below the scale"}
    return [(words[marker], marker) for marker in dict.fromkeys(map(beyond, out))]


def colors(search: Search, trials: pd.DataFrame) -> list[Color]:
    """The colours of trials by their order, from pale to dark blue-green, which greys and colour-blind eyes keep."""
    last = max(1, int(search.trials["trial"].max()))
    return [shade(trial / last) for trial in trials["trial"]]


def shade(share: float) -> Color:
    """The colour at this share of the way from pale to dark."""
    red, green, blue, _ = matplotlib.colormaps["viridis_r"](0.08 + 0.87 * share)
    return red, green, blue


def winners(search: Search) -> dict[int, tuple[str, Color]]:
    """Trial → what it won and its colour; one that won twice is named by both, the paper's default as that, too."""
    found: dict[int, tuple[str, Color]] = {}
    looks = distinct_looks(5)[1:]
    for i, winner in enumerate(search.head.winners):
        label, color = found.get(winner.trial, ("", looks[i % len(looks)].color))
        found[winner.trial] = (f"{label}, {winner.label}" if label else winner.label, color)
    default = default_trial(search)
    if default in found:
        label, color = found[default]
        found[default] = (f"{label}: {DEFAULT}", color)
    return found


def value_label(objective: ShownMetric, value: float) -> str:
    """A value as the table rounds it."""
    return Rounding.of(objective.decimals, []).number(value)


def ring(axes: Axes, x: float, y: float, color: Color | str, size: float = 8.0) -> None:
    """A circle around a mark, which leaves it to be seen."""
    axes.plot(x, y, "o", ms=size, mfc="none", mec=color, mew=1.3, zorder=5, clip_on=False)


def square(axes: Axes, x: float, y: float) -> None:
    """A square around a mark, which is for the paper's default."""
    axes.plot(x, y, "s", ms=6.5, mfc="none", mec=INK, mew=1.0, zorder=5, clip_on=False)


def emphasise(axes: Axes, search: Search, places: dict[int, tuple[float, float]]) -> None:
    """Rings around winners and a square around the default, of those that have a place."""
    default = default_trial(search)
    for trial, (_, color) in winners(search).items():
        if trial in places:
            ring(axes, *places[trial], color, 11.0 if trial == default else 8.0)
    if default is not None and default in places:
        square(axes, *places[default])


def key(figure: Figure, marks: Sequence[tuple[str, Line2D]]) -> None:
    """The marks of all panels in one line above them, where no data are."""
    if len(marks) > 1:
        style: dict[str, Any] = {"handletextpad": 0.3, "columnspacing": 1.2, "borderpad": 0.1, "labelcolor": GREY}
        lines = [line for _, line in marks]
        names = [mathtext(name) for name, _ in marks]
        rows = -(-sum(len(name) + 5 for name, _ in marks) // round(_LETTERS * figure.get_figwidth()))
        figure.legend(lines, names, loc="outside upper left", ncols=-(-len(marks) // rows), fontsize=6.8, **style)


def mark(marker: str, color: Color | str, **style: Any) -> Line2D:
    """A mark for the key."""
    given: dict[str, Any] = {"ls": "none", "ms": 4, "mew": 0} | style
    return Line2D([], [], marker=marker, color=color, **given)


def standard_key(search: Search) -> list[tuple[str, Line2D]]:
    """Early and late trials, winners, the default, and whether any value is out of view."""
    last = int(search.trials["trial"].max())
    marks = [("trial 0", mark("o", shade(0.0)))]
    marks += [(f"trial {last}", mark("o", shade(1.0)))] if last else []
    marks += names_key(search)
    return marks + [(words, mark(marker, shade(0.5))) for words, marker in out_of_view(search)]


def names_key(search: Search) -> list[tuple[str, Line2D]]:
    """Rings of winners and the square of another default, as `emphasise` draws them."""
    marks = [(name, mark("o", color, ms=7, mfc="none", mew=1.3)) for name, color in winners(search).values()]
    if default_trial(search) in set(search.complete["trial"]) - set(winners(search)):
        marks.append((DEFAULT, mark("s", INK, ms=6, mfc="none", mew=1.0)))
    return marks
