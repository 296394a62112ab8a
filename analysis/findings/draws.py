"""The own error of a metric that is an estimate by draws: of the draws alone, the images being given.

It is beside the metric in runs.csv, nll/test_draw_se beside nll/test. All trainings of a
cell are scored by the same draws, so more seeds do not lessen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from analysis.findings.cells import CellRuns
from analysis.format.grid_json import ShownMetric

DRAW_ERROR = "_draw_se"
"""What follows the metric's name in the column of its own error."""


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
    found = []
    for metric in metrics:
        values = [(cell, cell.estimate(f"{metric.name}{DRAW_ERROR}").values.values()) for cell in cells]
        largest = [(max(of_seeds), cell) for cell, of_seeds in values if of_seeds]
        if largest:
            error, cell = max(largest, key=lambda known: known[0])
            found.append(DrawError(metric, error, cell, median(known for known, _ in largest)))
    return found
