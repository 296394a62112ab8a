"""What a grid found: per metric that decides which cells may be the best, and which of two is better.

    one axis                every level against every other
    more axes, many levels  every cell against the baseline

Each metric's comparisons are one family, adjusted by Holm: among all claims of "better" or "worse" that it makes,
a false one appears in 5 % of grids at most. The ± of a difference is of that difference alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import compared
from analysis.findings.summary import Summary
from analysis.read.meta import ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.paired import Comparison, Verdict, fresh_seeds, holm, sampling_noise, verdict

EVERY_PAIR_UP_TO = 6
"""Levels of a grid's only axis up to which each is compared with each."""


def one_training(cells: Sequence[CellRuns]) -> bool:
    """Whether cells share a training at every seed."""
    trainings = [dict(zip(cell.runs["seed"], cell.runs["training_id"], strict=True)) for cell in cells]
    return all(one == trainings[0] for one in trainings)


@dataclass(frozen=True, eq=False)
class CellComparison:
    """Cell a against cell b in one metric; `adjusted` is Holm's p within the metric's family."""

    metric: ShownMetric
    a: CellRuns
    b: CellRuns
    comparison: Comparison
    adjusted: float

    @property
    def verdict(self) -> Verdict:
        """Verdict on cell a relative to b."""
        return verdict(self.comparison.difference, self.adjusted, self.metric.sign)

    @cached_property
    def fresh_seeds(self) -> int | None:
        """How many new seeds would confirm the difference as it looks; None where no affordable number would."""
        return fresh_seeds(self.comparison)

    @property
    def equal(self) -> bool:
        """Whether both cells have one value at every seed."""
        return self.comparison.difference == self.comparison.half_width == 0

    @property
    def shared(self) -> bool:
        """Whether that value is of a stage which they share."""
        return self.equal and one_training([self.a, self.b])


@dataclass(frozen=True, eq=False)
class Findings:
    """One metric's answer: its cells' estimates, the indices of those that may be best, and the pairs compared."""

    metric: ShownMetric
    cells: Sequence[CellRuns]
    estimates: Sequence[Estimate]
    leading: frozenset[int]
    pairs: Sequence[CellComparison]
    exploratory: bool

    @cached_property
    def ranked(self) -> list[int]:
        """The indices of the cells that have a value, the best first."""
        known = [i for i, estimate in enumerate(self.estimates) if estimate.known]
        return sorted(known, key=lambda i: -self.metric.sign * self.estimates[i].mean)

    @property
    def best(self) -> int | None:
        """The index of the best mean; None where no cell has one."""
        return self.ranked[0] if self.ranked else None

    @property
    def equal(self) -> bool:
        """Whether all cells have one value at every seed."""
        values = [self.estimates[i].values for i in self.ranked]
        return len(values) > 1 and all(one == values[0] for one in values)

    @property
    def shared(self) -> bool:
        """Whether that value is of a stage which nothing that the grid varies enters."""
        return self.equal and one_training([self.cells[i] for i in self.ranked])

    def noise(self) -> tuple[float, float]:
        """Typical standard deviations of a cell's value: between seeds, and what drawing samples alone adds to that.

        The second is nan for a metric that is not measured on several generated sets.
        """
        values = [list(estimate.values.values()) for estimate in self.estimates if len(estimate.values) > 1]
        seeds = [float(np.std(of_cell, ddof=1)) for of_cell in values]
        return _typical(seeds), _typical([self._sampling(cell) for cell in self.cells])

    def _sampling(self, cell: CellRuns) -> float:
        name = f"{self.metric.name}_set_sd"
        if name not in cell.runs or cell.runs[name].isna().all():
            return math.nan
        return sampling_noise(cell.runs[name].dropna().to_numpy(), int(cell.parameter("evaluation.sets")))


def findings(grid: GridResults, summary: Summary) -> list[Findings]:
    """The answer in each metric that decides, as grid.json says which do."""
    return [
        Findings(
            metric,
            summary.cells,
            summary.estimates[metric.name],
            frozenset(summary.leading[metric.name]),
            pairs(grid, metric, summary.cells),
            grid.meta.continued,
        )
        for metric in summary.metrics
        if metric.deciding and metric.name in grid.runs
    ]


def pairs(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[CellComparison]:
    """The comparisons of one metric that the grid asks for, adjusted together."""
    asked = [(a, b) for a, b in _asked(grid, cells) if a.estimate(metric.name).known and b.estimate(metric.name).known]
    found = [compared(grid, metric.name, a, b) for a, b in asked]
    adjusted = holm([comparison.p for comparison in found])
    return [CellComparison(metric, a, b, c, float(p)) for (a, b), c, p in zip(asked, found, adjusted, strict=True)]


def _asked(grid: GridResults, cells: Sequence[CellRuns]) -> list[tuple[CellRuns, CellRuns]]:
    if len(grid.meta.axes) == 1 and len(cells) <= EVERY_PAIR_UP_TO:
        return list(combinations(cells, 2))
    base = baseline(grid, cells)
    return [(cell, base) for cell in cells if cell is not base] if base is not None else []


def baseline(grid: GridResults, cells: Sequence[CellRuns]) -> CellRuns | None:
    """The cell that the grid names as its baseline, else the first; None where it has no finished run."""
    named = tuple(grid.meta.baseline.get(axis.name, "") for axis in grid.meta.axes)
    chosen = next((cell for cell in cells if cell.levels == named), cells[0])
    return chosen if (chosen.runs["status"] == "finished").any() else None


def _typical(deviations: Sequence[float]) -> float:
    """The root of the mean square of the standard deviations that are known."""
    known = [deviation for deviation in deviations if not math.isnan(deviation)]
    return math.sqrt(sum(deviation**2 for deviation in known) / len(known)) if known else math.nan
