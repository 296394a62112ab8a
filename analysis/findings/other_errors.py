"""The errors of a metric that no cell's ± holds: of the draws that it is estimated by, and of the held-out images.

An estimate by draws has an error of its own, the images being given. It is beside the metric in runs.csv,
nll/test_draw_se beside nll/test. All trainings of a cell are scored by the same draws, so more seeds do not lessen it.

Other held-out images would move a metric of all cells alike, and so are in no cell's ± but in that of a difference
(`values`), as far as they move two cells differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from analysis.findings.cells import CellRuns
from analysis.findings.values import values_of
from analysis.format.grid_json import ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.paired import mean_interval

DRAW_ERROR = "_draw_se"
"""The ending of the metric's name in the column of its own error."""


@dataclass(frozen=True)
class DrawError:
    """The own error of a metric in the cells that have one: the largest of any run and its cell, and the median cell's
    largest."""

    metric: ShownMetric
    largest: float
    cell: CellRuns
    median: float


def draw_errors(cells: Sequence[CellRuns], metrics: Sequence[ShownMetric]) -> list[DrawError]:
    """The own errors of those metrics that have one in any cell."""
    errors = []
    for metric in metrics:
        values = [(cell, cell.estimate(f"{metric.name}{DRAW_ERROR}").values.values()) for cell in cells]
        largest = [(max(of_seeds), cell) for cell, of_seeds in values if of_seeds]
        if largest:
            error, cell = max(largest, key=lambda entry: entry[0])
            errors.append(DrawError(metric, error, cell, median(entry for entry, _ in largest)))
    return errors


@dataclass(frozen=True)
class HeldOutError:
    """The 95 % half-width that the choice of n held-out images gives a metric of the median cell."""

    metric: ShownMetric
    half_width: float
    n: int


def held_out_errors(grid: GridResults, cells: Sequence[CellRuns], metrics: Sequence[ShownMetric]) -> list[HeldOutError]:
    """The errors of those metrics whose value of each image is known."""
    errors = []
    for metric in metrics:
        measured = [cell for cell in cells if cell.estimate(metric.name).known] if metric.deciding else []
        each = [values_of(grid, replace(metric, scale="linear"), [cell]) for cell in measured]
        halves = [mean_interval(np.nanmean(values[0], axis=0))[1] for values in each if values.ndim == 3]
        if halves and math.isfinite(median(halves)):
            errors.append(HeldOutError(metric, median(halves), each[0].shape[-1]))
    return errors
