"""The summary of a grid that its table shows: per metric its cells' estimates, where they stand, and how to round. Bold
are the best and what is as good (`verdicts`), of a grid or of each of its rows; of the others, those that may be the
best are marked.

Two errors of a metric are in no cell's ±. An estimate by draws has one of its own, the images being given: it is beside
the metric in runs.csv, nll/test_draw_se beside nll/test, and no less with more seeds, since all trainings of a cell are
scored by the same draws. And other held-out images would move a metric of all cells alike: that is in the ± of a
difference (`values`), as far as they move two cells differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import Standing
from analysis.findings.values import values_of
from analysis.findings.verdicts import Mark
from analysis.format.grid_json import Meta, ShownMetric
from analysis.format.names import COUNTED, LIKELIHOOD
from analysis.format.notation import Rounding
from analysis.read.runs import GridResults
from analysis.statistics.paired import mean_interval

MOST = 3
"""Metrics side by side."""
SPAN = 5.0
"""The ratio of the largest to the smallest mean above which a metric that decides is compared by its logarithm."""


def metrics_present(grid: GridResults) -> list[ShownMetric]:
    """The grid's metrics of which any value is known, or all of them where none is, as the grid reads them: a log scale
    is for values that all are above 0, and needed where they span a wide range; and the grid may name the smallest
    difference that matters."""
    present = [metric for metric in grid.meta.metrics if metric.name in grid.runs]
    return [_read_by(grid, metric) for metric in present or grid.meta.metrics]


def _read_by(grid: GridResults, metric: ShownMetric) -> ShownMetric:
    read = grid.meta.read_by(metric)
    if metric.name not in grid.runs:
        return read
    if (grid.runs[metric.name] <= 0).any():
        # A share of a value that can be 0 or less says nothing.
        return replace(metric, scale="linear", relevant=None) if metric.scale == "log" else read
    if metric.scale == "log" or not metric.deciding or metric.resolution:
        return read
    least, most = range_of_means(grid, metric)
    if not spans_much(least, most):
        return read
    # What matters of the best cell's value is what the differences among good cells are held to.
    best = least if metric.sign < 0 else most
    return replace(read, scale="log", relevant=None if read.relevant is None else read.relevant / best)


def spans_much(least: float, most: float) -> bool:
    """True where a range of means is too wide for differences to be compared as they are; False where it is nan."""
    return most > SPAN * least


def range_of_means(grid: GridResults, metric: ShownMetric) -> tuple[float, float]:
    """The least and the largest mean of any cell, both nan where no cell has a value.

    Where seeds were added while one looked, of the first look's alone: the scale does not depend on what is seen.
    """
    seeds = grid.meta.first_look or grid.meta.seeds
    rows = grid.runs[grid.runs["status"].isin(COUNTED) & grid.runs["seed"].isin(seeds)]
    means = rows[np.isfinite(rows[metric.name])].groupby("cell_id")[metric.name].mean()
    return float(means.min()), float(means.max())


def deciding(metrics: Sequence[ShownMetric]) -> list[ShownMetric]:
    """The metrics that decide, likelihoods first."""
    return sorted((metric for metric in metrics if metric.deciding), key=lambda metric: metric.decides != LIKELIHOOD)


def chosen(metrics: Sequence[ShownMetric]) -> list[ShownMetric]:
    """The metrics that decide, three at most, or the first two of all where there are not two of these."""
    first = deciding(metrics)[:MOST]
    return first if len(first) > 1 else list(metrics[:2])


def known_values(meta: Meta, metric: ShownMetric) -> dict[str, float]:
    """Label → a value of a metric known beforehand: of a code without a network, then of held-out data."""
    values = [*meta.baselines.get(metric.name, ()), *([meta.floors[metric.name]] if metric.name in meta.floors else [])]
    return {value.label: value.value for value in values}


def references(meta: Meta, metrics: Sequence[ShownMetric]) -> dict[str, dict[str, float]]:
    """Label → metric → a value known beforehand."""
    by_label: dict[str, dict[str, float]] = {}
    for metric in metrics:
        for label, value in known_values(meta, metric).items():
            by_label.setdefault(label, {})[metric.name] = value
    return by_label


@dataclass(frozen=True, eq=False)
class Summary:
    """A grid's cells and, per metric, their estimates, standing, rounding, and how a table marks each."""

    cells: list[CellRuns]
    metrics: list[ShownMetric]
    estimates: dict[str, list[Estimate]]
    standing: dict[str, Standing]
    rounding: dict[str, Rounding]
    marks: dict[str, list[Mark]]

    @staticmethod
    def of(
        cells: list[CellRuns], metrics: list[ShownMetric], standing: dict[str, Standing], marks: dict[str, list[Mark]]
    ) -> Summary:
        """All that the table shows of our runs, which stand so in each metric, and are marked so."""
        estimates = {metric.name: [cell.estimate(metric.name) for cell in cells] for metric in metrics}
        halves = {name: [estimate.half_width for estimate in of_cells] for name, of_cells in estimates.items()}
        rounding = {
            metric.name: Rounding(metric.decimals, counted=True)
            if metric.kind == "cost"
            else Rounding.of(metric.decimals, halves[metric.name])
            for metric in metrics
        }
        return Summary(cells, metrics, estimates, standing, rounding, marks)

    def showing(self, metrics: list[ShownMetric]) -> Summary:
        """The same of some of its metrics, in this order."""
        return replace(self, metrics=metrics)


DRAW_ERROR = "_draw_se"  # the ending of the metric's name in the column of its own error


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
