"""What a grid was expected to show, written down before it was run, against what it shows.

    direction    D = metric(better) − metric(than) has the better sign     as published · contrary to the paper
    equality     |D| ≤ within · |mean of than|                             by two one-sided tests (Schuirmann 1987)
    change       D = (better − its start) − (than − its start)             where `since` names the start

Cells at the named levels are matched by their levels on all other axes and averaged over them within each seed, so
every claim is one paired comparison over seeds. A grid's claims are one family, adjusted by Holm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import contrast
from analysis.read.meta import Expectation, ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.paired import LEVEL, Comparison, Verdict, compare, equivalent, holm, verdict

Fate = Literal["as published", "contrary to the paper", "cannot tell"]


Obstacle = Literal["", "not measured", "not comparable", "too few seeds"]
"""Why a claim could not be put to the test; "" where it was."""


@dataclass(frozen=True)
class ClaimTest:
    """What a claim was tested by: D, the margin of a claim of equality (else nan), and the p of the claim, as it is and
    by Holm among the grid's claims."""

    found: Comparison
    margin: float
    p: float
    adjusted: float = math.nan


@dataclass(frozen=True)
class ClaimOutcome:
    """What became of a claim: its fate, the metric that it is about (None where the grid has none such), and the test
    of it, or why there was none."""

    claim: Expectation
    metric: ShownMetric | None
    fate: Fate = "cannot tell"
    test: ClaimTest | None = None
    obstacle: Obstacle = ""


_FATES: dict[Verdict, Fate] = {
    "better": "as published",
    "worse": "contrary to the paper",
    "cannot tell": "cannot tell",
}


def outcomes(grid: GridResults, cells: Sequence[CellRuns]) -> list[ClaimOutcome]:
    """The fate of every claim of the grid, in order."""
    tried = [_tried(grid, cells, claim) for claim in grid.meta.expects]
    adjusted = iter(holm([one.test.p for one in tried if one.test is not None]))
    return [one if one.test is None else _decided(one, one.test, float(next(adjusted))) for one in tried]


def _tried(grid: GridResults, cells: Sequence[CellRuns], claim: Expectation) -> ClaimOutcome:
    """The claim with its test, whose p is not adjusted yet."""
    metric = next((m for m in grid.meta.metrics if m.name.startswith(f"{claim.metric}/")), None)
    if metric is None or metric.name not in grid.runs:
        return ClaimOutcome(claim, None, obstacle="not measured")
    matched = _matched(grid, cells, claim, metric.name)
    terms = [(c / len(matched), cell) for parts in matched for c, cell in parts]
    values = contrast(grid, metric.name, terms) if terms else np.empty(0)
    if len(values) < 2:
        named = [cell for cell in cells if any(part.items() <= _levels(grid, cell).items() for part in _named(claim))]
        apart = not all(cell.comparable(metric.name) for cell in named)
        return ClaimOutcome(claim, metric, obstacle="not comparable" if apart else "too few seeds")
    found = compare(values)
    if claim.within is None:
        return ClaimOutcome(claim, metric, test=ClaimTest(found, math.nan, found.p))
    margin = claim.within * abs(float(np.mean([parts[1][1].estimate(metric.name).mean for parts in matched])))
    return ClaimOutcome(claim, metric, test=ClaimTest(found, margin, equivalent(values, margin)))


def _matched(
    grid: GridResults, cells: Sequence[CellRuns], claim: Expectation, metric: str
) -> list[list[tuple[float, CellRuns]]]:
    """D as signed cells, better and than first, at each crossing of the other axes where two seeds finished them."""
    found = []
    for cell in cells:
        if not claim.better.items() <= _levels(grid, cell).items():
            continue
        other = _moved(grid, cells, cell, claim.than)
        starts = [one and _moved(grid, cells, one, claim.since) for one in (cell, other)] if claim.since else []
        parts = [(c, part) for c, part in zip((1.0, -1.0, -1.0, 1.0), (cell, other, *starts), strict=False) if part]
        if len(parts) == 2 + len(starts) and len(contrast(grid, metric, parts)) > 1:
            found.append(parts)
    return found


def _named(claim: Expectation) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The levels of the two cells that a claim compares."""
    return claim.better, claim.better | claim.than


def _levels(grid: GridResults, cell: CellRuns) -> dict[str, str]:
    return dict(zip((axis.name for axis in grid.meta.axes), cell.levels, strict=True))


def _moved(grid: GridResults, cells: Sequence[CellRuns], cell: CellRuns, levels: Mapping[str, str]) -> CellRuns | None:
    """The cell that differs from this one in these levels only."""
    wanted = _levels(grid, cell) | dict(levels)
    return next((other for other in cells if _levels(grid, other) == wanted), None)


def _decided(one: ClaimOutcome, test: ClaimTest, adjusted: float) -> ClaimOutcome:
    """The outcome with its fate by this adjusted p."""
    assert one.metric is not None
    return replace(one, fate=_fate(one.metric, test, adjusted), test=replace(test, adjusted=adjusted))


def _fate(metric: ShownMetric, test: ClaimTest, adjusted: float) -> Fate:
    if math.isnan(test.margin):
        return _FATES[verdict(test.found.difference, adjusted, metric.sign)]
    if adjusted <= 1 - LEVEL:
        return "as published"
    beyond = abs(test.found.difference) - test.found.half_width > test.margin
    return "contrary to the paper" if beyond else "cannot tell"
