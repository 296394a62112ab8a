"""The comparisons of one metric that a grid asks for, judged together as one family (`statistics.families`).

    primaries declared      these get 80 % of the error rate, and what follows the rest
    one axis, few levels    every level against every other
    else                    every cell against the baseline

Where seeds were added while one looked, they are those that it declares, judged look by look (`statistics.looks`). In
a preliminary round none of them is judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import Array, paired
from analysis.format.grid_json import Auto, Meta, ShownMetric
from analysis.format.names import COUNTED
from analysis.read.runs import GridResults
from analysis.statistics.families import ALPHA, Decision, Open, Verdict, judge
from analysis.statistics.looks import Looked, Looks, follow
from analysis.statistics.paired import Comparison, compare, fresh_seeds

EVERY_PAIR_UP_TO = 6
"""Levels of a grid's only axis up to which each is compared with each."""

Pair = tuple[CellRuns, CellRuns]


@dataclass(frozen=True, eq=False)
class CellComparison:
    """Cell a against cell b in one metric, on the metric's scale; `decision` is that of a family of so many hypotheses.

    It is `primary` where the grid declares it, or declares none.
    """

    metric: ShownMetric
    a: CellRuns
    b: CellRuns
    decision: Decision | Looked | Open
    family: int
    primary: bool

    @property
    def sequential(self) -> Looked | None:
        """What the looks say of it; None where the number of seeds was fixed."""
        return self.decision if isinstance(self.decision, Looked) else None

    @property
    def comparison(self) -> Comparison:
        """The difference by itself; where seeds were added while one looked, its interval holds at all looks."""
        if self.sequential is not None:
            return replace(self.sequential.found, half_width=self.sequential.half_width)
        return self.decision.found

    @property
    def adjusted(self) -> float:
        """The adjusted p of what the verdict says: that both are equal for practical purposes, or else that they
        differ; nan where it was decided by looks, or is not decided."""
        if not isinstance(self.decision, Decision):
            return math.nan
        return self.decision.equal if self.verdict == "equal" else self.decision.different

    @property
    def verdict(self) -> Verdict:
        """Verdict on cell a relative to b."""
        return self.decision.verdict(self.metric.sign)

    @cached_property
    def fresh_seeds(self) -> int | None:
        """How many new seeds, alone, would tell the difference as it looks, at an even share of the error rate; None
        where no affordable number would, where the looks say how many were worth it, and where the plan has more."""
        if not isinstance(self.decision, Decision):
            return None
        return fresh_seeds(self.comparison, level=1 - ALPHA / self.family)

    @property
    def same(self) -> bool:
        """Whether both cells have one value at every seed."""
        return self.comparison.difference == self.comparison.half_width == 0

    @property
    def shared(self) -> bool:
        """Whether that value is of a stage which they share."""
        return self.same and one_training([self.a, self.b])


def pairs(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[CellComparison]:
    """The comparisons of one metric that the grid asks for, those that it declares first."""
    if grid.meta.auto is not None:
        return _by_looks(grid, grid.meta.auto, metric, cells)
    asked = [one for one in _asked(grid, cells) if all(cell.estimate(metric.name).known for cell in one[:2])]
    known = [(paired(grid, metric, a, b), a, b, primary) for a, b, primary in asked]
    known = [one for one in known if one[0].size]
    if grid.meta.preliminary:
        opened = (Open(compare(differences, resolution=metric.resolution)) for differences, *_ in known)
        return [
            CellComparison(metric, a, b, one, len(known), primary)
            for (_, a, b, primary), one in zip(known, opened, strict=True)
        ]
    decisions = judge(
        [differences for differences, *_ in known],
        margins=metric.margin,
        resolution=metric.resolution,
        primary=[primary for *_, primary in known],
    )
    family = len({(one.found.difference, one.found.spread) for one in decisions if not math.isnan(one.found.p)})
    return [
        CellComparison(metric, a, b, decision, max(family, 1), primary)
        for (_, a, b, primary), decision in zip(known, decisions, strict=True)
    ]


def _by_looks(grid: GridResults, auto: Auto, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[CellComparison]:
    """The declared comparisons after the looks that were taken, each over the seeds that both cells have."""
    declared = [pair for pair in _declared(grid.meta, cells) if all(cell.cell_id in auto.stopped for cell in pair)]

    def first(n: int) -> list[Array | None]:
        taken = [min(auto.stopped[cell.cell_id] for cell in pair) >= n for pair in declared]
        seeds = grid.meta.seeds[:n]
        return [
            paired(grid, metric, a, b, seeds) if there else None for (a, b), there in zip(declared, taken, strict=True)
        ]

    plan = Looks(auto.looks)
    found = follow(plan, len(declared), first, margins=metric.margin, resolution=metric.resolution)
    return [
        CellComparison(metric, a, b, one, len(declared), True)
        for (a, b), one in zip(declared, found, strict=True)
        if one.found.n
    ]


def unmeasured(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[Pair]:
    """The declared comparisons of which a cell has no value, or no seed in common with the other."""
    if not grid.meta.primary:
        return []
    return [pair for pair in _declared(grid.meta, cells) if not paired(grid, metric, *pair).size]


def _asked(grid: GridResults, cells: Sequence[CellRuns]) -> list[tuple[CellRuns, CellRuns, bool]]:
    """The pairs, and whether the grid declares each; all are declared where none is."""
    declared = _declared(grid.meta, cells) if grid.meta.primary else []
    if len(grid.meta.axes) == 1 and len(cells) <= EVERY_PAIR_UP_TO:
        others = list(combinations(cells, 2))
    else:
        base = baseline(grid, cells)
        others = [(cell, base) for cell in cells if cell is not base] if base is not None else []
    seen = [{id(a), id(b)} for a, b in declared]
    rest = [(a, b, not declared) for a, b in others if {id(a), id(b)} not in seen]
    return [*((a, b, True) for a, b in declared), *rest]


def _declared(meta: Meta, cells: Sequence[CellRuns]) -> list[Pair]:
    """The comparisons that the grid declares, of cells that were run."""
    by_id = {cell.cell_id: cell for cell in cells}
    return [(by_id[a], by_id[b]) for a, b in meta.declared if a in by_id and b in by_id]


def at_levels(meta: Meta, cells: Sequence[CellRuns], levels: Mapping[str, str]) -> CellRuns | None:
    """The cell at these levels; None where it was not run."""
    wanted = tuple(levels.get(axis.name, "") for axis in meta.axes)
    return next((cell for cell in cells if cell.levels == wanted), None)


def baseline(grid: GridResults, cells: Sequence[CellRuns]) -> CellRuns | None:
    """The cell that the grid names as its baseline, else the first; None where it has no finished run."""
    chosen = at_levels(grid.meta, cells, grid.meta.baseline) or cells[0]
    return chosen if chosen.runs["status"].isin(COUNTED).any() else None


def one_training(cells: Sequence[CellRuns]) -> bool:
    """Whether cells share a training at every seed."""
    trainings = [dict(zip(cell.runs["seed"], cell.runs["training_id"], strict=True)) for cell in cells]
    return all(one == trainings[0] for one in trainings)
