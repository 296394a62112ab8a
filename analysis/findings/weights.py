"""A check for hidden differences: cells that declare one difference may differ in the weight of each t as well.

    c(t) = w(t),  or w(t) p(t),  relative to its mean over t

w is the weight of ‖ε − ε̂‖²/D in a cell's objective. p is the density of its training times; it counts unless the loss
is divided by it (curve `expected_weight`). Objectives differ in c, whatever the network predicts. c is relative to its
mean, since Adam divides a constant factor out of every step. An axis over objectives, training times, schedules, T or
training declares that it changes c. Under any other axis, a change of more than 1 % at some t is a second difference
between its cells, and the table says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.findings.cells import parameters_of
from analysis.findings.values import axis_columns
from analysis.grid_json import Axis
from analysis.read.runs import GridResults
from analysis.schema import WEIGHT

DECLARED = ("objective", "timesteps", "schedule", "horizon", "training")
"""The choices that are expected to change the weight of t, and so declare it."""
SAME = 0.01
"""The share below which weights count as equal, if they differ by less at every t."""

Run = tuple[str, int]
"""(cell_id, seed)"""


@dataclass(frozen=True)
class WeightDifference:
    """The largest ratio, above 1, of the weights of two cells, and its t; infinite where only one has any weight."""

    factor: float
    t: int


@dataclass(frozen=True)
class WeightCheck:
    """The result of comparing the weight of t along every axis: the axes that declare to change it, and for each axis
    that changes it undeclared, the largest difference."""

    declared: frozenset[str]
    differences: Mapping[str, WeightDifference]


def check_weights(
    grid: GridResults, changes: Mapping[str, Set[str]], load: Callable[[], Mapping[Run, pd.Series[float]]]
) -> WeightCheck:
    """The check of a grid; `changes` are the parameters that each axis changes.

    The curves are by far the largest of the files: `load` reads them only where there is something to compare.
    """
    columns = axis_columns(grid)
    declared = frozenset(name for name, parameters in changes.items() if declares(parameters))
    asked = {
        axis.name: column
        for axis, column in zip(grid.meta.axes, columns, strict=True)
        if axis.name not in declared and next(partners(grid.runs, columns, column), None) is not None
    }
    weights = load() if asked else {}
    largest_along = {name: largest(weights, partners(grid.runs, columns, column)) for name, column in asked.items()}
    return WeightCheck(
        declared, {name: difference for name, difference in largest_along.items() if difference is not None}
    )


def changed_along(grid: GridResults, axis: Axis) -> set[str]:
    """The parameters that differ between cells of a grid with the same level on every axis but this one."""
    return changed(grid.runs, axis_columns(grid), f"axis.{axis.name}")


def changed(runs: pd.DataFrame, axes: Sequence[str], axis: str) -> set[str]:
    """The parameters that differ between cells with the same level on every axis but this one."""
    groups = _alike(runs, [other for other in axes if other != axis])
    return {name for name in parameters_of(runs) if any(rows[name].nunique() > 1 for rows in groups)}


def declares(parameters: Iterable[str]) -> bool:
    """True where one of these parameters is expected to change the weight of t."""
    return any(name.split(".")[0] in DECLARED for name in parameters)


def partners(runs: pd.DataFrame, axes: Sequence[str], axis: str) -> Iterator[tuple[Run, Run]]:
    """Pairs of finished runs of one seed that differ in this axis only."""
    finished = runs[runs["status"] == "finished"]
    for rows in _alike(finished, [*(other for other in axes if other != axis), "seed"]):
        yield from combinations([(str(name), int(seed)) for name, seed in rows[["cell_id", "seed"]].to_numpy()], 2)


def _alike(runs: pd.DataFrame, columns: list[str]) -> list[pd.DataFrame]:
    """The groups of rows that agree in these columns."""
    return [rows for _, rows in runs.groupby(columns, sort=False)] if columns else [runs]


def effective_weights(curves: pd.DataFrame) -> dict[Run, pd.Series[float]]:
    """The weight c(t) of each run over t, nan where it is not known; runs without any known weight are left out."""
    keys = ["cell_id", "seed", "x"]
    points = curves[curves["curve"] == WEIGHT].drop_duplicates(keys, keep="last")
    table = points.set_index(keys)["y"].astype(np.float64).sort_index()
    counted = table.where((table >= 0) & np.isfinite(table))
    runs = points[["cell_id", "seed"]].drop_duplicates().to_numpy()
    weights = {(str(name), int(seed)): counted.loc[name, seed] for name, seed in runs}
    return {run: weight for run, weight in weights.items() if (weight > 0).any()}


def relative(weight: pd.Series[float]) -> pd.Series[float]:
    """The weight c(t), relative to its mean over t."""
    return weight / weight.mean()


def largest(weights: Mapping[Run, pd.Series[float]], pairs: Iterable[tuple[Run, Run]]) -> WeightDifference | None:
    """The largest difference within a pair; None where all agree. Pairs of different T are not compared.

    Most runs of a grid have the same weight, so each run is replaced by the first with an equal one.
    """
    firsts: dict[tuple[bytes, bytes], Run] = {}
    alike = {
        run: firsts.setdefault((weight.index.to_numpy().tobytes(), weight.to_numpy().tobytes()), run)
        for run, weight in weights.items()
    }
    distinct = ((alike[a], alike[b]) for a, b in pairs if a in alike and b in alike)
    apart = [
        difference(weights[a], weights[b])
        for a, b in dict.fromkeys(distinct)
        if a != b and weights[a].index.equals(weights[b].index)
    ]
    return max((ratio for ratio in apart if ratio is not None), key=lambda ratio: ratio.factor, default=None)


def difference(a: pd.Series[float], b: pd.Series[float]) -> WeightDifference | None:
    """The largest ratio between two weights, the same in either order; None where they agree.

    Means are over the t at which both are known: otherwise a gap in one would shift all of the other.
    """
    both = a.notna() & b.notna() & ~((a == 0) & (b == 0))
    if not both.any() or not (a[both].sum() > 0 and b[both].sum() > 0):
        return None
    with np.errstate(divide="ignore"):
        logs = np.abs(np.log(relative(a[both]).to_numpy()) - np.log(relative(b[both]).to_numpy()))
    worst = int(logs.argmax())
    factor = float(np.exp(logs[worst]))
    return WeightDifference(factor, int(a[both].index[worst])) if factor > 1 + SAME else None
