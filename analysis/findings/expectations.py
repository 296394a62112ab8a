"""The expectations of a grid, written down before it was run, against what it shows.

    direction    D = metric(better) − metric(than) has the better sign     as published · contrary to the paper
    equality     |D| ≤ within · |mean of than|                             by two one-sided tests (Schuirmann 1987);
                 contrary where |D| is shown to be larger
    change       D = (better − its start) − (than − its start)             where `since` names the start

Metrics are on their scale: on a log scale the margin is log(1 + within). Cells at the named levels are matched by
their levels on all other axes and averaged over them within each seed, so every claim is one paired comparison over
seeds. One hypothesis has one verdict: a claim of direction about two cells that the list compares is decided by the
list. All others are one family, which share the error rate evenly: those of direction by Holm's procedure, and each of
equality by itself, since one of its two fates is false whatever is true of the others. Where seeds were added while one
looked, these are of the first look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import TOLD_APART, CellComparison
from analysis.findings.values import contrast
from analysis.format.grid_json import Expectation, ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.families import ALPHA, settle
from analysis.statistics.paired import Comparison, compare, equivalent

Fate = Literal["as published", "contrary to the paper", "cannot tell"]


Obstacle = Literal["", "not measured", "not comparable", "too few seeds"]
"""The reason why a claim could not be put to the test; "" where it was."""


@dataclass(frozen=True)
class ClaimTest:
    """The test of a claim: D, the margin of a claim of equality (else nan), and p in its family, claims or the list.

    `different` is that of D ≠ 0, or of a claim of equality that |D| > margin, whose `equal` is that |D| < margin.
    """

    comparison: Comparison
    margin: float
    different: float
    equal: float = math.nan

    @property
    def p(self) -> float:
        """The p of what is said of the claim: the smaller one."""
        return float(np.fmin(self.different, self.equal))


@dataclass(frozen=True)
class ClaimOutcome:
    """The outcome of a claim: its fate, the metric that it is about (None where the grid has none such), and the test
    of it, or why there was none; and the comparison that decided it, where it is `listed`."""

    claim: Expectation
    metric: ShownMetric | None
    fate: Fate = "cannot tell"
    test: ClaimTest | None = None
    obstacle: Obstacle = ""
    listed: CellComparison | None = None

    @property
    def is_listed(self) -> bool:
        """True where the list decided it."""
        return self.listed is not None


def outcomes(
    grid: GridResults,
    cells: Sequence[CellRuns],
    metrics: Sequence[ShownMetric],
    listed: Mapping[str, Sequence[CellComparison]],
) -> list[ClaimOutcome]:
    """The fate of every claim of the grid, in order; `listed` are the comparisons of each metric."""
    tried = [_tried(grid, cells, metrics, claim, listed) for claim in grid.meta.expects]
    tests = [outcome.test for outcome in tried if outcome.test is not None and outcome.listed is None]
    directed = np.array([math.isnan(outcome.margin) for outcome in tests], dtype=bool)
    different, equal = (
        np.array(p) for p in ([outcome.different for outcome in tests], [outcome.equal for outcome in tests])
    )
    k = len(tests)
    adjusted = np.minimum(k * different, 1)
    # Claims of direction share theirs among themselves, those of one spread evenly.
    adjusted[directed] = np.minimum(
        settle(different[directed], np.ones(directed.sum())) * k / max(directed.sum(), 1), 1
    )
    adjusted_p = zip(adjusted.tolist(), np.minimum(k * equal, 1).tolist(), strict=True)
    return [
        outcome
        if outcome.test is None or outcome.listed is not None
        else _decided(outcome, outcome.test, *next(adjusted_p))
        for outcome in tried
    ]


def _tried(
    grid: GridResults,
    cells: Sequence[CellRuns],
    metrics: Sequence[ShownMetric],
    claim: Expectation,
    listed: Mapping[str, Sequence[CellComparison]],
) -> ClaimOutcome:
    """The claim with its test, whose p are not adjusted yet, or as the list decides it."""
    metric = next((m for m in metrics if m.name.startswith(f"{claim.metric}/")), None)
    if metric is None or metric.name not in grid.runs:
        return ClaimOutcome(claim, None, obstacle="not measured")
    matched = _matched(grid, cells, claim, metric)
    terms = [(c / len(matched), cell) for parts in matched for c, cell in parts]
    values = contrast(grid, metric, terms, grid.meta.first_look) if terms else np.empty(0)
    if len(values) < 2:
        named = [cell for cell in cells if any(part.items() <= _levels(grid, cell).items() for part in _named(claim))]
        apart = not all(cell.comparable(metric.name) for cell in named)
        return ClaimOutcome(claim, metric, obstacle="not comparable" if apart else "too few seeds")
    if claim.within is None and not claim.since and len(matched) == 1:
        both = [cell for _, cell in matched[0]]
        for pair in listed.get(metric.name, ()):
            if {id(pair.a), id(pair.b)} == set(map(id, both)):
                return _by_the_list(claim, metric, pair, 1 if pair.a is both[0] else -1)
    comparison = compare(values)
    if claim.within is None:
        return ClaimOutcome(claim, metric, test=ClaimTest(comparison, math.nan, comparison.p))
    than = abs(float(np.mean([parts[1][1].estimate(metric.name).mean for parts in matched])))
    margin = math.log1p(claim.within) if metric.scale == "log" else claim.within * than
    nearer = values - math.copysign(margin, comparison.difference)
    beyond = compare(nearer).one_sided(1 if comparison.difference > 0 else -1)
    return ClaimOutcome(
        claim, metric, test=ClaimTest(comparison, margin, min(2 * beyond, 1.0), equivalent(values, margin))
    )


def _by_the_list(claim: Expectation, metric: ShownMetric, pair: CellComparison, sign: int) -> ClaimOutcome:
    """The claim by the verdict on its two cells, of which the first is the better one by the claim if `sign` is 1."""
    found = replace(pair.comparison, difference=sign * pair.comparison.difference)
    fate: Fate = "cannot tell"
    if pair.verdict in TOLD_APART:
        fate = "as published" if (pair.verdict == "better") == (sign > 0) else "contrary to the paper"
    p = math.nan if pair.adjusted_p is None else pair.adjusted_p
    return ClaimOutcome(claim, metric, fate, ClaimTest(found, math.nan, p), listed=pair)


def _matched(
    grid: GridResults, cells: Sequence[CellRuns], claim: Expectation, metric: ShownMetric
) -> list[list[tuple[float, CellRuns]]]:
    """D as signed cells, better and than first, at each crossing of the other axes where two seeds finished them."""
    matched = []
    for cell in cells:
        if not claim.better.items() <= _levels(grid, cell).items():
            continue
        other = _moved(grid, cells, cell, claim.than)
        starts = [end and _moved(grid, cells, end, claim.since) for end in (cell, other)] if claim.since else []
        parts = [(c, part) for c, part in zip((1.0, -1.0, -1.0, 1.0), (cell, other, *starts), strict=False) if part]
        if len(parts) == 2 + len(starts) and len(contrast(grid, metric, parts, grid.meta.first_look)) > 1:
            matched.append(parts)
    return matched


def _named(claim: Expectation) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The levels of the two cells that a claim compares."""
    return claim.better, claim.better | claim.than


def _levels(grid: GridResults, cell: CellRuns) -> dict[str, str]:
    return dict(zip((axis.name for axis in grid.meta.axes), cell.levels, strict=True))


def _moved(grid: GridResults, cells: Sequence[CellRuns], cell: CellRuns, levels: Mapping[str, str]) -> CellRuns | None:
    """The cell that differs from this one in these levels only."""
    wanted = _levels(grid, cell) | dict(levels)
    return next((other for other in cells if _levels(grid, other) == wanted), None)


def _decided(outcome: ClaimOutcome, test: ClaimTest, different: float, equal: float) -> ClaimOutcome:
    """The outcome with its fate by these adjusted p."""
    assert outcome.metric is not None
    decided = replace(test, different=different, equal=equal)
    return replace(outcome, fate=_fate(outcome.metric, decided), test=decided)


def _fate(metric: ShownMetric, test: ClaimTest) -> Fate:
    if test.equal <= ALPHA:
        return "as published"
    if not test.different <= ALPHA:
        return "cannot tell"
    better = math.isnan(test.margin) and metric.sign * test.comparison.difference > 0
    return "as published" if better else "contrary to the paper"
