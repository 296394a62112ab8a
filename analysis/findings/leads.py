"""Who leads where no verdict is due yet: the cell with the best mean, and by how much it is ahead of the next.

The lead is the paired difference of these two by itself, with the 95 % interval of its own. That they are the first two
of many makes it look larger than it is, which is why it is no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import contrast
from analysis.format.grid_json import ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.paired import Comparison, compare


@dataclass(frozen=True, eq=False)
class Lead:
    """By how much the first cell is `ahead` of the `second`, where that is above 0 on the metric's scale; None where
    there is no second, or no seed in common with it."""

    second: CellRuns | None = None
    ahead: Comparison | None = None


def lead_of(grid: GridResults, metric: ShownMetric, ranked: Sequence[CellRuns]) -> Lead:
    """The lead of the first of these cells, the best mean first."""
    if len(ranked) < 2:
        return Lead()
    first, second = ranked[:2]
    sign = float(metric.sign)
    values = contrast(grid, metric, [(sign, first), (-sign, second)])
    return Lead(second, compare(values, resolution=metric.resolution) if values.size else None)
