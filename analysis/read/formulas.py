"""Curves that follow from formulas alone, without a training: what a grid's figures of theory are drawn from.

    figure, series, x, y    a row per point; series and points in the order in which they are drawn

`series` is the text that names a line, as readers write it. Most grids have no such file, and an empty frame.
"""

from __future__ import annotations

import pandas as pd

from analysis.format.csv_files import numbers, parse_csv

COLUMNS = ("figure", "series", "x", "y")


def no_formulas() -> pd.DataFrame:
    """The frame where there is no such file."""
    return parse_formulas(f"{','.join(COLUMNS)}\n".encode(), "")


def parse_formulas(content: bytes, source: str) -> pd.DataFrame:
    """The frame of a file's content, in its order; InputError where it is damaged."""
    texts = parse_csv(content, COLUMNS, source)
    points = {name: numbers(texts[name], name, source) for name in ("x", "y")}
    return texts.assign(**points)[list(COLUMNS)]
