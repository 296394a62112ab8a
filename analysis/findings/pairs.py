"""The comparisons of one metric that a grid asks for, judged together as one family (`statistics.families`), and where
its cells stand by them.

    primaries declared      these get 80 % of the error rate, and what follows the rest
    one axis, few levels    every level against every other
    else                    every cell against the baseline: that of its row, where comparisons are within rows

Where seeds were added while one looked, they are those that it declares, judged look by look (`sequential`). In a
preliminary round none of them is judged: who leads is the cell with the best mean, by the paired difference to the next
alone. That these are the first two of many makes it look larger than it is, which is why it is no verdict.

One rule, for whatever a page says: a cell is beaten where the list of comparisons says so, or where another is shown to
be better among all pairs. What is not beaten may be the best (`places`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import TOLD_APART, CellComparison, Lead, Pair, Standing
from analysis.findings.sequential import declared_pairs, order_by_looks, pairs_by_looks
from analysis.findings.values import contrast, paired, values_of
from analysis.format.grid_json import ShownMetric
from analysis.format.primary import with_base
from analysis.read.runs import GridResults
from analysis.statistics.families import Open, beaten_by, judge, near_best
from analysis.statistics.paired import compare

EVERY_PAIR_UP_TO = 6
"""Levels of a grid's only axis up to which each is compared with each."""


def pairs(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[CellComparison]:
    """The comparisons of one metric that the grid asks for, those that it declares first."""
    if grid.meta.auto is not None:
        return pairs_by_looks(grid, grid.meta.auto, metric, cells)
    both_known = [asked for asked in _asked(grid, cells) if all(cell.estimate(metric.name).known for cell in asked[:2])]
    tried = [(paired(grid, metric, a, b), a, b, primary) for a, b, primary in both_known]
    tried = [pair for pair in tried if pair[0].size]
    if grid.meta.preliminary:
        opened = (Open(compare(differences, resolution=metric.resolution)) for differences, *_ in tried)
        return [
            CellComparison(metric, a, b, decision, len(tried), primary)
            for (_, a, b, primary), decision in zip(tried, opened, strict=True)
        ]
    decisions = judge(
        [differences for differences, *_ in tried],
        margins=metric.margin,
        resolution=metric.resolution,
        primary=[primary for *_, primary in tried],
    )
    family = len({(each.found.difference, each.found.spread) for each in decisions if not math.isnan(each.found.p)})
    return [
        CellComparison(metric, a, b, decision, max(family, 1), primary)
        for (_, a, b, primary), decision in zip(tried, decisions, strict=True)
    ]


def unmeasured(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[Pair]:
    """The declared comparisons of which a cell has no value, or no seed in common with the other."""
    if not grid.meta.primary:
        return []
    return [pair for pair in declared_pairs(grid.meta, cells) if not paired(grid, metric, *pair).size]


def _asked(grid: GridResults, cells: Sequence[CellRuns]) -> list[tuple[CellRuns, CellRuns, bool]]:
    """The pairs, and whether the grid declares each; all are declared where none is."""
    declared = declared_pairs(grid.meta, cells) if grid.meta.primary else []
    if len(grid.meta.axes) == 1 and len(cells) <= EVERY_PAIR_UP_TO:
        others = list(combinations(cells, 2))
    else:
        levels = {i: cell.levels_of(grid.meta.axes) for i, cell in enumerate(cells)}
        others = [(cells[i], cells[base]) for i, base in with_base(levels, grid.meta.baseline, grid.meta.rows)]
    seen = [{id(a), id(b)} for a, b in declared]
    rest = [(a, b, not declared) for a, b in others if {id(a), id(b)} not in seen]
    return [*((a, b, True) for a, b in declared), *rest]


def standing(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> Standing:
    """The standing of cells in a metric."""
    measured = [cell for cell in cells if cell.estimate(metric.name).known]
    several = metric.deciding and len(measured) > 1
    return within(grid, metric, cells, pairs(grid, metric, cells) if several else [])


def within(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns], asked: Sequence[CellComparison]
) -> Standing:
    """The standing of these cells among each other: by those comparisons of them that were asked for, and by all pairs
    of them."""
    here = {id(cell) for cell in cells}
    asked = [pair for pair in asked if {id(pair.a), id(pair.b)} <= here]
    measured = [i for i, cell in enumerate(cells) if cell.estimate(metric.name).known]
    beaten: list[frozenset[int] | None] = [None] * len(cells)
    if metric.sign == 0 or len(measured) < 2 or grid.meta.preliminary:
        return Standing(asked, beaten)
    compared, near = _order(grid, metric, [cells[i] for i in measured])
    for i, rivals in zip(measured, compared, strict=True):
        beaten[i] = None if rivals is None else frozenset(measured[j] for j in rivals)
    alike: dict[tuple[tuple[int, float], ...], list[int]] = defaultdict(list)
    for i in measured:
        alike[_values(metric, cells[i])].append(i)
    for pair in asked:
        if pair.verdict in TOLD_APART:
            better, worse = (pair.a, pair.b) if pair.verdict == "better" else (pair.b, pair.a)
            # Cells with equal values are one, in the list as among all pairs.
            for i in alike[_values(metric, worse)]:
                beaten[i] = (beaten[i] or frozenset()) | set(alike[_values(metric, better)])
    return Standing(asked, beaten, frozenset(i for i, kept in zip(measured, near, strict=True) if kept))


def _values(metric: ShownMetric, cell: CellRuns) -> tuple[tuple[int, float], ...]:
    return tuple(sorted(cell.estimate(metric.name).values.items()))


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
