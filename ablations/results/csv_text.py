"""Rows and curves as CSV, with a sensible number of digits and points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.engine.journal import Curves
from analysis.csv_files import read_csv
from analysis.guarded import guarded

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
    """Lines as CSV, empty where a line lacks a column; values that a spreadsheet would execute are made harmless."""
    table = pd.DataFrame(lines, columns=list(columns), dtype=object).rename(columns=guarded)
    safe = table.map(lambda value: guarded(value) if isinstance(value, str) else value)
    # At a carriage return, which is quoted for the sake of this line end, spreadsheets begin a row.
    return safe.to_csv(index=False, lineterminator="\r\n").replace("\r\n", "\n")


def curve_rows(curves: Mapping[tuple[str, int], Curves]) -> Iterator[dict[str, Any]]:
    """A row per point of the curves of each (cell_id, seed)."""
    for (cell_id, seed), named in curves.items():
        for name, (xs, ys) in named.items():
            for x, y in drawn(xs, ys):
                yield {"cell_id": cell_id, "seed": seed, "curve": name, "x": number(x), "y": number(y)}


def drawn(xs: list[float], ys: list[float]) -> list[tuple[float, float]]:
    """The points of a curve; of a long one all early points, where curves are steep, and some of the rest, evenly."""
    points = list(zip(xs, ys, strict=True))
    if len(points) <= MOST_POINTS:
        return points
    rest, left = points[EARLY:], MOST_POINTS - EARLY
    return points[:EARLY] + [rest[round(i * (len(rest) - 1) / (left - 1))] for i in range(left)]
