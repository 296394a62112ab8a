"""The comparisons and claims of a grid as one frame with a row each: its verdict, and when it was declared.

    primaries declared      they and papers' claims get 80 % of a metric's error rate, further comparisons the rest
    one axis, few levels    every level against every other
    else                    every cell against the baseline, or its row's where comparisons are within rows

All rows of a metric are one family (`statistics.judge`). With `seeds=auto` the declared comparisons are judged look by
look, and claims that no look follows at the first look, by a fifth of α (`looks`). A preliminary round judges none.

Whether anyone looked at results before a declaration is unknown, so the times decide:

    declared     the earliest declaration since which it has always been stated, and since which nothing that shares
                 its error rate was removed
    result       the time when the last of its sides, two cells or what a claim compares, finished its first stage

What was declared beforehand is confirmatory; anything without recorded times is exploratory, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal

import pandas as pd

from analysis.claims import Hypothesis, claims_of, comparison, contrast, decided_rows, row_as_listed, row_of
from analysis.grid_json import Declaration, Expectation, MetricInfo
from analysis.looks import rows_by_looks
from analysis.results import Results
from analysis.schema import FIRST_RESULT, with_base

EVERY_PAIR_UP_TO = 6
"""The most cells of a grid with one axis for which every pair is compared."""
FOUND = ["metric", "kind", "a", "b", "primary", "n", "difference", "half_width", "sd", "p"]
JUDGED = ["p_adjusted", "p_equal", "margin", "verdict", "seeds", "claim", "outcome", "untested", "by_seed"]
COLUMNS = FOUND + JUDGED
"""The frame's columns. `kind` is "comparison" or "claim"; a claim about more than two cells has no a and b.
`difference` ± `half_width` is a − b on the metric's scale, `seeds` the number of seeds at which looks settled it or
gave it up, and `claim` the number of the claim in grid.json."""


def compare(results: Results) -> pd.DataFrame:
    """The comparisons of every deciding metric, declared ones first, and the claims of papers."""
    claims, auto = claims_of(results), results.meta.auto
    rows: list[dict[str, Any]] = []
    for metric in results.metrics:
        about = [claim for claim in claims if claim.metric == metric.name and not claim.untested]
        rows += rows_by_looks(results, auto, metric, about) if auto else _at_once(results, metric, about)
    for claim in (claim for claim in claims if claim.untested):
        without = {"metric": claim.metric, "n": 0, "verdict": "cannot tell", "untested": claim.untested}
        rows.append(claim.named("") | without | {"outcome": "not tested"})
    frame = pd.DataFrame(rows, columns=COLUMNS)
    texts = {name: frame[name].astype("object").fillna("") for name in ("a", "b", "outcome", "untested")}
    frame = frame.assign(**texts).astype({"claim": "Int64", "seeds": "Int64", "n": "int64"})
    return frame.assign(declared=declared_times(results, frame.to_dict("records")))


def planned_pairs(results: Results) -> list[tuple[str, str, bool]]:
    """The pairs that the grid asks for, each with True if the grid declares it; all count as declared if none is."""
    meta = results.meta
    if meta.auto is not None:
        return [(a, b, True) for a, b in results.declared]
    declared = results.declared if meta.primary else []
    if len(meta.axes) == 1 and len(results.cell_ids) <= EVERY_PAIR_UP_TO:
        others = list(combinations(results.cell_ids, 2))
    else:
        others = with_base({cell: results.levels(cell) for cell in results.cell_ids}, meta.baseline, meta.rows)
    seen = {frozenset(pair) for pair in declared}
    further = [(a, b, not declared) for a, b in others if frozenset((a, b)) not in seen]
    return [*((a, b, True) for a, b in declared), *further]


def _at_once(results: Results, metric: MetricInfo, claims: Sequence[Hypothesis]) -> list[dict[str, Any]]:
    """The rows of one metric whose seeds were fixed beforehand. A claim of direction about a listed pair is that
    pair."""
    pairs = [comparison(metric, *pair) for pair in planned_pairs(results)] if metric.deciding else []
    values = {tested: contrast(results, metric, tested.terms) for tested in [*pairs, *claims]}
    values = {tested: of for tested, of in values.items() if of.size}
    if results.meta.preliminary:
        return [row_of(metric, tested, of) | {"verdict": "open"} for tested, of in values.items()]
    first = any(tested.primary for tested in values if tested.number is None)
    rows: list[dict[str, Any]] = []
    for tested, row in decided_rows(metric, values, primary=first).items():
        listed = None if tested.number is None else row_as_listed(results, metric, tested, rows)
        rows.append(listed or row)
    return rows


When = Literal["beforehand", "after results", "not recorded"]
Statement = tuple[str, str]
"""A thing that was declared: its kind, and a text."""
BESIDE_COMPARISONS, BESIDE_CLAIMS = ("listed", "primary", "claim"), ("first", "claim")
"""The kinds that share an error rate with comparisons, and with claims: removing one leaves more for the others."""


def declared_times(results: Results, rows: Iterable[Mapping[Any, Any]]) -> list[When]:
    """The time at which each row of the comparisons' frame was declared; as a primary comparison, if it is one."""
    stated = [(declaration, _stated(results, declaration)) for declaration in results.meta.declarations]
    first = {str(cell): str(times.min()) for cell, times in results.finished.groupby("cell_id")[FIRST_RESULT]}
    return [_declared_when(stated, first, *_statement(results, row)) for row in rows]


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


def _declared_when(
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
