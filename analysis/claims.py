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

from analysis.grid_json import Expectation, MetricInfo
from analysis.results import Results
from analysis.statistics import ALPHA, Array, Decision, Paired

Verdict = Literal["better", "worse", "equal", "cannot tell", "open"]
"""The verdict on a against b; "open" where none is due yet."""
Outcome = Literal["as published", "contrary", "cannot tell", "not tested"]
TOLD_APART = ("better", "worse")
Term = tuple[float, str]
"""A coefficient and the id of a cell."""


@dataclass(frozen=True)
class Claim:
    """A claim `said` by the grid's file, by its `number` there, as a contrast D = Σ c · cell over its `terms`.

    `metric` is a name; `margin` the most that |D| may be in a claim of equality, else nan; `untested` the reason why
    there is no test, else "".
    """

    number: int
    said: Expectation
    metric: str
    terms: tuple[Term, ...] = ()
    margin: float = math.nan
    untested: str = ""

    @property
    def of_equality(self) -> bool:
        """True where the claim says that two cells are equal."""
        return self.said.within is not None

    @property
    def pair(self) -> dict[str, str]:
        """The cells a and b of a claim about their difference; none where it is of more, or of a part of one."""
        two = len(self.terms) == 2 and abs(self.terms[0][0]) == 1
        return {("a" if c > 0 else "b"): cell for c, cell in self.terms} if two else {}


def contrast(results: Results, metric: MetricInfo, terms: Sequence[Term], among: Sequence[int] | None = None) -> Array:
    """The sum Σ c · cell on the metric's scale, [n] per seed that one kind of machine finished for all cells; only of
    seeds `among` these, if given."""
    table = results.scaled(metric)
    values = table.to_numpy(dtype=np.float64)[table.index.get_indexer([cell for _, cell in terms])]
    kept = ~np.isnan(values).any(0)
    if among is not None:
        kept &= table.columns.get_level_values(0).isin(list(among))
    # Each term in turn, so that a sum of two is the difference of two numbers to the last digit.
    total: Array = np.sum([c * own for (c, _), own in zip(terms, values[:, kept], strict=True)], 0)
    return total


def claims_of(results: Results) -> list[Claim]:
    """The grid's claims as contrasts of its cells, in order."""
    return [_claim(results, i, said) for i, said in enumerate(results.meta.expects)]


def _claim(results: Results, i: int, said: Expectation) -> Claim:
    metric = next((m for m in results.metrics if m.name.startswith(f"{said.metric}/") and m.name in results.runs), None)
    if metric is None:
        return Claim(i, said, said.metric, untested=f"{said.metric} was not measured")
    matched = _matched(results, said, metric)
    if matched:
        terms = _averaged(results, matched, metric)
        if len(contrast(results, metric, terms, results.meta.first_look)) > 1:
            return Claim(i, said, metric.name, terms, _margin(results, metric, said, matched))
    named = [*results.at(said.better), *results.at(said.better | said.than)]
    apart = not all(results.comparable(cell, metric.name) for cell in named)
    why = f"a cell has no {metric.label} to compare" if apart else "fewer than two seeds finished its cells"
    return Claim(i, said, metric.name, untested=why)


def _matched(results: Results, said: Expectation, metric: MetricInfo) -> list[list[Term]]:
    """The terms of D, `better` and `than` first, at each combination of the other axes that two seeds finished."""
    matched = []
    for cell in results.at(said.better):
        other = _moved(results, cell, said.than)
        starts = [end and _moved(results, end, said.since) for end in (cell, other)] if said.since else []
        parts = [(c, part) for c, part in zip((1.0, -1.0, -1.0, 1.0), (cell, other, *starts), strict=False) if part]
        if len(parts) == 2 + len(starts) and len(contrast(results, metric, parts, results.meta.first_look)) > 1:
            matched.append(parts)
    return matched


def _moved(results: Results, cell: str, levels: Mapping[str, str]) -> str | None:
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


