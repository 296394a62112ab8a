"""Papers' claims as contrasts of cells, and the rows of the comparisons' frame, with the decision on each.

    direction    D = metric(better) − metric(than)
    equality     the same D, with the claim that |D| ≤ within · |mean of than|; log(1 + within) on a log scale
    change       D = (better − its start) − (than − its start), where `since` names the start

Values are on the metric's scale. Cells at the named levels are matched by their levels on all other axes, and averaged
over these within each seed, so every claim is one paired comparison over seeds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.grid_json import Expectation, MetricInfo
from analysis.results import Results
from analysis.statistics import ALPHA, Array, Decision, Paired, judge

Verdict = Literal["better", "worse", "equal", "cannot tell", "open"]
"""The verdict on a against b; "open" where none is due yet."""
Outcome = Literal["as published", "contrary", "cannot tell", "not tested"]
TOLD_APART = ("better", "worse")
UNTESTED = Decision()
Term = tuple[float, str]
"""A coefficient and the id of a cell."""


DIRECTION: dict[str, Outcome] = {"better": "as published", "worse": "contrary"}
EQUALITY: dict[str, Outcome] = {"equal": "as published", "better": "contrary", "worse": "contrary"}
"""The outcome of a claim by its verdict, else "cannot tell"."""


@dataclass(frozen=True)
class Hypothesis:
    """A contrast D = Σ c · cell over its `terms`: a comparison or, by its `number` in the grid's file, a paper's claim.

    `metric` is a name; `margin` the most that |D| may be if two cells are equal, else nan. A claim of equality is
    contrary where D lies `beyond` it. `untested` is the reason why there is no test, else "".
    """

    metric: str
    terms: tuple[Term, ...] = ()
    margin: float = math.nan
    primary: bool = True
    number: int | None = None
    beyond: bool = False
    untested: str = ""

    @property
    def pair(self) -> dict[str, str]:
        """The cells a and b of a hypothesis about their difference; none where it is of more, or of a part of one."""
        two = len(self.terms) == 2 and abs(self.terms[0][0]) == 1
        return {("a" if c > 0 else "b"): cell for c, cell in self.terms} if two else {}

    def named(self, verdict: str) -> dict[str, Any]:
        """The columns that name it, and the outcome of a claim."""
        own = {"primary": self.primary, **self.pair}
        if self.number is None:
            return own | {"kind": "comparison"}
        outcome = (EQUALITY if self.beyond else DIRECTION).get(verdict, "cannot tell")
        return own | {"kind": "claim", "claim": self.number, "outcome": outcome}


def comparison(metric: MetricInfo, a: str, b: str, primary: bool = True) -> Hypothesis:
    """The comparison of two cells."""
    return Hypothesis(metric.name, ((1.0, a), (-1.0, b)), metric.margin, primary)


def contrast(results: Results, metric: MetricInfo, terms: Sequence[Term], among: Sequence[int] | None = None) -> Array:
    """The sum Σ c · cell on the metric's scale, [n] per seed that one kind of machine finished for all cells; only of
    seeds `among` these, if given."""
    table = results.scaled(metric)
    values = table.to_numpy(dtype=np.float64)[table.index.get_indexer(pd.Index([cell for _, cell in terms]))]
    kept = ~np.isnan(values).any(0)
    if among is not None:
        kept &= table.columns.get_level_values(0).isin(list(among))
    # Each term in turn, so that a sum of two is the difference of two numbers to the last digit.
    total: Array = np.sum([c * own for (c, _), own in zip(terms, values[:, kept], strict=True)], 0)
    return total


def claims_of(results: Results) -> list[Hypothesis]:
    """The grid's claims as contrasts of its cells, in order."""
    return [_claim(results, i, expectation) for i, expectation in enumerate(results.meta.expects)]


def _claim(results: Results, i: int, expectation: Expectation) -> Hypothesis:
    kind = f"{expectation.metric}/"
    metric = next((m for m in results.metrics if m.name.startswith(kind) and m.name in results.runs), None)
    if metric is None:
        return Hypothesis(expectation.metric, number=i, untested=f"{expectation.metric} was not measured")
    matched = _matched(results, expectation, metric)
    if matched:
        terms = _averaged(results, matched, metric)
        if len(contrast(results, metric, terms, results.meta.first_look)) > 1:
            margin = _margin(results, metric, expectation, matched)
            return Hypothesis(metric.name, terms, margin, number=i, beyond=expectation.within is not None)
    cells = [*results.at(expectation.better), *results.at(expectation.better | expectation.than)]
    apart = not all(results.comparable(cell, metric.name) for cell in cells)
    why = f"a cell has no {metric.label} to compare" if apart else "fewer than two seeds finished its cells"
    return Hypothesis(metric.name, number=i, untested=why)


