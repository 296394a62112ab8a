"""What a table shows of a grid: per metric its cells' estimates, which of them may be the best, and how to round.

Bold are the best mean and all that the data do not rule out as the best (`statistics.may_be_best`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import compared
from analysis.notation import Rounding
from analysis.read.meta import Meta, ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.paired import may_be_best


def leaders(grid: GridResults, metric: ShownMetric, cells: list[CellRuns], estimates: list[Estimate]) -> set[int]:
    """Which cells may be the best; none where nothing is better as such, or there is nothing to compare."""
    ranked = [i for i, estimate in enumerate(estimates) if estimate.known]
    if metric.sign == 0 or len(ranked) < 2 or len(grid.meta.seeds) < 2:
        return set()
    best = max(ranked, key=lambda i: metric.sign * estimates[i].mean)
    against = [None if i == best else compared(grid, metric.name, cells[i], cells[best]) for i in ranked]
    return {i for i, kept in zip(ranked, may_be_best(against, metric.sign), strict=True) if kept}


def metrics_present(grid: GridResults) -> list[ShownMetric]:
    """The grid's metrics of which any value is known, or all of them where none is."""
    present = [metric for metric in grid.meta.metrics if metric.name in grid.runs]
    return present or list(grid.meta.metrics)


def known_values(meta: Meta, metric: ShownMetric) -> dict[str, float]:
    """Label → a value of a metric known beforehand: of a code without a network, then of held-out data."""
    known = [*meta.baselines.get(metric.name, ()), *([meta.floors[metric.name]] if metric.name in meta.floors else [])]
    return {one.label: one.value for one in known}


def references(meta: Meta, metrics: Sequence[ShownMetric]) -> dict[str, dict[str, float]]:
    """Label → metric → a value known beforehand."""
    by_label: dict[str, dict[str, float]] = {}
    for metric in metrics:
        for label, value in known_values(meta, metric).items():
            by_label.setdefault(label, {})[metric.name] = value
    return by_label


@dataclass(frozen=True, eq=False)
class Summary:
    """A grid's cells and, per metric, their estimates, leaders and rounding."""

    cells: list[CellRuns]
    metrics: list[ShownMetric]
    estimates: dict[str, list[Estimate]]
    leading: dict[str, set[int]]
    rounding: dict[str, Rounding]

    @staticmethod
    def of(grid: GridResults, cells: list[CellRuns], metrics: list[ShownMetric]) -> Summary:
        """Everything that the table shows of our runs."""
        estimates = {metric.name: [cell.estimate(metric.name) for cell in cells] for metric in metrics}
        leading = {metric.name: leaders(grid, metric, cells, estimates[metric.name]) for metric in metrics}
        halves = {name: [estimate.half_width for estimate in found] for name, found in estimates.items()}
        rounding = {
            metric.name: Rounding(metric.decimals, counted=True)
            if metric.kind == "cost"
            else Rounding.of(metric.decimals, halves[metric.name])
            for metric in metrics
        }
        return Summary(cells, metrics, estimates, leading, rounding)

    def showing(self, metrics: list[ShownMetric]) -> Summary:
        """The same of some of its metrics, in this order."""
        return replace(self, metrics=metrics)
