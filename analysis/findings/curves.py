"""A cell's curves as tables [x, seed], and which cells share one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import pandas as pd

from analysis.findings.cells import CellRuns

TRAINING, BOUND = "train/network", "bound_per_t"
"""The names of two curves: the loss over training steps, and what each t adds to the bound."""
T = TypeVar("T")


def curve_of(curves: pd.DataFrame, cell: CellRuns) -> pd.DataFrame:
    """The curve [x, seed] of a cell among curves of one name, without points that are not finite."""
    rows = curves[curves["cell_id"].isin(set(cell.runs["cell_id"])) & curves["seed"].isin(set(cell.runs["seed"]))]
    finite = rows[np.isfinite(rows["y"])]
    return pd.DataFrame(finite.pivot_table(index="x", columns="seed", values="y", aggfunc="last"))


def shared(known: Iterable[tuple[CellRuns, T]], agree: Callable[[T, T], bool]) -> list[tuple[T, list[CellRuns]]]:
    """What can be told apart of that which cells have, each by its first cell, with the cells that have it."""
    found: list[tuple[T, list[CellRuns]]] = []
    for cell, own in known:
        cells = next((cells for other, cells in found if agree(other, own)), None)
        if cells is None:
            found.append((own, [cell]))
        else:
            cells.append(cell)
    return found