def _matched(results: Results, expectation: Expectation, metric: MetricInfo) -> list[list[Term]]:
    """The terms of D, `better` and `than` first, at each combination of the other axes that two seeds finished."""
    matched = []
    for cell in results.at(expectation.better):
        other = _counterpart(results, cell, expectation.than)
        starts = (
            [end and _counterpart(results, end, expectation.since) for end in (cell, other)]
            if expectation.since
            else []
        )
        parts = [(c, part) for c, part in zip((1.0, -1.0, -1.0, 1.0), (cell, other, *starts), strict=False) if part]
        if len(parts) == 2 + len(starts) and len(contrast(results, metric, parts, results.meta.first_look)) > 1:
            matched.append(parts)
    return matched


def _counterpart(results: Results, cell: str, levels: Mapping[str, str]) -> str | None:
    """The cell that differs from `cell` in these levels only; None where there is none."""
    return next(iter(results.at(results.levels(cell) | dict(levels))), None)


def _averaged(results: Results, matched: Sequence[Sequence[Term]], metric: MetricInfo) -> tuple[Term, ...]:
    """The mean of the matches' signed cells, with one coefficient for all cells with equal values, so that the mean is
    the contrast of two cells if the other axes change no value; the first match if all terms cancel."""
    total, cells = defaultdict[bytes, float](float), dict[bytes, str]()
    for c, cell in chain.from_iterable(matched):
        values = results.keys(metric.name)[cell]
        total[values] += c
        cells.setdefault(values, cell)
    return tuple((c / len(matched), cells[values]) for values, c in total.items() if c) or tuple(matched[0])


def _margin(results: Results, metric: MetricInfo, expectation: Expectation, matched: Sequence[Sequence[Term]]) -> float:
    if expectation.within is None:
        return math.nan
    if metric.scale == "log":
        return math.log1p(expectation.within)
    values, first = results.values(metric.name), results.meta.first_look
    values = values if first is None else values.loc[:, values.columns.get_level_values(0).isin(list(first))]
    means = [float(np.nanmean(values.loc[parts[1][1]].to_numpy())) for parts in matched]
    return expectation.within * abs(float(np.mean(means)))


def decided_rows(
    metric: MetricInfo, values: Mapping[Hypothesis, Array], *, primary: bool, alpha: float = ALPHA
) -> dict[Hypothesis, dict[str, Any]]:
    """The rows of hypotheses by their differences [n], as one family; without `primary`, none comes first."""
    decisions = judge(
        list(values.values()),
        [tested.margin for tested in values],
        beyond=[tested.beyond for tested in values],
        primary=[tested.primary and primary for tested in values],
        resolution=metric.resolution,
        alpha=alpha,
    )
    pairs = zip(values.items(), decisions, strict=True)
    return {tested: row_of(metric, tested, of, decision) for (tested, of), decision in pairs}


def row_of(metric: MetricInfo, tested: Hypothesis, values: Array, decision: Decision = UNTESTED) -> dict[str, Any]:
    """The row of a hypothesis by its differences [n]; equality within the margin comes before a difference."""
    paired = Paired.of(values, metric.resolution)
    verdict: Verdict = "cannot tell"
    # Equal values at every seed allow no test; a claim of equality then holds.
    if decision.equal <= ALPHA or (tested.beyond and math.isnan(decision.equal)):
        verdict = "equal"
    elif decision.different <= ALPHA:
        verdict = "better" if metric.sign * paired.mean > 0 else "worse"
    return {
        "metric": metric.name,
        "n": len(values),
        "difference": float(paired.mean),
        "half_width": float(paired.half_width()),
        "sd": float(paired.sd),
        "p": float(paired.p()),
        "by_seed": values.tolist(),
        "p_adjusted": decision.different,
        "p_equal": decision.equal,
        "margin": tested.margin,
        "verdict": verdict,
        **tested.named(verdict),
    }


def row_as_listed(
    results: Results, metric: MetricInfo, claim: Hypothesis, rows: Sequence[dict[str, Any]]
) -> dict[str, Any] | None:
    """The row of a claim about the two cells of a listed comparison, or about two with the same values: it takes over
    the decision, and the difference gets the claim's sign. None if there is no such comparison, or if the claim says
    that the two are equal, by a margin of its own."""
    keys, cells = results.keys(metric.name), values_of(results, metric, claim.pair)
    listed = (row for row in rows if row["kind"] == "comparison" and values_of(results, metric, row) == cells)
    row = None if claim.beyond else next(listed, None)
    if row is None:
        return None
    if keys[claim.pair["a"]] != keys[row["a"]]:
        turned = {"better": "worse", "worse": "better"}.get(row["verdict"], row["verdict"])
        differences = {"difference": -row["difference"], "by_seed": [-d for d in row["by_seed"]]}
        row = row | differences | {"verdict": turned}
    return row | claim.named(row["verdict"])


def values_of(results: Results, metric: MetricInfo, row: Mapping[str, Any]) -> frozenset[bytes]:
    """The values of the cells a and b of a row, in any order."""
    return frozenset(results.keys(metric.name)[row[side]] for side in "ab" if side in row)
