"""The comparisons of one metric that a grid asks for and papers' claims about it, judged together as one family
(`statistics.families`), and where its cells stand by them.

    primaries declared      these get 80 % of the error rate, claims among them, and what follows the rest
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
from dataclasses import replace
from functools import partial
from itertools import combinations

from analysis.findings.cells import CellRuns
from analysis.findings.claims import Claim
from analysis.findings.comparisons import TOLD_APART, CellComparison, JudgedClaim, Lead, Pair, Standing
from analysis.findings.kinds import held_against_all
from analysis.findings.sequential import declared_pairs, order_by_looks, pairs_by_looks
from analysis.findings.values import Array, contrast, paired, values_of
from analysis.format.grid_json import ShownMetric
from analysis.format.primary import with_base
from analysis.read.runs import GridResults
from analysis.statistics.families import Decision, Open, beaten_by, judge, near_best
from analysis.statistics.paired import compare
from analysis.statistics.prospects import Prospects

EVERY_PAIR_UP_TO = 6
"""Levels of a grid's only axis up to which each is compared with each."""
_Tried = tuple[Array, CellRuns, CellRuns, bool]
"""The differences of two cells, both, and whether the grid declares to compare them."""


def family(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns], claims: Sequence[Claim] = ()
) -> tuple[list[CellComparison], list[JudgedClaim]]:
    """The comparisons of one metric that the grid asks for, those that it declares first, and these claims about it:
    one family, in which the claims are declared too.

    Where seeds were added while one looked, the comparisons are judged by looks; claims that are about none of them are
    a family of their own, at the first look. In a preliminary round no comparison is judged, and there is no claim.
    """
    if grid.meta.auto is not None:
        listed = pairs_by_looks(grid, grid.meta.auto, metric, cells) if metric.deciding else []
        about = {id(claim): pair for claim in claims if (pair := _about(claim, listed))}
        rest = [claim for claim in claims if id(claim) not in about]
        of_rest = _judged(metric, [], [claim.at_first for claim in rest], rest)
        by_claim = dict(zip(map(id, rest), of_rest, strict=True))
        return listed, [JudgedClaim(claim, by_claim.get(id(claim)), about.get(id(claim))) for claim in claims]
    tried = _measured(grid, metric, cells) if metric.deciding else []
    if grid.meta.preliminary:
        opened = (Open(compare(differences, resolution=metric.resolution)) for differences, *_ in tried)
        return [
            CellComparison(metric, a, b, decision, primary)
            for (_, a, b, primary), decision in zip(tried, opened, strict=True)
        ], []
    decisions = _judged(metric, tried, [claim.values for claim in claims], claims)
    fresh = _prospects(metric, tried, claims)
    listed = [
        CellComparison(metric, a, b, decision, declared, partial(fresh.of, i))
        for i, ((_, a, b, declared), decision) in enumerate(zip(tried, decisions, strict=False))
    ]
    of_claims = zip(claims, decisions[len(tried) :], strict=True)
    return listed, [JudgedClaim(claim, decision, _about(claim, listed)) for claim, decision in of_claims]


def _measured(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[_Tried]:
    """The pairs that the grid asks for, as far as both cells have values at a seed."""
    both_known = [pair for pair in asked(grid, cells) if all(cell.estimate(metric.name).known for cell in pair[:2])]
    tried = [(paired(grid, metric, a, b), a, b, primary) for a, b, primary in both_known]
    return [pair for pair in tried if pair[0].size]


def _judged(
    metric: ShownMetric, tried: Sequence[_Tried], values: Sequence[Array], claims: Sequence[Claim]
) -> list[Decision]:
    """The decisions on comparisons and claims, of which these are the values, as one family."""
    some = any(primary for *_, primary in tried)
    return judge(
        [*(differences for differences, *_ in tried), *values],
        margins=[metric.margin] * len(tried) + [claim.margin for claim in claims],
        beyond=[False] * len(tried) + [claim.of_equality for claim in claims],
        resolution=metric.resolution,
        primary=[primary for *_, primary in tried] + [some] * len(claims),
    )


def _prospects(metric: ShownMetric, tried: Sequence[_Tried], claims: Sequence[Claim]) -> Prospects:
    """The fresh seeds that would tell each comparison, in its family with the claims that something is better."""
    rest = [claim.values for claim in claims if not claim.of_equality]
    margins = [metric.margin] * len(tried) + [math.nan] * len(rest)
    primary = [primary for *_, primary in tried]
    differences = [*(values for values, *_ in tried), *rest]
    return Prospects(differences, margins, metric.resolution, primary + [any(primary)] * len(rest))


def _about(claim: Claim, listed: Sequence[CellComparison]) -> CellComparison | None:
    """The comparison of the list that a claim is about: of its two cells, or of such that have their values."""
    if claim.metric is None or len(claim.terms) != 2:
        return None
    name = claim.metric.name
    cells = {cell.estimate(name).by_seed for _, cell in claim.terms}
    if abs(claim.terms[0][0]) != 1:
        return None
    same = (pair for pair in listed if {cell.estimate(name).by_seed for cell in (pair.a, pair.b)} == cells)
    return next(same, None)


def unmeasured(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[Pair]:
    """The declared comparisons of which a cell has no value, or no seed in common with the other."""
    if not grid.meta.primary:
        return []
    return [pair for pair in declared_pairs(grid.meta, cells) if not paired(grid, metric, *pair).size]


def asked(grid: GridResults, cells: Sequence[CellRuns]) -> list[tuple[CellRuns, CellRuns, bool]]:
    """The pairs that the grid asks for, and whether it declares each; all are declared where none is."""
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


def standing(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns], claims: Sequence[Claim] = ()
) -> Standing:
    """The standing of cells in a metric, and what became of those of the claims that are about it."""
    listed, judged = family(grid, metric, cells, [claim for claim in claims if claim.is_about(metric)])
    return replace(within(grid, metric, cells, listed), claims=judged)


def within(
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
