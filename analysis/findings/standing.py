"""Where the cells of a grid stand in a metric, and who leads where no verdict is due yet.

One rule, for whatever a page says: a cell is beaten where the list of comparisons says so (`family`), or where another
is shown to be better among all pairs. What is not beaten may be the best (`places`).

In a preliminary round who leads is the cell with the best mean, by the paired difference to the next alone. That these
are the first two of many makes it look larger than it is, which is why it is no verdict.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import TOLD_APART, CellComparison, Lead, Standing
from analysis.findings.kinds import held_against_all
from analysis.findings.sequential import order_by_looks
from analysis.findings.values import contrast, values_of
from analysis.format.grid_json import ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.families import beaten_by, near_best
from analysis.statistics.paired import compare


def standing(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns], listed: Sequence[CellComparison]
) -> Standing:
    """The standing of these cells among each other: by those comparisons of them that were asked for, and by all pairs
    of them."""
    here = {id(cell) for cell in cells}
    listed = [pair for pair in listed if {id(pair.a), id(pair.b)} <= here]
    measured = [i for i, cell in enumerate(cells) if cell.estimate(metric.name).known]
    beaten: list[frozenset[int] | None] = [None] * len(cells)
    if metric.sign == 0 or len(measured) < 2 or grid.meta.preliminary:
        return Standing(listed, beaten)
    compared, near = _order(grid, metric, [cells[i] for i in measured])
    held = held_against_all([cells[i] for i in measured], metric.name)
    for i, rivals in zip(measured, compared, strict=True):
        beaten[i] = None if rivals is None else frozenset(measured[j] for j in rivals)
    alike: dict[tuple[tuple[int, float], ...], list[int]] = defaultdict(list)
    for i in measured:
        alike[cells[i].estimate(metric.name).by_seed].append(i)
    for pair in listed:
        if pair.verdict in TOLD_APART:
            better, worse = (pair.a, pair.b) if pair.verdict == "better" else (pair.b, pair.a)
            # Cells with equal values are one, in the list as among all pairs.
            for i in alike[worse.estimate(metric.name).by_seed]:
                beaten[i] = (beaten[i] or frozenset()) | set(alike[better.estimate(metric.name).by_seed])
    near_all = (i for i, *kept in zip(measured, near, held, strict=True) if all(kept))
    return Standing(listed, beaten, frozenset(near_all))


def _order(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]
) -> tuple[list[frozenset[int] | None], list[bool]]:
    """The cells that are shown to be better than each, and than which the best is hardly better, by all pairs alone."""
    margin = metric.margin if metric.deciding else math.nan
    if grid.meta.auto is not None:
        return order_by_looks(grid, grid.meta.auto, metric, cells, margin)
    values, sign, resolution = values_of(grid, metric, cells), metric.sign, metric.resolution
    return beaten_by(values, sign, resolution), near_best(values, sign, margin, resolution)


def lead_of(grid: GridResults, metric: ShownMetric, ranked: Sequence[CellRuns]) -> Lead:
    """The lead of the first of these cells, the best mean first."""
    if len(ranked) < 2:
        return Lead()
    first, second = ranked[:2]
    sign = float(metric.sign)
    values = contrast(grid, metric, [(sign, first), (-sign, second)])
    return Lead(second, compare(values, resolution=metric.resolution) if values.size else None)