def _margin(results: Results, metric: MetricInfo, said: Expectation, matched: Sequence[Sequence[Term]]) -> float:
    if said.within is None:
        return math.nan
    if metric.scale == "log":
        return math.log1p(said.within)
    values, first = results.values(metric.name), results.meta.first_look
    values = values if first is None else values.loc[:, values.columns.get_level_values(0).isin(list(first))]
    means = [float(np.nanmean(values.loc[parts[1][1]].to_numpy())) for parts in matched]
    return said.within * abs(float(np.mean(means)))


def comparison_row(
    metric: MetricInfo, a: str, b: str, primary: bool, values: Array, decision: Decision
) -> dict[str, Any]:
    """The row of a comparison by its differences [n]."""
    return {
        **_measured(metric, values, decision),
        "kind": "comparison",
        "a": a,
        "b": b,
        "primary": primary,
        "margin": metric.margin,
    }


def _measured(metric: MetricInfo, values: Array, decision: Decision) -> dict[str, Any]:
    """The columns on differences; equality within the margin comes before a difference."""
    found = Paired.of(values, metric.resolution)
    verdict: Verdict = "cannot tell"
    if decision.different <= ALPHA:
        verdict = "better" if metric.sign * found.mean > 0 else "worse"
    return {
        "metric": metric.name,
        "n": len(values),
        "difference": float(found.mean),
        "half_width": float(found.half_width()),
        "sd": float(found.sd),
        "p": float(found.p()),
        "by_seed": values.tolist(),
        "p_adjusted": decision.different,
        "p_equal": decision.equal,
        "verdict": "equal" if decision.equal <= ALPHA else verdict,
    }


def listed_pair(
    results: Results, metric: MetricInfo, claim: Claim, rows: Sequence[dict[str, Any]]
) -> dict[str, Any] | None:
    """The listed comparison of a claim's two cells, or of two cells with the same values; None if there is none, or if
    the claim says that the two are equal, by a margin of its own."""
    if claim.of_equality:
        return None
    cells = values_of(results, metric, claim.pair)
    return next((row for row in rows if values_of(results, metric, row) == cells), None)


def values_of(results: Results, metric: MetricInfo, row: Mapping[str, Any]) -> frozenset[bytes]:
    """The values of the cells a and b of a row, in any order."""
    return frozenset(results.keys(metric.name)[row[side]] for side in "ab" if side in row)


def claim_row(metric: MetricInfo, claim: Claim, values: Array, decision: Decision) -> dict[str, Any]:
    """The row of a claim as its own hypothesis."""
    row = _measured(metric, values, decision)
    outcome = _outcome(row["verdict"])
    if claim.of_equality:
        # Equal values at every seed allow no test; a claim of equality then holds.
        held = decision.equal <= ALPHA or math.isnan(decision.equal)
        outcome = "as published" if held else "contrary" if decision.different <= ALPHA else "cannot tell"
        row["verdict"] = "equal" if held else row["verdict"]
    return row | _named(claim) | {"margin": claim.margin, "outcome": outcome}


def claim_as_listed(results: Results, metric: MetricInfo, claim: Claim, row: dict[str, Any]) -> dict[str, Any]:
    """The row of a claim about a listed pair, whose decision it takes over; the difference gets the claim's sign."""
    keys = results.keys(metric.name)
    same = keys[claim.pair["a"]] == keys[row["a"]]
    sign = 1.0 if same else -1.0
    verdict = row["verdict"] if same else {"better": "worse", "worse": "better"}.get(row["verdict"], row["verdict"])
    signed = {"difference": sign * row["difference"], "by_seed": [sign * d for d in row["by_seed"]]}
    return row | signed | _named(claim) | {"verdict": verdict, "outcome": _outcome(verdict)}


def _outcome(verdict: str) -> Outcome:
    outcomes: dict[str, Outcome] = {"better": "as published", "worse": "contrary"}
    return outcomes.get(verdict, "cannot tell")


def _named(claim: Claim) -> dict[str, Any]:
    """The columns that name a claim; its two cells, where it is about two."""
    return {"kind": "claim", "claim": claim.number, "primary": True, "a": "", "b": "", **claim.pair}
