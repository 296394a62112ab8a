"""Where the cells of a grid stand in one metric: the comparisons asked for, and which cells are shown to be better.

One rule, for whatever a page says: a cell is beaten where the list of comparisons says so, or where another is shown to
be better among all pairs (`statistics.families`). What is not beaten may be the best, and is bold. A preliminary round
tests nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import values_of
from analysis.findings.pairs import CellComparison, pairs
from analysis.format.grid_json import ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics import families, looks


@dataclass(frozen=True, eq=False)
class Standing:
    """The comparisons of a metric, and the cells that are shown to be better than each: None where nothing was tested,
    for want of two seeds, of a value, or of a better end. `near` are the cells than which the best is shown to be
    better by no more than the difference that matters."""

    pairs: Sequence[CellComparison]
    beaten: Sequence[frozenset[int] | None]
    near: frozenset[int] = frozenset()

    @property
    def leading(self) -> frozenset[int]:
        """The cells that may be the best."""
        return frozenset(i for i, found in enumerate(self.beaten) if found is not None and not found)


def standing(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> Standing:
    """Where cells stand in a metric."""
    known = [i for i, cell in enumerate(cells) if cell.estimate(metric.name).known]
    beaten: list[frozenset[int] | None] = [None] * len(cells)
    if metric.sign == 0 or len(known) < 2:
        return Standing((), beaten)
    asked = pairs(grid, metric, cells) if metric.deciding else []
    if grid.meta.preliminary:
        return Standing(asked, beaten)
    compared, near = _order(grid, metric, [cells[i] for i in known])
    for i, rivals in zip(known, compared, strict=True):
        beaten[i] = None if rivals is None else frozenset(known[j] for j in rivals)
    alike: dict[tuple[tuple[int, float], ...], list[int]] = defaultdict(list)
    for i in known:
        alike[_values(metric, cells[i])].append(i)
    for pair in asked:
        if pair.verdict in ("better", "worse"):
            better, worse = (pair.a, pair.b) if pair.verdict == "better" else (pair.b, pair.a)
            # Cells with equal values are one, in the list as among all pairs.
            for i in alike[_values(metric, worse)]:
                beaten[i] = (beaten[i] or frozenset()) | set(alike[_values(metric, better)])
    return Standing(asked, beaten, frozenset(i for i, kept in zip(known, near, strict=True) if kept))


def _values(metric: ShownMetric, cell: CellRuns) -> tuple[tuple[int, float], ...]:
    return tuple(sorted(cell.estimate(metric.name).values.items()))


def _order(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]
) -> tuple[list[frozenset[int] | None], list[bool]]:
    """Which cells are shown to be better than each, and than which the best is hardly better, by all pairs alone."""
    values, auto = values_of(grid, metric, cells), grid.meta.auto
    sign, resolution = metric.sign, metric.resolution
    margin = metric.margin if metric.deciding else math.nan
    if auto is None:
        near = families.near_best(values, sign, margin, resolution)
        return families.beaten_by(values, sign, resolution), near
    declared = {cell for pair in grid.meta.declared for cell in pair}
    taken = looks.Taken(
        looks.Looks(auto.looks),
        values,
        [auto.stopped.get(cell.cell_id, auto.looks[0]) for cell in cells],
        [cell.cell_id in declared for cell in cells],
    )
    return looks.beaten_by(taken, sign, resolution), looks.near_best(taken, sign, margin, resolution)
