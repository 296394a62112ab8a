"""The sequential test of a grid with `seeds=auto`: its rule is in `looks`.

The declared comparisons are judged look by look, each over the seeds that both cells have; papers' claims about other
cells, or of equality, at the first look, by what the looks leave of α.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analysis.claims import Hypothesis, claims_of, comparison, contrast, decisions_on, row_as_listed, row_of, values_of
from analysis.grid_json import Auto, MetricInfo
from analysis.looks import FOLLOWED, Looked, follow
from analysis.reading import read_results
from analysis.results import Results
from analysis.statistics import ALPHA, Array, Decision

Progress = Literal["open", "settled", "over"]
"""The progress of a comparison: `open` if more seeds are wanted, `settled`, or `over` without a verdict."""


def progress(folder: Path) -> dict[tuple[str, str], Progress]:
    """The progress of each declared comparison of a grid with looks, by the ids of its cells: open if it is in any
    metric with values of both cells, else settled if all closed metrics settled it."""
    results = read_results(folder)
    assert results.meta.auto is not None, "its seeds are not added by looks"
    states: dict[tuple[str, str], list[Looked]] = {pair: [] for pair in results.declared}
    open_pairs: set[tuple[str, str]] = set()
    claims = claims_of(results)
    for metric in results.deciding:
        about = [claim for claim in claims if claim.metric == metric.name and not claim.untested]
        measured = results.values(metric.name).notna().any(axis=1)
        for pair, looked in _followed(results, results.meta.auto, metric, about):
            states[pair].append(looked)
            if looked.open and all(measured[cell] for cell in pair):
                open_pairs.add(pair)
    return {pair: "open" if pair in open_pairs else _closed(looked) for pair, looked in states.items()}


def _closed(states: Sequence[Looked]) -> Progress:
    closed = [looked for looked in states if not looked.open]
    return "settled" if closed and all(looked.settled for looked in closed) else "over"


def rows_by_looks(
    results: Results, auto: Auto, metric: MetricInfo, claims: Sequence[Hypothesis]
) -> list[dict[str, Any]]:
    """The rows of one metric after the looks that were taken; other claims are judged at the first look."""
    followed = _followed(results, auto, metric, claims) if metric.deciding else []
    rows = [_looked(metric, comparison(metric, *pair), looked) for pair, looked in followed if looked.by_seed]
    by_claim = {claim: row_as_listed(results, metric, claim, rows) for claim in claims}
    rest = [claim for claim, row in by_claim.items() if row is None]
    values = {claim: contrast(results, metric, claim.terms, results.meta.first_look) for claim in rest}
    decisions = decisions_on(metric, values, primary=False, alpha=ALPHA * (1 - FOLLOWED) if followed else ALPHA)
    beside = zip(values.items(), decisions, strict=True)
    by_claim |= {claim: row_of(metric, claim, of, decision) for (claim, of), decision in beside}
    return rows + [row for row in by_claim.values() if row]


def _followed(
    results: Results, auto: Auto, metric: MetricInfo, about: Sequence[Hypothesis]
) -> list[tuple[tuple[str, str], Looked]]:
    """The declared comparisons after the looks that were taken, each over the seeds that both cells have."""
    declared = [pair for pair in results.declared if all(cell in auto.stopped for cell in pair)]

    def first(n: int) -> list[Array | None]:
        seeds, ran = results.meta.seeds[:n], {cell for cell, last in auto.stopped.items() if last >= n}
        return [contrast(results, metric, [(1.0, a), (-1.0, b)], seeds) if {a, b} <= ran else None for a, b in declared]

    pairs = {values_of(results, metric, {"a": a, "b": b}) for a, b in declared}
    beside = any(claim.beyond or values_of(results, metric, claim.pair) not in pairs for claim in about)
    decisions = follow(
        auto.looks,
        len(declared),
        first,
        margin=metric.margin,
        resolution=metric.resolution,
        alpha=ALPHA * FOLLOWED if beside else ALPHA,
    )
    return list(zip(declared, decisions, strict=True))


def _looked(metric: MetricInfo, pair: Hypothesis, looked: Looked) -> dict[str, Any]:
    """The row of a comparison that looks followed; its interval holds at all looks."""
    ended, verdict = looked.different, "better" if metric.sign * looked.direction > 0 else "worse"
    if looked.equal is not None:
        ended, verdict = looked.equal, "equal"
    elif ended is None:
        ended, verdict = looked.dropped, "cannot tell"
    row = row_of(metric, pair, np.array(looked.by_seed), Decision())
    return row | {"half_width": looked.half_width, "verdict": verdict, "seeds": ended}
