"""The common parts of all figures: sizes, looks, scales, names; and small panels of lines, equal ones as one.

A page draws lines itself by their data, `figures/NAME.json` beside the PNG:

    [{title, x, y, log: [x, y], lines: [{names, color, dashes, kind, seeds, x, y: [[…] per seed], points}]}]

`log` says which axes are logarithmic, `null` is a value that is not there, and long curves have some of their points.
Where points are cells, `points` has of each a `text`, and the `names` each of which hides it.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogFormatterMathtext, LogLocator, MaxNLocator, NullLocator

from analysis.answers import Analysis
from analysis.grid_json import Axis, MetricInfo
from analysis.labels import cell_name, mathtext, some
from analysis.results import Results
from analysis.statistics import mean_interval

STYLE = ["default", str(Path(__file__).with_name("analysis.mplstyle"))]
WIDTH, GREY = 7.0, "#767676"
"""The inches of a figure's width, that of a page's text; and the colour of what stands back, and of text beside
pictures, which have no ground: it can be read on white and on black."""
MARKERS = "osD^vP*X"
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
LINEAR, WIDE, LOG = math.inf, 5.0, 1.0
"""The ratio of values from which on an axis is logarithmic: never, if they are wide, and always."""
Kind = Literal["band", "bars", "joined", "points"]
"""The kinds of lines: a band of seeds; seeds beside the mean's 95 % interval; markers, joined or not."""


