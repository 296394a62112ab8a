"""Rows as CSV and curves as a frame, with a sensible number of digits and points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.engine.journal import Curves
from analysis.results import is_kept, read_csv
from analysis.schema import CURVES, FORMULA_CURVES

MOST_POINTS, EARLY = 250, 50
"""The number of points of a curve that are written, and the number of first points that are all among them."""


def rows_of(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file that has these columns."""
    return [{str(key): value for key, value in row.items()} for row in read_csv(path, columns).to_dict("records")]


def union(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Every key of the rows, in order of first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def number(value: float) -> str:
    """Seven digits are more than any of these numbers is worth, and keep the files small."""
    return f"{value:.7g}" if math.isfinite(value) else "nan"


def csv_text(columns: Sequence[str], lines: Iterable[dict[str, Any]]) -> str:
    """Lines as CSV, empty where a line lacks a column."""
    return pd.DataFrame(lines, columns=list(columns), dtype=object).to_csv(index=False, lineterminator="\n")


def curve_frame(curves: Mapping[tuple[str, int], Curves]) -> pd.DataFrame:
    """A row per point of the curves of each (cell_id, seed) that are kept. What follows from the choices of a cell is
    the same at all of its seeds, unless it is learned, and is there once, without a seed."""
    points = {
        (cell_id, seed, name): [(number(x), number(y)) for x, y in thinned(*curve)]
        for (cell_id, seed), named in curves.items()
        for name, curve in named.items()
        if is_kept(name)
    }
    formulas: dict[tuple[str, str], list[list[tuple[str, str]]]] = {}
    for (cell_id, _, name), xy in points.items():
        if name in FORMULA_CURVES:
            formulas.setdefault((cell_id, name), []).append(xy)
    alike = {at for at, each in formulas.items() if all(xy == each[0] for xy in each)}
    placed = {
        (cell_id, None if (cell_id, name) in alike else seed, name): xy for (cell_id, seed, name), xy in points.items()
    }
    return pd.DataFrame([(*place, x, y) for place, xy in placed.items() for x, y in xy], columns=list(CURVES))


def thinned(xs: list[float], ys: list[float]) -> list[tuple[float, float]]:
    """The points of a curve; of a long one all early points, where curves are steep, and some of the rest, evenly."""
    points = list(zip(xs, ys, strict=True))
    if len(points) <= MOST_POINTS:
        return points
    rest, left = points[EARLY:], MOST_POINTS - EARLY
    return points[:EARLY] + [rest[round(i * (len(rest) - 1) / (left - 1))] for i in range(left)]
