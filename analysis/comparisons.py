"""The comparisons and claims of a grid as one frame with a row each, whose `verdict` is a column.

    primaries declared      they and papers' claims get 80 % of a metric's error rate, further comparisons the rest
    one axis, few levels    every level against every other
    else                    every cell against the baseline, or its row's where comparisons are within rows

All rows of a metric are one family (`statistics.judge`). With `seeds=auto` the declared comparisons are judged look by
look, and claims that no look follows at the first look, by a fifth of α (`looks`). A preliminary round judges none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from analysis.claims import Hypothesis, claims_of, comparison, contrast, decisions_on, row_as_listed, row_of
from analysis.grid_json import MetricInfo
from analysis.primary import with_base
from analysis.results import Results
from analysis.sequential import rows_by_looks
from analysis.statistics import Decision

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
    return frame.assign(**texts).astype({"claim": "Int64", "seeds": "Int64", "n": "int64"})


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
        return [row_of(metric, tested, of, Decision()) | {"verdict": "open"} for tested, of in values.items()]
    first = any(tested.primary for tested in values if tested.number is None)
    decisions = decisions_on(metric, values, primary=first)
    rows: list[dict[str, Any]] = []
    for (tested, of), decision in zip(values.items(), decisions, strict=True):
        listed = None if tested.number is None else row_as_listed(results, metric, tested, rows)
        rows.append(listed or row_of(metric, tested, of, decision))
    return rows
