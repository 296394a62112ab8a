"""The comparisons that a grid asks for in one metric, judged with papers' claims as one family (`statistics.families`).

    primaries declared      they and the claims get 80 % of the error rate, the comparisons that follow the rest
    one axis, few levels    every level against every other
    else                    every cell against the baseline, or its row's where comparisons are within rows

With looks, these are the declared comparisons, judged look by look (`sequential`). A preliminary round judges none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from analysis.findings.cells import CellRuns
from analysis.findings.claims import Claim
from analysis.findings.comparisons import TOLD_APART, CellComparison, Pair
from analysis.findings.sequential import declared_pairs, pairs_by_looks
from analysis.findings.values import Array, paired
from analysis.grid_json import ShownMetric
from analysis.primary import with_base
from analysis.read.runs import GridResults
from analysis.statistics.families import ALPHA, Decision, Open, judge
from analysis.statistics.paired import compare
from analysis.statistics.prospects import Prospects

EVERY_PAIR_UP_TO = 6
"""The most cells of a grid with one axis for which every pair is compared."""
_Tried = tuple[Array, CellRuns, CellRuns, bool]
"""The differences of two cells, the cells, and a flag for a comparison that the grid declares."""


@dataclass(frozen=True, eq=False)
class JudgedClaim:
    """A claim with the `decision` on it, None where looks decide; `listed` is the comparison of its cells, if any."""

    claim: Claim
    decision: Decision | None
    listed: CellComparison | None

    @property
    def tells_apart(self) -> bool:
        """True where the claim's two sides are shown to differ, and not by so little that it does not matter."""
        if self.listed is not None and (not self.claim.of_equality or self.listed.verdict in TOLD_APART):
            return self.listed.verdict in TOLD_APART
        return self.decision is not None and self.decision.different <= ALPHA


@dataclass(frozen=True, eq=False)
class Family:
    """The comparisons of a metric and the claims about it, judged together."""

    pairs: Sequence[CellComparison] = ()
    claims: Sequence[JudgedClaim] = ()


def family(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns], claims: Sequence[Claim] = ()) -> Family:
    """The comparisons of one metric that the grid asks for, declared ones first, and the claims about the metric, which
    count as declared too.

    With looks, these judge the comparisons; claims about other contrasts form a family of their own, at the first look.
    In a preliminary round no comparison is judged, and there are no claims.
    """
    claims = [claim for claim in claims if claim.is_about(metric)]
    if grid.meta.auto is not None:
        listed = pairs_by_looks(grid, grid.meta.auto, metric, cells) if metric.deciding else []
        about = {id(claim): pair for claim in claims if (pair := _about(claim, listed))}
        rest = [claim for claim in claims if id(claim) not in about]
        of_rest = _judged(metric, [], [claim.at_first for claim in rest], rest)
        by_claim = dict(zip(map(id, rest), of_rest, strict=True))
        return Family(listed, [JudgedClaim(c, by_claim.get(id(c)), about.get(id(c))) for c in claims])
    tried = _measured(grid, metric, cells) if metric.deciding else []
    if grid.meta.preliminary:
        opened = (Open(compare(differences, resolution=metric.resolution)) for differences, *_ in tried)
        return Family(
            [
                CellComparison(metric, a, b, decision, primary)
                for (_, a, b, primary), decision in zip(tried, opened, strict=True)
            ]
        )
    decisions = _judged(metric, tried, [claim.values for claim in claims], claims)
    fresh = _prospects(metric, tried, claims)
    listed = [
        CellComparison(metric, a, b, decision, declared, partial(fresh.of, i))
        for i, ((_, a, b, declared), decision) in enumerate(zip(tried, decisions, strict=False))
    ]
    of_claims = zip(claims, decisions[len(tried) :], strict=True)
    return Family(listed, [JudgedClaim(claim, decision, _about(claim, listed)) for claim, decision in of_claims])


def _measured(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[_Tried]:
    """The pairs that the grid asks for and whose two cells both have a value at some seed."""
    both_known = [pair for pair in asked(grid, cells) if all(cell.estimate(metric.name).known for cell in pair[:2])]
    tried = [(paired(grid, metric, a, b), a, b, primary) for a, b, primary in both_known]
    return [pair for pair in tried if pair[0].size]


def _judged(
    metric: ShownMetric, tried: Sequence[_Tried], values: Sequence[Array], claims: Sequence[Claim]
) -> list[Decision]:
    """The decisions on comparisons and claims as one family; `values` are those of the claims."""
    some = any(primary for *_, primary in tried)
    return judge(
        [*(differences for differences, *_ in tried), *values],
        margins=[metric.margin] * len(tried) + [claim.margin for claim in claims],
        beyond=[False] * len(tried) + [claim.of_equality for claim in claims],
        resolution=metric.resolution,
        primary=[primary for *_, primary in tried] + [some] * len(claims),
    )


def _prospects(metric: ShownMetric, tried: Sequence[_Tried], claims: Sequence[Claim]) -> Prospects:
    """The fresh seeds that each comparison would need, judged with the claims. A claim of equality enters as its
    difference minus its margin."""
    rest = [claim.values if not claim.of_equality else _less(claim.values, claim.margin) for claim in claims]
    margins = [metric.margin] * len(tried) + [claim.margin for claim in claims]
    primary = [primary for *_, primary in tried]
    differences = [*(values for values, *_ in tried), *rest]
    return Prospects(differences, margins, metric.resolution, primary + [any(primary)] * len(rest))


def _less(values: Array, margin: float) -> Array:
    """The differences minus the margin, which takes the sign of their mean."""
    return np.asarray(values - math.copysign(margin, float(values.mean())) if values.size else values)


def _about(claim: Claim, listed: Sequence[CellComparison]) -> CellComparison | None:
    """The listed comparison of the claim's two cells, or of two cells with the same values; None if there is none."""
    if claim.metric is None or len(claim.terms) != 2:
        return None
    name = claim.metric.name
    cells = {cell.estimate(name).by_seed for _, cell in claim.terms}
    if abs(claim.terms[0][0]) != 1:
        return None
    same = (pair for pair in listed if {cell.estimate(name).by_seed for cell in (pair.a, pair.b)} == cells)
    return next(same, None)


def unmeasured(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[Pair]:
    """The declared comparisons in which a cell has no value, or the cells have no seed in common."""
    if not grid.meta.primary:
        return []
    return [pair for pair in declared_pairs(grid.meta, cells) if not paired(grid, metric, *pair).size]


def asked(grid: GridResults, cells: Sequence[CellRuns]) -> list[tuple[CellRuns, CellRuns, bool]]:
    """The pairs that the grid asks for, each with True if the grid declares it; all count as declared if none is."""
    if grid.meta.auto is not None:
        return [(a, b, True) for a, b in declared_pairs(grid.meta, cells)]
    declared = declared_pairs(grid.meta, cells) if grid.meta.primary else []
    if len(grid.meta.axes) == 1 and len(cells) <= EVERY_PAIR_UP_TO:
        others = list(combinations(cells, 2))
    else:
        levels = {i: cell.levels_of(grid.meta.axes) for i, cell in enumerate(cells)}
        others = [(cells[i], cells[base]) for i, base in with_base(levels, grid.meta.baseline, grid.meta.rows)]
    seen = [{id(a), id(b)} for a, b in declared]
    rest = [(a, b, not declared) for a, b in others if {id(a), id(b)} not in seen]
    return [*((a, b, True) for a, b in declared), *rest]
