"""The sequential test of a grid with `seeds=auto`; its rule is in `statistics.looks`.

The declared comparisons are judged look by look, each over the seeds that both cells have. The same looks also decide,
among all pairs, which cells are shown to be better.
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import CellComparison, Pair
from analysis.findings.values import Array, paired, seeds_of, values_of
from analysis.grid_json import Auto, Meta, ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics import looks


def pairs_by_looks(
    grid: GridResults, auto: Auto, metric: ShownMetric, cells: Sequence[CellRuns]
) -> list[CellComparison]:
    """The declared comparisons of cells that share a seed, after the looks that were taken."""
    decisions = followed(grid, auto, metric, cells)
    comparisons = [CellComparison(metric, a, b, decision, True) for (a, b), decision in decisions]
    return [comparison for comparison in comparisons if comparison.comparison.n]


def followed(
    grid: GridResults, auto: Auto, metric: ShownMetric, cells: Sequence[CellRuns]
) -> list[tuple[Pair, looks.Looked]]:
    """The declared comparisons after the looks that were taken, each over the seeds that both cells have."""
    declared = [pair for pair in declared_pairs(grid.meta, cells) if all(cell.cell_id in auto.stopped for cell in pair)]

    def first(n: int) -> list[Array | None]:
        reached = [min(auto.stopped[cell.cell_id] for cell in pair) >= n for pair in declared]
        seeds = grid.meta.seeds[:n]
        return [
            paired(grid, metric, a, b, seeds) if there else None
            for (a, b), there in zip(declared, reached, strict=True)
        ]

    plan = looks.Looks(auto.looks)
    decisions = looks.follow(plan, len(declared), first, margins=metric.margin, resolution=metric.resolution)
    return list(zip(declared, decisions, strict=True))


def order_by_looks(
    grid: GridResults, auto: Auto, metric: ShownMetric, cells: Sequence[CellRuns], margin: float
) -> tuple[list[frozenset[int] | None], list[bool]]:
    """A set per cell, of the cells that are shown to be better, and a flag per cell that the best is hardly better than
    it; both from all pairs alone."""
    declared = {cell for pair in grid.meta.declared for cell in pair}
    seeds = seeds_of(grid, metric, cells)
    record = looks.Taken(
        looks.Looks(auto.looks),
        values_of(grid, metric, cells),
        [auto.stopped.get(cell.cell_id, auto.looks[0]) for cell in cells],
        [cell.cell_id in declared for cell in cells],
        {n: sum(seed in grid.meta.seeds[:n] for seed in seeds) for n in auto.looks},
    )
    sign, resolution = metric.sign, metric.resolution
    return looks.beaten_by(record, sign, resolution), looks.near_best(record, sign, margin, resolution)


def declared_pairs(meta: Meta, cells: Sequence[CellRuns]) -> list[Pair]:
    """The comparisons that the grid declares, of cells that were run."""
    by_id = {cell.cell_id: cell for cell in cells}
    return [(by_id[a], by_id[b]) for a, b in meta.declared if a in by_id and b in by_id]
