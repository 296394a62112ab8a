"""The words on how a grid's rows were made: their training steps and NUMERICS, beside those of the grid's file and of
this code; and the size of the images."""

from __future__ import annotations

import math

from analysis.grid_json import Meta
from analysis.labels import Rounding
from analysis.read.runs import GridResults
from analysis.schema import NUMERICS


def steps_taken(grid: GridResults) -> str:
    """The training steps of a cell, and those that the grid's own file asks for if they differ."""
    steps, own = span_of(grid, "training.steps"), grid.meta.own_steps
    if not steps or own is None or steps == count_of(own):
        return f"{steps} training steps" if steps else ""
    return f"{steps} training steps (the grid's file asks for {count_of(own)})"


def chain_length(grid: GridResults) -> str:
    """T = 100, or T = 100–400 where cells differ in it; "" where no cell has a chain."""
    steps = span_of(grid, "horizon", above=0) or (str(grid.meta.horizon) if grid.meta.horizon else "")
    return f"T = {steps}" if steps else ""


def span_of(grid: GridResults, name: str, above: float = -math.inf) -> str:
    """The value of a column that all runs share, or its range; only values `above` some number count."""
    if name not in grid.runs:
        return ""
    numbers = {float(value) for value in grid.runs[name] if str(value) not in ("", "nan")}
    values = sorted(value for value in numbers if value > above)
    texts = list(dict.fromkeys(count_of(value) for value in values[:1] + values[-1:]))
    return "–".join(texts)


def count_of(value: float) -> str:
    """A number as text; from 100,000 on in k or M, with three digits."""
    for size, unit in ((1e6, "M"), (1e5, "k")):
        if value >= size:
            scale = 1e6 if unit == "M" else 1e3
            return f"{Rounding().number(value / scale)}\u00a0{unit}"
    return f"{value:g}"


def numerics(grid: GridResults) -> str:
    """The NUMERICS of a grid's rows, and that of this code if it differs."""
    made_by = "/".join(sorted(set(grid.runs["numerics"]) - {""})) or "not recorded"
    other = f" (this code: {NUMERICS}: the same command gives other digits)"
    return made_by if made_by == str(NUMERICS) else f"{made_by}{other}"


def image_size(meta: Meta) -> str:
    """The size of images, such as "16×16 grey pixels"; "" for points, and where it is not recorded."""
    if len(meta.shape) != 3:
        return ""
    channels, height, width = meta.shape
    return f"{height}×{width} {'grey' if channels == 1 else 'colour'} pixels"
