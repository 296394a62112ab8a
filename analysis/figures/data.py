"""The data of a figure of lines, for a page that draws it itself: `figures/NAME.json`, beside its PNG.

    [{title, x, y, log: [x, y], lines: [{names, color, dashes, kind, seeds, x, y: [[…] per seed]}]}]

`log` says which axes are logarithmic, `null` is a value that is not there, and long curves have some of their points.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analysis.figures.style import LINEAR, Line, Panel, Panels

MOST_POINTS, DIGITS = 150, 5
"""The most points of a curve, and the digits of a value."""


def data_of(figure: Figure) -> str | None:
    """The JSON of a figure's panels; None where it has no lines of data."""
    panels = [_panel(place, figure.looks) for place in figure.places if place] if isinstance(figure, Panels) else []
    return json.dumps(panels, ensure_ascii=False, separators=(",", ":"), allow_nan=False) if panels else None


def _panel(panel: Panel, looks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    lines = [_line(line, looks[next(iter(line.names))]) for line in panel.lines]
    return {"title": panel.title, "x": panel.x, "y": panel.y, "log": _logarithmic(panel), "lines": lines}


def _line(line: Line, look: Mapping[str, Any]) -> dict[str, Any]:
    """A line with a row of values for each seed."""
    table = line.table.iloc[:: -(-len(line.table) // MOST_POINTS)]
    dashes = look["linestyle"]
    return {
        "names": list(line.names),
        "color": to_hex(look["color"]),
        "dashes": [4 * length for length in dashes[1]] if isinstance(dashes, tuple) else [],
        "kind": line.kind,
        "seeds": [str(seed) for seed in table.columns],
        "x": [_rounded(float(x)) for x in table.index],
        "y": [[_rounded(float(y)) for y in table[seed]] for seed in table.columns],
    }


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _logarithmic(panel: Panel) -> list[bool]:
    """Whether x and y are logarithmic: all positive, and over more than the panel's ratio, as in `style.scale`."""
    xs = [float(x) for line in panel.lines for x in line.table.index]
    ys = [float(y) for line in panel.lines for y in line.table.to_numpy().ravel()]
    told = [[value for value in values if math.isfinite(value)] or [1.0] for values in (xs, ys)]
    return [
        ratio != LINEAR and min(values) > 0 and max(values) > ratio * min(values)
        for values, ratio in zip(told, panel.log, strict=True)
    ]
