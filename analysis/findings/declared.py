"""The time at which comparisons and papers' claims were declared: before the results they rest on, or after.

    declared     the earliest declaration since which it has always been stated, and since which nothing that shares
                 its error rate was removed: for a comparison, the listed or primary ones and the claims; for a claim,
                 the claims and the primary comparisons (all comparisons where none is primary)
    result       the time when the last of its sides, two cells or what a claim compares, finished its first stage,
                 even for another grid: before that, no difference was known

Whether anyone looked at results is unknown, so the times decide. What was declared beforehand is confirmatory; anything
without recorded times is exploratory, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from analysis.findings.cells import CellRuns
from analysis.findings.family import asked
from analysis.grid_json import Declaration, Expectation
from analysis.read.runs import GridResults
from analysis.schema import COUNTED, FIRST_RESULT

Declared = Literal["beforehand", "after results", "not recorded"]
Stated = frozenset[tuple[str, str]]
"""The things declared, as pairs (kind, text)."""
_BESIDE_COMPARISONS, _BESIDE_CLAIMS = ("listed", "primary", "claim"), ("first", "claim")
"""The kinds that share an error rate with comparisons, and with claims: removing one leaves more for the others."""


@dataclass(frozen=True, eq=False)
class Declarations:
    """The declarations of a grid, and the cells on whose runs the declared comparisons and claims rest."""

    grid: GridResults
    cells: Sequence[CellRuns]

    def comparison(self, a: CellRuns, b: CellRuns, *, primary: bool) -> Declared:
        """The time, as a `Declared`, at which comparing two cells was declared; as `primary`, if it is."""
        kind = "primary" if primary and self.grid.meta.primary else "listed"
        return self._when((kind, _of_pair(a, b)), _BESIDE_COMPARISONS, [[a], [b]])

    def claim(self, claim: Expectation) -> Declared:
        """The time, as a `Declared`, at which a claim was written down."""
        parts = [claim.better, claim.better | claim.than]
        parts += [part | claim.since for part in parts] if claim.since else []
        axes = self.grid.meta.axes
        sides = [[cell for cell in self.cells if part.items() <= cell.levels_of(axes).items()] for part in parts]
        return self._when(("claim", _of_claim(claim)), _BESIDE_CLAIMS, sides)

    @property
    def withdrawn(self) -> int:
        """The number of claims that were once declared and no longer are."""
        now = {_of_claim(claim) for claim in self.grid.meta.expects}
        return len({what for stated in self._stated for kind, what in stated if kind == "claim"} - now)

    @cached_property
    def _stated(self) -> list[Stated]:
        """The content of each declaration: the `listed` comparisons, the `primary` ones, those that share an error rate
        with the claims (`first`: the primary ones, or all where none is primary), and the claims."""
        return [self._said_by(declaration) for declaration in self.grid.meta.declarations]

    def _said_by(self, declaration: Declaration) -> Stated:
        meta = replace(self.grid.meta, baseline=declaration.baseline, primary=declaration.primary)
        comparisons = [(_of_pair(a, b), first) for a, b, first in asked(replace(self.grid, meta=meta), self.cells)]
        first_ones = [pair for pair, first in comparisons if first]
        content = {
            "listed": [pair for pair, _ in comparisons],
            "primary": first_ones if meta.primary else [],
            "first": first_ones,
            "claim": [_of_claim(claim) for claim in declaration.expects],
        }
        return frozenset((kind, what) for kind, those in content.items() for what in those)

    def _when(self, said: tuple[str, str], beside: Collection[str], sides: Sequence[Sequence[CellRuns]]) -> Declared:
        """The time, as a `Declared`, at which `said` was declared, against the first results of its `sides`. Removing
        anything of the kinds `beside` resets it."""
        since: Declaration | None = None
        later: Stated | None = None
        for declaration, every in reversed(list(zip(self.grid.meta.declarations, self._stated, strict=True))):
            stated = frozenset(statement for statement in every if statement[0] in beside)
            if said not in stated or (later is not None and not stated <= later):
                break
            since, later = declaration, stated
        if since is None or since.time is None:
            return "not recorded"
        firsts = [min(times) for times in map(first_results, sides) if times]
        if not firsts or "" in firsts:
            return "after results" if since.seen else "not recorded"
        return "beforehand" if since.time < max(firsts) else "after results"


def first_results(cells: Sequence[CellRuns]) -> list[str]:
    """The time of the first finished stage of each finished run of these cells; "" if the run does not say."""
    return [time for cell in cells for time in cell.runs[cell.runs["status"].isin(COUNTED)][FIRST_RESULT]]


def _of_pair(a: CellRuns, b: CellRuns) -> str:
    return " ".join(sorted((a.cell_id, b.cell_id)))


def _of_claim(claim: Expectation) -> str:
    """A claim as text, without its wording."""
    return json.dumps([claim.metric, claim.better, claim.than, claim.within, claim.since], sort_keys=True)
