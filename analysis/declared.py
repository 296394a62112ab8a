"""The time at which comparisons and papers' claims were declared: before the results they rest on, or after.

    declared     the earliest declaration since which it has always been stated, and since which nothing that shares
                 its error rate was removed
    result       the time when the last of its sides, two cells or what a claim compares, finished its first stage

Whether anyone looked at results is unknown, so the times decide. What was declared beforehand is confirmatory; anything
without recorded times is exploratory, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from analysis.comparisons import planned_pairs
from analysis.grid_json import Declaration, Expectation
from analysis.results import Results
from analysis.schema import FIRST_RESULT

When = Literal["beforehand", "after results", "not recorded"]
Stated = frozenset[tuple[str, str]]
"""The things declared, as pairs (kind, text)."""
BESIDE_COMPARISONS, BESIDE_CLAIMS = ("listed", "primary", "claim"), ("first", "claim")
"""The kinds that share an error rate with comparisons, and with claims: removing one leaves more for the others."""


@dataclass(frozen=True, eq=False)
class Declarations:
    """The declarations of a grid, held against the first results of its cells."""

    results: Results

    def of_row(self, row: Mapping[Any, Any]) -> When:
        """The time at which a row of the comparisons' frame was declared; as a primary comparison, if it is one."""
        meta, results = self.results.meta, self.results
        if row["kind"] == "comparison":
            kind = "primary" if row["primary"] and meta.primary else "listed"
            return self._when((kind, _pair(row["a"], row["b"])), BESIDE_COMPARISONS, [[row["a"]], [row["b"]]])
        said = meta.expects[row["claim"]]
        parts = [said.better, said.better | said.than]
        parts += [part | said.since for part in parts] if said.since else []
        return self._when(("claim", _claim(said)), BESIDE_CLAIMS, [results.at(part) for part in parts])

    @cached_property
    def _first_results(self) -> dict[str, str]:
        """The time of the first finished stage of each cell that finished; "" if a run does not say."""
        return {str(cell): str(times.min()) for cell, times in self.results.finished.groupby("cell_id")[FIRST_RESULT]}

    @cached_property
    def _stated(self) -> list[Stated]:
        return [self._said_by(declaration) for declaration in self.results.meta.declarations]

    def _said_by(self, declaration: Declaration) -> Stated:
        """A declaration's `listed` comparisons, the `primary` ones, those that share an error rate with the claims
        (`first`: the primary ones, or all where none is primary), and the claims."""
        meta = replace(self.results.meta, baseline=declaration.baseline, primary=declaration.primary)
        stated = {("claim", _claim(claim)) for claim in declaration.expects}
        for a, b, first in planned_pairs(replace(self.results, meta=meta)):
            kinds = ["listed", *(["first"] if first else []), *(["primary"] if first and meta.primary else [])]
            stated |= {(kind, _pair(a, b)) for kind in kinds}
        return frozenset(stated)

    def _when(self, said: tuple[str, str], beside: Sequence[str], sides: Sequence[Sequence[str]]) -> When:
        """The time at which `said` was declared, against the first results of its `sides`. Removing anything of the
        kinds `beside` resets it."""
        since: Declaration | None = None
        later: Stated | None = None
        for declaration, every in reversed(list(zip(self.results.meta.declarations, self._stated, strict=True))):
            stated = frozenset(statement for statement in every if statement[0] in beside)
            if said not in stated or (later is not None and not stated <= later):
                break
            since, later = declaration, stated
        if since is None or since.time is None:
            return "not recorded"
        times = self._first_results
        firsts = [min(times[cell] for cell in side if cell in times) for side in sides if times.keys() & set(side)]
        if not firsts or "" in firsts:
            return "after results" if since.seen else "not recorded"
        return "beforehand" if since.time < max(firsts) else "after results"


def _pair(a: str, b: str) -> str:
    return " ".join(sorted((a, b)))


def _claim(claim: Expectation) -> str:
    """A claim as text, without its wording."""
    return json.dumps([claim.metric, claim.better, claim.than, claim.within, claim.since], sort_keys=True)