def panels(n: int, height: float, *, columns: int = 0, share_y: bool = False) -> tuple[Panels, list[Axes]]:
    """A figure of n panels of this height in inches, in `columns` columns (0: all in a row)."""
    down = -(-n // (columns or n))
    figure = Panels((WIDTH, 0.25 + height * down), layout="constrained")
    return figure, list(figure.subplots(down, columns or n, squeeze=False, sharey=share_y).flat)


def look_of(i: int, kind: Kind = "band") -> dict[str, Any]:
    """The i-th colour with the i-th dashes and, but for bands, the i-th marker."""
    dashes = "none" if kind == "points" else DASHES[i % len(DASHES)]
    return {"color": f"C{i}", "linestyle": dashes, "marker": "" if kind == "band" else MARKERS[i % len(MARKERS)]}


def chosen(analysis: Analysis) -> list[MetricInfo]:
    """The first three deciding metrics, or the first two metrics of all if fewer than two decide."""
    return analysis.deciding[:3] if len(analysis.deciding) > 1 else list(analysis.metrics[:2])


def parts(results: Results, axes: Iterable[Axis], cell: str) -> str:
    """A cell's levels on these axes; a bare number has its axis before it, as in "Steps = 5"."""
    levels = results.levels(cell)
    return ", ".join(cell_name([(axis.label, axis.label_of(levels[axis.name]))]) for axis in axes)


def place_of(results: Results, axes: Sequence[Axis], cell: str) -> int:
    """The place of a cell's level on the first of these axes, 0 without any."""
    return axes[0].position(results.levels(cell)[axes[0].name]) if axes else 0


def varying(results: Results, cells: Iterable[str]) -> list[Axis]:
    """The axes on which these cells have several levels."""
    several = results.level_names.loc[list(cells)].nunique() > 1
    return [axis for axis in results.meta.axes if several[axis.name]]


def wrapped(text: str, chars: int) -> str:
    """Text for matplotlib in lines of at most `chars` characters; its own breaks stay, and no number leaves its "="."""
    bound = text.replace(" = ", "\xa0=\xa0").replace(" %", "\xa0%")
    lines = (textwrap.wrap(line, chars, break_long_words=False, break_on_hyphens=False) for line in bound.split("\n"))
    return "\n".join(mathtext(piece.replace("\xa0", " ")) for line in lines for piece in line)


def legend(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """Name artists at the right of a figure, outside of all panels: nothing there can be taken for data. The figure
    grows where that takes more lines than its panels have room for."""
    texts = {wrapped(name, 24): artist for name, artist in entries.items() if name}
    if texts:
        room = 0.35 + 0.158 * sum(text.count("\n") + 1 for text in texts)
        figure.set_figheight(max(figure.get_figheight(), room))
        figure.legend(list(texts.values()), list(texts), loc="outside right upper")


def logarithmic(values: Sequence[float], ratio: float) -> bool:
    """True where an axis over these values is logarithmic: all are positive, and they span more than this ratio."""
    return bool(values) and min(values) > 0 and max(values) > ratio * min(values)


def scale(axes: Axes, which: Literal["x", "y"], values: Iterable[float], ratio: float) -> None:
    """Fit an axis to values with a margin; this `ratio` says whether it is `logarithmic`."""
    each = sorted({value for value in values if math.isfinite(value)})
    if not each:
        return
    low, high, axis = each[0], each[-1], axes.xaxis if which == "x" else axes.yaxis
    if logarithmic(each, ratio):
        low, high = low / (high / low) ** 0.06, high * (high / low) ** 0.06
        decades = math.log10(high / low) * (1.6 if which == "x" else 1.0)
        digits = (1, 2, 3, 5) if decades < 1 else (1, 2, 5) if decades < 1.9 else (1, 3) if decades < 2.6 else (1,)
        few = which == "x" and len(each) <= 7 and all(len(f"{value:g}") <= 4 for value in each)
        axes.set(**{f"{which}scale": "log"})
        axis.set_major_locator(FixedLocator(each) if few else LogLocator(subs=digits, numticks=7))
        axis.set_minor_locator(NullLocator())
        plain = low >= 1e-3 and high < 1e4
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}") if plain else LogFormatterMathtext())
    else:
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = low - margin, high + margin
        most = 6 if which == "y" or axes.get_position().width > 0.5 else 3
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axes.set(**{f"{which}lim": (low, high)})


@dataclass(frozen=True, eq=False)
class Line:
    """A line [x, seed], and the cells that have it in its panel: their ids, and their names there with the number of a
    look each. `points` says of each point what a page tells, where that is more than its place."""

    cells: list[str]
    names: dict[str, int]
    table: pd.DataFrame
    kind: Kind = "band"
    points: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel: its title, the labels of its axes, its lines, and the ratios from which on its axes are logarithmic."""

    title: str
    x: str
    y: str
    lines: list[Line]
    log: tuple[float, float] = (LINEAR, LINEAR)

    @property
    def values(self) -> tuple[list[float], list[float]]:
        """The finite x and y of its lines."""
        x = [float(x) for line in self.lines for x in line.table.index]
        y = [float(y) for line in self.lines for y in line.table.to_numpy().ravel()]
        return list(filter(math.isfinite, x)), list(filter(math.isfinite, y))


class Panels(Figure):
    """A figure of panels; of lines, if there are `places` with these and the looks of lines by their names."""

    places: Sequence[Panel | None] = ()
    looks: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


def coincide(a: pd.DataFrame, b: pd.DataFrame, share: float = 1e-6) -> bool:
    """True where the means of two lines are at the same places, and differ by at most this share."""
    return a.index.equals(b.index) and np.allclose(a.mean(axis=1), b.mean(axis=1), share, 0.0, equal_nan=True)


def merged(lines: Iterable[Line], share: float = 1e-6) -> list[Line]:
    """The lines of a panel, equal ones as one with the names of all."""
    kept: list[Line] = []
    for line in lines:
        twin = next((other for other in kept if coincide(other.table, line.table, share)), None)
        if twin is None:
            kept.append(line)
        else:
            twin.cells.extend(line.cells)
            twin.names.update(line.names)
    return kept


def draw(places: Sequence[Panel | None], columns: int, height: float = 1.85) -> Figure | None:
    """A figure of these panels, None for a place without one. The same name has the same look in all of them; a line
    with several names has that of the first, and says so in the title."""
    looks = {name: look_of(i, line.kind) for of in places if of for line in of.lines for name, i in line.names.items()}
    if not looks:
        return None
    chars = int((WIDTH - 0.45 - 0.062 * min(24, max(map(len, looks)))) / columns / 0.069)
    figure, subplots = panels(len(places), height, columns=min(columns, len(places)))
    high = 0
    for i, (axes, place) in enumerate(zip(subplots, places, strict=True)):
        if place is None:
            axes.remove()
            continue
        for line in place.lines:
            _plot(axes, line, looks[next(iter(line.names))])
        x, y = place.values
        scale(axes, "y", y, place.log[1])
        scale(axes, "x", x, place.log[0])
        joint = [f"one line: {some(list(line.names), 3)}" for line in place.lines if len(line.names) > 1]
        title = wrapped("\n".join([place.title, *joint]).strip(), chars)
        below = places[i + columns] if i + columns < len(places) else None
        named = "" if below and below.x == place.x else wrapped(place.x, 28)
        axes.set(title=title, xlabel=named, ylabel=wrapped(place.y, 28))
        high = max(high, title.count("\n"))
    figure.set_figheight(figure.get_figheight() + 0.13 * high * -(-len(places) // columns))
    legend(figure, {name: Line2D([], [], **look) for name, look in looks.items()})
    figure.places, figure.looks = places, looks
    return figure


def _plot(axes: Axes, line: Line, look: dict[str, Any]) -> None:
    """Draw a line with its seeds."""
    name, table, mean = some(list(line.names), 3), line.table, line.table.mean(axis=1)
    axes.plot(mean.index, mean, label=name, **look | ({"marker": look["marker"] or "o"} if len(mean) == 1 else {}))
    if line.kind == "bars":
        half = [mean_interval(row.dropna().tolist())[1] for _, row in table.iterrows()]
        axes.plot(table, ".", ms=3, mew=0, color=look["color"], alpha=0.5)
        axes.errorbar(mean.index, mean, half, fmt="none", ecolor=look["color"], elinewidth=0.8)
    else:
        axes.fill_between(mean.index, table.min(axis=1), table.max(axis=1), color=look["color"], alpha=0.15, lw=0)


MOST_POINTS, DIGITS = 150, 5
"""The most points of a curve, and the digits of a value."""


def data_of(figure: Figure) -> str | None:
    """The JSON of a figure's panels; None where it has no lines of data."""
    panels = [_panel(place, figure.looks) for place in figure.places if place] if isinstance(figure, Panels) else []
    return json.dumps(panels, ensure_ascii=False, separators=(",", ":"), allow_nan=False) if panels else None


def _panel(panel: Panel, looks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    lines = [_line(line, looks[next(iter(line.names))]) for line in panel.lines]
    log = [logarithmic(values, ratio) for values, ratio in zip(panel.values, panel.log, strict=True)]
    return {"title": panel.title, "x": panel.x, "y": panel.y, "log": log, "lines": lines}


def _line(line: Line, look: Mapping[str, Any]) -> dict[str, Any]:
    """A line with a row of values for each seed."""
    every = -(-len(line.table) // MOST_POINTS)
    table = line.table.iloc[::every]
    dashes = look["linestyle"]
    return {
        "names": list(line.names),
        "color": to_hex(look["color"]),
        "dashes": [4 * length for length in dashes[1]] if isinstance(dashes, tuple) else [],
        "kind": line.kind,
        "seeds": [str(seed) for seed in table.columns],
        "x": [_rounded(float(x)) for x in table.index],
        "y": [[_rounded(float(y)) for y in table[seed]] for seed in table.columns],
        "points": line.points[::every],
    }


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
