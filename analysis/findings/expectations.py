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
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.findings.cells import CellRuns, cells_of
from analysis.findings.comparisons import contrast
from analysis.findings.verdicts import amount
from analysis.notation import begun, probability
from analysis.read.meta import Expectation, Metric
from analysis.read.runs import GridResults
from analysis.statistics.paired import LEVEL, Comparison, Verdict, compare, equivalent, holm, verdict

Fate = Literal["as published", "contrary to the paper", "cannot tell"]


@dataclass(frozen=True)
class ClaimOutcome:
    """What became of a claim: its fate, and why."""

    claim: Expectation
    fate: Fate
    why: str

    @property
    def sentence(self) -> str:
        """The claim, what became of it, and its source."""
        return f"{begun(self.fate)}: {self.claim.claim} ({self.claim.source}; here {self.why})."


@dataclass(frozen=True, eq=False)
class _Tested:
    """A claim put to the test: its difference, the margin of a claim of equality (else nan), and the claim's p."""

    claim: Expectation
    metric: Metric
    found: Comparison
    margin: float
    p: float


_FATES: dict[Verdict, Fate] = {
    "better": "as published",
    "worse": "contrary to the paper",
    "cannot tell": "cannot tell",
}


def outcomes(grid: GridResults) -> list[ClaimOutcome]:
    """The fate of every claim of the grid, in order."""
    cells = cells_of(grid)
    tested = [_tested(grid, cells, claim) for claim in grid.meta.expects]
    known = [one for one in tested if isinstance(one, _Tested)]
    adjusted = iter(holm([one.p for one in known]))
    return [_outcome(one, float(next(adjusted))) if isinstance(one, _Tested) else one for one in tested]


def _tested(grid: GridResults, cells: Sequence[CellRuns], claim: Expectation) -> _Tested | ClaimOutcome:
    metric = next((m for m in grid.meta.metrics if m.name.startswith(f"{claim.metric}/")), None)
    if metric is None or metric.name not in grid.runs:
        return ClaimOutcome(claim, "cannot tell", f"{claim.metric} was not measured")
    matched = _matched(grid, cells, claim, metric.name)
    terms = [(c / len(matched), cell) for parts in matched for c, cell in parts]
    values = contrast(grid, metric.name, terms) if terms else np.empty(0)
    if len(values) < 2:
        named = [cell for cell in cells if any(part.items() <= _levels(grid, cell).items() for part in _named(claim))]
        if not all(cell.comparable(metric.name) for cell in named):
            return ClaimOutcome(claim, "cannot tell", f"a cell that it names has no {metric.label} to compare")
        return ClaimOutcome(claim, "cannot tell", "fewer than two seeds finished the cells that it names")
    found = compare(values)
    if claim.within is None:
        return _Tested(claim, metric, found, math.nan, found.p)
    margin = claim.within * abs(float(np.mean([parts[1][1].estimate(metric.name).mean for parts in matched])))
    return _Tested(claim, metric, found, margin, equivalent(values, margin))


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


def _outcome(one: _Tested, adjusted: float) -> ClaimOutcome:
    found, sign = one.found, one.metric.sign
    numbers = f"{one.metric.label} differs by {amount(one.metric, found.difference, found.half_width)}"
    why = f"{numbers}, p {probability(adjusted)}"
    if math.isnan(one.margin):
        return ClaimOutcome(one.claim, _FATES[verdict(found.difference, adjusted, sign)], why)
    margin = f"{numbers}, the margin is {amount(one.metric, one.margin, math.nan)}"
    if adjusted <= 1 - LEVEL:
        return ClaimOutcome(one.claim, "as published", margin)
    beyond = abs(found.difference) - found.half_width > one.margin
    return ClaimOutcome(one.claim, "contrary to the paper" if beyond else "cannot tell", margin)
