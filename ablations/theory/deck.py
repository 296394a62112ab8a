"""Figures of the lecture beside its experiments: curves that follow from formulas alone, and strips of images.

    formulas.csv    (figure, series, x, y)
    strips/         forward-<schedule>.png, and backward-<schedule>.png of a trained cell

A grid with `deck: true` in its file leaves both in its results folder, and `analysis.figures` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablations.data.base import Data
from ablations.engine.journal import Journal
from ablations.results.csv_text import csv_text, number
from ablations.results.records import Record
from ablations.theory import formulas, mixture, strips
from analysis.format.files import write_text

COLUMNS = ("figure", "series", "x", "y")


def write_deck(folder: Path, records: Sequence[Record], journal: Journal, data: Data) -> None:
    """formulas.csv and strips/ in a results folder, from what has finished."""
    lines = [
        {"figure": figure, "series": series, "x": number(x), "y": number(y)}
        for figure, curves in {**formulas.figures(data), **mixture.figures()}.items()
        for series, (xs, ys) in curves.items()
        for x, y in zip(xs, ys, strict=True)
    ]
    write_text(folder / "formulas.csv", csv_text(COLUMNS, lines))
    strips.write_strips(folder / "strips", records, journal, data)
