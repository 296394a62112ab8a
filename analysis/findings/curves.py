"""A cell's curves as tables [x, seed], and which cells share one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from analysis.findings.cells import CellRuns

TRAINING, BOUND = "train/network", "bound_per_t"
"""The names of two curves: the loss over training steps, and what each t adds to the bound."""
T = TypeVar("T")


def curves_of(curves: pd.DataFrame, name: str, cells: Sequence[CellRuns]) -> list[pd.DataFrame]:
    """The curve of this name as [x, seed] of each cell, without points that are not finite; empty where it has none."""
    finite = curves[(curves["curve"] == name) & np.isfinite(curves["y"])]
    by_id = {str(cell_id): rows for cell_id, rows in finite.groupby("cell_id", sort=False)}
    ids = [set(cell.runs["cell_id"]) for cell in cells]
    return [_curve_of([by_id.get(i, finite[:0]) for i in own], cell) for own, cell in zip(ids, cells, strict=True)]


def _curve_of(parts: list[pd.DataFrame], cell: CellRuns) -> pd.DataFrame:
    """The curve of a cell among the rows of its ids."""
    rows = parts[0] if len(parts) == 1 else pd.concat(parts).sort_index()
    own = rows[rows["seed"].isin(set(cell.runs["seed"]))]
    return pd.DataFrame(own.pivot_table(index="x", columns="seed", values="y", aggfunc="last"))


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
