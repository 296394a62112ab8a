"""Numbers that no axis can be made for, moved to where one can: 1e308 is drawn at 1e100, 5e-324 at 1e-100.

What is drawn from is the square, the power or the margin of a number, and those of a number near the end of float64 are
none. Tables and sentences say the number itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.findings.answers import Answers
from analysis.read.search import Search

LEAST, MOST = 1e-100, 1e100
"""The sizes that are drawn as they are, and 0."""


def drawable(answers: Answers) -> Answers:
    """The answers from numbers that can be drawn; the same where all can be."""
    grid = answers.grid
    runs, curves = _moved(grid.runs), _moved(grid.curves)
    search = None if grid.search is None else drawable_search(grid.search)
    if runs is grid.runs and curves is grid.curves and search is grid.search:
        return answers
    return Answers.of(replace(grid, runs=runs, load_curves=lambda: curves, search=search))


def drawable_search(search: Search) -> Search:
    """The search from numbers that can be drawn; the same where all can be."""
    trials, rungs = _moved(search.trials), _moved(search.rungs)
    return search if trials is search.trials and rungs is search.rungs else Search(search.head, trials, lambda: rungs)


def _moved(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its numbers inside the range; itself where all are."""
    columns = {str(name): frame[name].to_numpy() for name in frame.select_dtypes("float64")}
    moved = {name: _inside(values) for name, values in columns.items()}
    same = all(np.array_equal(values, moved[name], equal_nan=True) for name, values in columns.items())
    return frame if same else frame.assign(**moved)


def _inside(values: np.ndarray) -> np.ndarray:
    """The values with their sizes inside the range; 0, nan and what is infinite stay."""
    apart = np.isfinite(values) & (values != 0)
    return np.where(apart, np.sign(values) * np.clip(np.abs(values), LEAST, MOST), values)
