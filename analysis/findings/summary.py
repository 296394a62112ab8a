"""The summary of a grid that its table shows: per metric its cells' estimates, where they stand, and how to round.

Bold are the best and what is as good (`places`), of a grid or of each of its rows; of the others, those that may be
the best are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import Standing
from analysis.findings.places import Mark
from analysis.format.grid_json import Meta, ShownMetric
from analysis.format.names import LIKELIHOOD
from analysis.format.notation import Rounding
from analysis.read.runs import GridResults

MOST = 3
"""Metrics side by side."""


def metrics_present(grid: GridResults) -> list[ShownMetric]:
    """The grid's metrics of which any value is known, or all of them where none is, as the grid reads them: a log scale
    is for values that all are above 0, and the grid may name the smallest difference that matters."""
    present = [metric for metric in grid.meta.metrics if metric.name in grid.runs]
    return [_read_by(grid, metric) for metric in present or grid.meta.metrics]


def _read_by(grid: GridResults, metric: ShownMetric) -> ShownMetric:
    if metric.scale == "log" and metric.name in grid.runs and (grid.runs[metric.name] <= 0).any():
        # A share of a value that can be 0 or less says nothing.
        return replace(metric, scale="linear", relevant=None)
    return grid.meta.read_by(metric)


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
        cells: list[CellRuns],
        metrics: list[ShownMetric],
        standing: dict[str, Standing],
        marks: dict[str, list[Mark]],
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
