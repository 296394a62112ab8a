"""What other held-out images would change: they move a metric of all cells alike, and so are in no cell's ± but in that
of a difference (`comparisons`), as far as they move two cells differently."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import values_of
from analysis.format.grid_json import ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.paired import mean_interval


@dataclass(frozen=True)
class HeldOutError:
    """The 95 % half-width that the choice of n held-out images gives a metric of the median cell."""

    metric: ShownMetric
    half_width: float
    n: int


def held_out_errors(grid: GridResults, cells: Sequence[CellRuns], metrics: Sequence[ShownMetric]) -> list[HeldOutError]:
    """The errors of those metrics whose value of each image is known."""
    found = []
    for metric in metrics:
        known = [cell for cell in cells if cell.estimate(metric.name).known] if metric.deciding else []
        each = [values_of(grid, metric, [cell]) for cell in known]
        halves = [mean_interval(np.nanmean(one[0], axis=0))[1] for one in each if one.ndim == 3]
        if halves and math.isfinite(median(halves)):
            found.append(HeldOutError(metric, median(halves), each[0].shape[-1]))
    return found
