"""Papers' claims as contrasts of cells: what a claim says about a grid's values, before it is tested.

    direction    D = metric(better) − metric(than)
    equality     the same D, with the claim that |D| ≤ within · |mean of than|; log(1 + within) on a log scale
    change       D = (better − its start) − (than − its start), where `since` names the start

Values are on the metric's scale. Cells at the named levels are matched by their levels on all other axes, and averaged
over these within each seed, so every claim is one paired comparison over seeds.
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
from analysis.grid_json import Expectation, ShownMetric
from analysis.read.runs import GridResults

Obstacle = Literal["", "not measured", "not comparable", "too few seeds"]
"""The reason why a claim could not be put to the test; "" where it was."""


@dataclass(frozen=True, eq=False)
class Claim:
    """A claim `said` by the grid's file, as a contrast D = Σ c · cell over its `terms` (c, cell).

    `metric` is None where the grid lacks it. `margin` is the most that |D| may be in a claim of equality, else nan.
    """

    grid: GridResults
    said: Expectation
    metric: ShownMetric | None
    terms: Sequence[tuple[float, CellRuns]] = ()
    margin: float = math.nan
    obstacle: Obstacle = ""

    @property
    def of_equality(self) -> bool:
        """True where the claim says that two cells are equal."""
        return self.said.within is not None

    @property
    def sides(self) -> tuple[str, str] | None:
        """The labels of what is claimed to be better and of what than, on the axes that tell them apart; None for a
        claim about changes, or where only one side says its levels there."""
        better, than = self.said.better, self.said.than
        axes = [axis for axis in self.grid.meta.axes if axis.name in dict(than.items() - better.items())]
        if self.said.since or not {axis.name for axis in axes} <= better.keys():
            return None
        first, second = (" · ".join(axis.label_of(side[axis.name]) for axis in axes) for side in (better, than))
        return first, second

    def is_about(self, metric: ShownMetric) -> bool:
        """True where the claim is about this metric and can be tested."""
        return not self.obstacle and self.metric is not None and self.metric.name == metric.name

    @cached_property
    def values(self) -> Array:
        """D, [n] per seed or [n, m] per seed and held-out image; empty where there is an obstacle."""
        if self.metric is None or not self.terms:
            return np.empty(0)
        return contrast(self.grid, self.metric, self.terms)

    @cached_property
    def at_first(self) -> Array:
        """D over the seeds of the first look, which all cells have; over all seeds where their number was fixed."""
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
    """The mean of the matches' signed cells, with one coefficient for all cells with equal values. If the other axes
    change no value, the mean is thus the contrast of two cells. If all terms cancel, the first match is returned."""
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
    """The terms of D, `better` and `than` first, at each combination of the other axes that two seeds finished."""
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
    """The cell that differs from `cell` in these levels only; None where there is none."""
    wanted = cell.levels_of(grid.meta.axes) | dict(levels)
    return next((other for other in cells if other.levels_of(grid.meta.axes) == wanted), None)
