"""Each trial's value against each parameter: a column per parameter, a row (or more) per objective.

A conditional parameter only shows the trials that have it. Choices are strips, in which trials stand from left to right
in their order. Where parameters depend on a choice, the mark tells which was chosen.
"""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from analysis.figures.drawing import MARKERS, WIDTH, new_figure, power, wrapped
from analysis.figures.trials import INK, beyond, colors, emphasise, key, mark, standard_key, views
from analysis.figures.windows import Window, around, show
from analysis.format.grid_json import ShownMetric
from analysis.format.notation import mathtext
from analysis.read.search import Search, SearchedParameter
from analysis.words.trials import value_text

MOST_COLUMNS = 4
_TICKS, _FEW_TICKS = 4, 3
_LETTERS = 30
"""How many letters of names of choices stand side by side below a panel; where they are more, they stand aslant."""
_STRIP = 0.6
"""The share of a choice's place that its strip takes."""


def slices_figure(search: Search) -> Figure | None:
    """The figure; None where no trial is complete."""
    if search.complete.empty:
        return None
    parameters, objectives = search.head.parameters, search.head.objectives
    columns = min(MOST_COLUMNS, len(parameters))
    lines = -(-len(parameters) // columns)
    figure = new_figure(
        WIDTH if columns > 2 else (0.5 if columns == 1 else 0.75) * WIDTH, 0.4 + 1.9 * lines * len(objectives)
    )
    figure.set_layout_engine("constrained", wspace=0.03)
    subplots = figure.subplots(lines * len(objectives), columns, squeeze=False)
    marks = _marks(search)
    key(figure, _key(search, marks))
    for i, objective in enumerate(objectives):
        view = views(search)[objective.name]
        panels = list(subplots[i * lines : (i + 1) * lines].flat)
        for j, (axes, parameter) in enumerate(zip(panels, parameters, strict=False)):
            _panel(axes, search, parameter, objective, view, marks)
            axes.set_ylabel(mathtext(objective.head) if j % columns == 0 else "")
            axes.tick_params(labelleft=j % columns == 0)
        for axes in panels[len(parameters) :]:
            axes.remove()
    return figure


def parent(search: Search) -> SearchedParameter | None:
    """The choice that most conditional parameters depend on."""
    names = [name for parameter in search.head.parameters for name in parameter.when]
    known = [p for p in search.head.parameters if p.kind == "choice" and p.name in names]
    return max(known, key=lambda parameter: names.count(parameter.name), default=None)


def _marks(search: Search) -> dict[str, str]:
    """The mark of each value of that choice; triangles that are for what is out of view are none of them."""
    chosen, taken = parent(search), set(map(beyond, search.head.objectives))
    kinds = [marker for marker in MARKERS if marker not in taken]
    return {value: kinds[i % len(kinds)] for i, value in enumerate(chosen.choices)} if chosen else {}


def _key(search: Search, marks: dict[str, str]) -> list[tuple[str, Line2D]]:
    found = standard_key(search)
    return [*found, *((value, mark(marker, INK)) for value, marker in marks.items())]


def _panel(
    axes: Axes,
    search: Search,
    parameter: SearchedParameter,
    objective: ShownMetric,
    view: Window,
    marks: dict[str, str],
) -> None:
    trials = _having(search, parameter)
    show(axes, "y", view, 5)
    xs = dict(zip(trials["trial"], _places(search, parameter, trials), strict=True))
    _x_axis(axes, parameter)
    chosen = parent(search)
    kinds = trials[chosen.column] if chosen else pd.Series("", index=trials.index)
    places = {}
    for trial, value, kind, color in zip(
        trials["trial"], trials[objective.name], kinds, colors(search, trials), strict=True
    ):
        places[trial] = (xs[trial], view.clipped(value))
        marker = marks.get(kind, "o") if view.holds(value) else beyond(objective)
        axes.plot(*places[trial], marker, ms=3.6, mew=0, color=color, zorder=3, clip_on=False)
    emphasise(axes, search, places)
    axes.set_xlabel(wrapped(parameter.label, 24))


def _having(search: Search, parameter: SearchedParameter) -> pd.DataFrame:
    """The complete trials that have a parameter."""
    column = search.complete[parameter.column]
    return search.complete[column != "" if parameter.kind == "choice" else column.notna()]


def _places(search: Search, parameter: SearchedParameter, trials: pd.DataFrame) -> list[float]:
    """The place of each trial on the axis."""
    if parameter.kind != "choice":
        return [float(value) for value in trials[parameter.column]]
    last = max(1, int(search.trials["trial"].max()))
    order = {value: i for i, value in enumerate(parameter.choices)}
    known = zip(trials["trial"], trials[parameter.column], strict=True)
    return [order.get(str(value), len(order)) + _STRIP * (trial / last - 0.5) for trial, value in known]


def _x_axis(axes: Axes, parameter: SearchedParameter) -> None:
    """The range that was searched, with few ticks."""
    if parameter.kind == "choice":
        names = [mathtext(choice) for choice in parameter.choices]
        axes.set_xticks(range(len(names)), names)
        if sum(len(choice) + 2 for choice in parameter.choices) > _LETTERS:
            axes.tick_params(axis="x", rotation=35)
            for text in axes.get_xticklabels():
                text.set(ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.grid(False, axis="x")
        return
    show(axes, "x", around(*limits(parameter), 0.05, log=parameter.log))
    found = ticks(parameter)
    axes.xaxis.set_major_locator(FixedLocator(found))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(parameter, value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def limits(parameter: SearchedParameter) -> tuple[float, float]:
    """The range that was searched; a little about it where it is one value."""
    low, high = float(parameter.low or 0.0), float(parameter.high or 0.0)
    if low < high:
        return low, high
    return (low / 2, low * 2) if parameter.log else (low - 0.5, high + 0.5)


def ticks(parameter: SearchedParameter) -> list[float]:
    """A few round values of the range."""
    low, high = limits(parameter)
    if not parameter.log:
        step = _round_step((high - low) / (_TICKS - 1), whole=parameter.kind == "int")
        return [float(step * i) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    found: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [s * 10.0**d for d in decades for s in steps if low * 0.999 <= s * 10.0**d <= high * 1.001]
        if len(found) >= _FEW_TICKS:
            break
    if len(found) < 2:
        found = sorted({float(f"{value:.2g}") for value in (low, math.sqrt(low * high), high)})
    return found[:: -(-len(found) // _TICKS)]


def _round_step(step: float, *, whole: bool) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    size = 10.0 ** math.floor(math.log10(step))
    chosen = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= step * 0.999)
    return float(max(1, math.ceil(chosen))) if whole else chosen


def tick_text(parameter: SearchedParameter, value: float) -> str:
    """A tick: small values of a logarithmic axis as powers of ten."""
    return power(value) if parameter.log and value < 1e-3 else value_text(parameter, value)
