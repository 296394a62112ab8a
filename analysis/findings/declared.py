"""When comparisons and papers' claims were declared: what was declared before any result it rests on is confirmatory.

    declared     by the earliest declaration from which on it has always been said, and nothing was taken away of what
                 shares its error rate: the listed and the primary comparisons, or the claims
    result       when the first stage of any of its runs was finished, though it may have been for another grid

Whether results were looked at nobody knows: the times decide. What has none is exploratory, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from analysis.findings.cells import CellRuns
from analysis.findings.family import asked
from analysis.format.grid_json import Declaration, Expectation
from analysis.format.names import COUNTED, FIRST_RESULT
from analysis.read.runs import GridResults

Declared = Literal["beforehand", "after results", "not recorded"]
Stated = frozenset[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Declarations:
    """The declarations of a grid, and the runs that what they declare rests on."""

    grid: GridResults
    cells: Sequence[CellRuns]

    def comparison(self, a: CellRuns, b: CellRuns, *, primary: bool) -> Declared:
        """When two cells were declared to be compared, and as a primary comparison where they are one."""
        kind = "primary" if primary and self.grid.meta.primary else "listed"
        return self._when((kind, _of_pair(a, b)), self._listed.__getitem__, [a, b])

    def claim(self, claim: Expectation) -> Declared:
        """When a claim was written down."""
        parts = [claim.better, claim.better | claim.than]
        parts += [part | claim.since for part in parts] if claim.since else []
        axes = [axis.name for axis in self.grid.meta.axes]
        named = [
            cell
            for cell in self.cells
            if any(part.items() <= dict(zip(axes, cell.levels, strict=True)).items() for part in parts)
        ]
        return self._when(("claim", _of_claim(claim)), self._claimed.__getitem__, named)

    @property
    def withdrawn(self) -> int:
        """The number of claims that were declared once, and are not any more."""
        now = {("claim", _of_claim(claim)) for claim in self.grid.meta.expects}
        return len(frozenset().union(*self._claimed) - now)

    @cached_property
    def _claimed(self) -> list[Stated]:
        """The claims of each declaration."""
        return [
            frozenset(("claim", _of_claim(claim)) for claim in declaration.expects)
            for declaration in self.grid.meta.declarations
        ]

    @cached_property
    def _listed(self) -> list[Stated]:
        """The comparisons of each declaration."""
        return [self._compared(declaration) for declaration in self.grid.meta.declarations]

    def _compared(self, declaration: Declaration) -> Stated:
        meta = replace(self.grid.meta, baseline=declaration.baseline, primary=declaration.primary)
        found = asked(replace(self.grid, meta=meta), self.cells)
        listed = {("listed", _of_pair(a, b)) for a, b, _ in found}
        return frozenset(listed | {("primary", _of_pair(a, b)) for a, b, first in found if first and meta.primary})

    def _when(self, said: tuple[str, str], stated: Callable[[int], Stated], cells: Sequence[CellRuns]) -> Declared:
        """When something was declared, beside the first result of these cells."""
        since: Declaration | None = None
        later: Stated | None = None
        for i, declaration in reversed(list(enumerate(self.grid.meta.declarations))):
            if said not in stated(i) or (later is not None and not stated(i) <= later):
                break
            since, later = declaration, stated(i)
        if since is None or since.time is None:
            return "not recorded"
        first = first_result(cells)
        if not first:
            return "after results" if since.seen else "not recorded"
        return "beforehand" if since.time < first else "after results"


def first_result(cells: Sequence[CellRuns]) -> str:
    """When the first stage of any finished run of these cells was finished; "" where one does not say."""
    times = [time for cell in cells for time in cell.runs[cell.runs["status"].isin(COUNTED)][FIRST_RESULT]]
    return min(times, default="")


def _of_pair(a: CellRuns, b: CellRuns) -> str:
    return " ".join(sorted((a.cell_id, b.cell_id)))


def _of_claim(claim: Expectation) -> str:
    """A claim but for its words."""
    return json.dumps([claim.metric, claim.better, claim.than, claim.within, claim.since], sort_keys=True)
