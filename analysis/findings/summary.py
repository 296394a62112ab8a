"""The summary of a grid that its table shows: each metric's estimates, the standing of cells, and the rounding.

Bold marks the best cells and those as good (`verdicts`), in the grid or in each of its rows; other cells that may be
the best have a mark of their own.

Two errors of a metric are part of no cell's ±. First, an estimate by random draws has an error even for given images.
It stands beside the metric in runs.csv, nll/test_draw_se beside nll/test. More seeds do not reduce it, since the same
draws score all trainings of a cell. Second, other held-out images would move a metric of all cells alike. The ± of a
difference (`values`) contains this, as far as it moves two cells differently.
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
from analysis.grid_json import Meta, ShownMetric
from analysis.labels import Rounding
from analysis.read.runs import GridResults
from analysis.schema import COUNTED, LIKELIHOOD
from analysis.statistics.paired import mean_interval

MOST = 3
"""The most metrics side by side."""
SPAN = 5.0
"""The ratio of the largest to the smallest mean above which a metric that decides is compared by its logarithm."""


def metrics_present(grid: GridResults) -> list[ShownMetric]:
    """The metrics of the grid that have a value, or all if none has, each with the scale and relevant difference of
    this grid. A log scale needs values above 0, and is used where the means of a deciding metric span a wide range."""
    present = [metric for metric in grid.meta.metrics if metric.name in grid.runs]
    return [_read_by(grid, metric) for metric in present or grid.meta.metrics]


def _read_by(grid: GridResults, metric: ShownMetric) -> ShownMetric:
    read = grid.meta.read_by(metric)
    if metric.name not in grid.runs:
        return read
    if (grid.runs[metric.name] <= 0).any():
        # A relative difference means nothing where values can be 0 or less.
        return replace(metric, scale="linear", relevant=None) if metric.scale == "log" else read
    if metric.scale == "log" or not metric.deciding or metric.resolution:
        return read
    least, most = range_of_means(grid, metric)
    if not spans_much(least, most):
        return read
    # The relevant difference becomes a share of the best cell's value, near which good cells differ.
    best = least if metric.sign < 0 else most
    return replace(read, scale="log", relevant=None if read.relevant is None else read.relevant / best)


def spans_much(least: float, most: float) -> bool:
    """True where a range of means is too wide for differences to be compared as they are; False where it is nan."""
    return most > SPAN * least


def range_of_means(grid: GridResults, metric: ShownMetric) -> tuple[float, float]:
    """The least and the largest mean of any cell, both nan where no cell has a value.

    With looks, only seeds of the first look count, so that the scale does not depend on later results.
    """
    seeds = grid.meta.first_look or grid.meta.seeds
    rows = grid.runs[grid.runs["status"].isin(COUNTED) & grid.runs["seed"].isin(seeds)]
    means = rows[np.isfinite(rows[metric.name])].groupby("cell_id")[metric.name].mean()
    return float(means.min()), float(means.max())


def deciding(metrics: Sequence[ShownMetric]) -> list[ShownMetric]:
    """The metrics that decide, likelihoods first."""
    return sorted((metric for metric in metrics if metric.deciding), key=lambda metric: metric.decides != LIKELIHOOD)


def chosen(metrics: Sequence[ShownMetric]) -> list[ShownMetric]:
    """The deciding metrics, three at most; or the first two metrics of all if fewer than two decide."""
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
        """The summary of `cells` in `metrics`, given the standing and the marks in each metric."""
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
        """The summary with only these metrics, in this order."""
        return replace(self, metrics=metrics)


DRAW_ERROR = "_draw_se"  # ends the name of the column with a metric's error from random draws


@dataclass(frozen=True)
class DrawError:
    """The error of a metric from random draws: the `largest` of any run, its cell, and the `median` of all cells'."""

    metric: ShownMetric
    largest: float
    cell: CellRuns
    median: float


def draw_errors(cells: Sequence[CellRuns], metrics: Sequence[ShownMetric]) -> list[DrawError]:
    """The errors from random draws of the metrics for which any cell has one."""
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
    """The 95 % half-width that the choice of `n` held-out images gives a metric; that of the median cell."""

    metric: ShownMetric
    half_width: float
    n: int


def held_out_errors(grid: GridResults, cells: Sequence[CellRuns], metrics: Sequence[ShownMetric]) -> list[HeldOutError]:
    """The errors from the choice of held-out images of the deciding metrics with values per image."""
    errors = []
    for metric in metrics:
        measured = [cell for cell in cells if cell.estimate(metric.name).known] if metric.deciding else []
        each = [values_of(grid, replace(metric, scale="linear"), [cell]) for cell in measured]
        halves = [mean_interval(np.nanmean(values[0], axis=0))[1] for values in each if values.ndim == 3]
        if halves and math.isfinite(median(halves)):
            errors.append(HeldOutError(metric, median(halves), each[0].shape[-1]))
    return errors
