"""The time at which comparisons and papers' claims were declared: before the results they rest on, or after.

    declared     the earliest declaration since which it has always been stated, and since which nothing that shares
                 its error rate was removed
    result       the time when the last of its sides, two cells or what a claim compares, finished its first stage

Whether anyone looked at results is unknown, so the times decide. What was declared beforehand is confirmatory; anything
without recorded times is exploratory, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from analysis.comparisons import planned_pairs
from analysis.grid_json import Declaration, Expectation
from analysis.results import Results
from analysis.schema import FIRST_RESULT

When = Literal["beforehand", "after results", "not recorded"]
Statement = tuple[str, str]
"""A thing that was declared: its kind, and a text."""
BESIDE_COMPARISONS, BESIDE_CLAIMS = ("listed", "primary", "claim"), ("first", "claim")
"""The kinds that share an error rate with comparisons, and with claims: removing one leaves more for the others."""


def declared_times(results: Results, rows: Iterable[Mapping[Any, Any]]) -> list[When]:
    """The time at which each row of the comparisons' frame was declared; as a primary comparison, if it is one."""
    stated = [(declaration, _stated(results, declaration)) for declaration in results.meta.declarations]
    first = {str(cell): str(times.min()) for cell, times in results.finished.groupby("cell_id")[FIRST_RESULT]}
    return [_when(stated, first, *_statement(results, row)) for row in rows]


def _statement(results: Results, row: Mapping[Any, Any]) -> tuple[Statement, Sequence[str], list[list[str]]]:
    """What a row states, the kinds of statements that share its error rate, and the cells of each of its sides."""
    if row["kind"] == "comparison":
        kind = "primary" if row["primary"] and results.meta.primary else "listed"
        return (kind, _pair(row["a"], row["b"])), BESIDE_COMPARISONS, [[row["a"]], [row["b"]]]
    claim = results.meta.expects[row["claim"]]
    parts = [claim.better, claim.better | claim.than]
    parts += [part | claim.since for part in parts] if claim.since else []
    return ("claim", _claim(claim)), BESIDE_CLAIMS, [results.at(part) for part in parts]


def _stated(results: Results, declaration: Declaration) -> set[Statement]:
    """A declaration's `listed` comparisons, the `primary` ones, those that share an error rate with the claims
    (`first`: the primary ones, or all where none is primary), and the claims."""
    meta = replace(results.meta, baseline=declaration.baseline, primary=declaration.primary)
    stated = {("claim", _claim(claim)) for claim in declaration.expects}
    for a, b, first in planned_pairs(replace(results, meta=meta)):
        kinds = ["listed", *(["first"] if first else []), *(["primary"] if first and meta.primary else [])]
        stated |= {(kind, _pair(a, b)) for kind in kinds}
    return stated


def _when(
    declarations: Sequence[tuple[Declaration, set[Statement]]],
    first: Mapping[str, str],
    statement: Statement,
    beside: Sequence[str],
    sides: Sequence[Sequence[str]],
) -> When:
    """The time of a statement, against the `first` results of the cells of its `sides`. Removing anything of the kinds
    `beside` resets it."""
    since: Declaration | None = None
    later: set[Statement] = set()
    for declaration, every in reversed(declarations):
        stated = {(kind, text) for kind, text in every if kind in beside}
        if statement not in stated or (since and not stated <= later):
            break
        since, later = declaration, stated
    if since is None or since.time is None:
        return "not recorded"
    firsts = [min(first[cell] for cell in side if cell in first) for side in sides if first.keys() & set(side)]
    if not firsts or "" in firsts:
        return "after results" if since.seen else "not recorded"
    return "beforehand" if since.time < max(firsts) else "after results"


def _pair(a: str, b: str) -> str:
    return " ".join(sorted((a, b)))


def _claim(claim: Expectation) -> str:
    """A claim as text, without its wording."""
    return json.dumps([claim.metric, claim.better, claim.than, claim.within, claim.since], sort_keys=True)
