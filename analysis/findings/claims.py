"""Papers' claims as contrasts of cells: what a claim says of a grid's values, before it is put to the test.

    direction    D = metric(better) − metric(than)
    equality     the same D, which is claimed to be at most within · |mean of than|, on a log scale log(1 + within)
    change       D = (better − its start) − (than − its start), where `since` names the start

Metrics are on their scale. Cells at the named levels are matched by their levels on all other axes and averaged over
them within each seed, so every claim is one paired comparison over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from analysis.findings.cells import CellRuns
from analysis.findings.values import Array, contrast
from analysis.format.grid_json import Expectation, ShownMetric
from analysis.read.runs import GridResults

Obstacle = Literal["", "not measured", "not comparable", "too few seeds"]
"""The reason why a claim could not be put to the test; "" where it was."""


@dataclass(frozen=True, eq=False)
class Claim:
    """The expectation that `said` has of a metric (None where the grid has none such): D = Σ c · cell over its `terms`
    (c, cell).

    `margin` is the most that D may be where two are claimed to be equal, else nan.
    """

    grid: GridResults
    said: Expectation
    metric: ShownMetric | None
    terms: Sequence[tuple[float, CellRuns]] = ()
    margin: float = math.nan
    obstacle: Obstacle = ""

    @property
    def of_equality(self) -> bool:
        """True where two are claimed to be equal."""
        return self.said.within is not None

    def is_about(self, metric: ShownMetric) -> bool:
        """True where it can be judged by this metric."""
        return not self.obstacle and self.metric is not None and self.metric.name == metric.name

    @cached_property
    def values(self) -> Array:
        """D, [n] per seed or [n, m] per seed and held-out image; empty where there is an obstacle."""
        if self.metric is None or not self.terms:
            return np.empty(0)
        return contrast(self.grid, self.metric, self.terms)

    @cached_property
    def at_first(self) -> Array:
        """D over the seeds of the first look, which all cells have, where seeds were added while one looked."""
        assert self.metric is not None, "it is of no metric"
        return contrast(self.grid, self.metric, self.terms, self.grid.meta.first_look)


def claims_of(grid: GridResults, cells: Sequence[CellRuns], metrics: Sequence[ShownMetric]) -> list[Claim]:
    """The grid's claims as contrasts of its cells, in order."""
    return [_claim(grid, cells, metrics, said) for said in grid.meta.expects]


def _claim(grid: GridResults, cells: Sequence[CellRuns], metrics: Sequence[ShownMetric], said: Expectation) -> Claim:
    metric = next((m for m in metrics if m.name.startswith(f"{said.metric}/")), None)
    if metric is None or metric.name not in grid.runs:
        return Claim(grid, said, None, obstacle="not measured")
    matched = _matched(grid, cells, said, metric)
    if not matched:
        compared = (said.better, said.better | said.than)
        levels = [(cell, cell.levels_of(grid.meta.axes).items()) for cell in cells]
        named = [cell for cell, at in levels if any(part.items() <= at for part in compared)]
        apart = not all(cell.comparable(metric.name) for cell in named)
        return Claim(grid, said, metric, obstacle="not comparable" if apart else "too few seeds")
    claim = Claim(grid, said, metric, _averaged(matched, metric), _margin(metric, said, matched))
    return claim if len(claim.at_first) > 1 else Claim(grid, said, metric, obstacle="too few seeds")


def _averaged(matched: Sequence[Sequence[tuple[float, CellRuns]]], metric: ShownMetric) -> list[tuple[float, CellRuns]]:
    """The mean of signed cells over crossings, with one coefficient for cells with equal values: so it is the very
    contrast of two cells where their values do not depend on what it is averaged over. Nothing cancels wholly."""
    total: dict[tuple[tuple[int, float], ...], tuple[float, CellRuns]] = {}
    for c, cell in (term for parts in matched for term in parts):
        values = cell.estimate(metric.name).by_seed
        total[values] = (total.get(values, (0.0, cell))[0] + c, cell)
    return [(c / len(matched), cell) for c, cell in total.values() if c] or list(matched[0])


def _margin(metric: ShownMetric, said: Expectation, matched: Sequence[Sequence[tuple[float, CellRuns]]]) -> float:
    if said.within is None:
        return math.nan
    if metric.scale == "log":
        return math.log1p(said.within)
    return said.within * abs(float(np.mean([parts[1][1].estimate(metric.name).mean for parts in matched])))


def _matched(
    grid: GridResults, cells: Sequence[CellRuns], said: Expectation, metric: ShownMetric
) -> list[list[tuple[float, CellRuns]]]:
    """D as signed cells, better and than first, at each crossing of the other axes where two seeds finished them."""
    matched = []
    for cell in cells:
        if not said.better.items() <= cell.levels_of(grid.meta.axes).items():
            continue
        other = _moved(grid, cells, cell, said.than)
        starts = [end and _moved(grid, cells, end, said.since) for end in (cell, other)] if said.since else []
        parts = [(c, part) for c, part in zip((1.0, -1.0, -1.0, 1.0), (cell, other, *starts), strict=False) if part]
        if len(parts) == 2 + len(starts) and len(contrast(grid, metric, parts, grid.meta.first_look)) > 1:
            matched.append(parts)
    return matched


def _moved(grid: GridResults, cells: Sequence[CellRuns], cell: CellRuns, levels: Mapping[str, str]) -> CellRuns | None:
    """The cell that differs from this one in these levels only."""
    wanted = cell.levels_of(grid.meta.axes) | dict(levels)
    return next((other for other in cells if other.levels_of(grid.meta.axes) == wanted), None)
