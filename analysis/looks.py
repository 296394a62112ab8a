"""Looks at comparisons while seeds are added (`seeds=auto`): planned beforehand, with the error rate spent over them.

The looks are at n_1 < … < n_L = n_max seeds. Of the error rate α, look l gets the part

    w_l = (n_l² − n_{l−1}²)/n_max²,   Σ_l w_l = 1:   little early, where seeds are few, and most at the end

Each of m declared comparisons has two p at look l: that there is a difference, and that |δ| is below the margin. After
r claims of differences, one more is made, by Holm's steps within a look and from look to look, where

    p ≤ α w_l/(m − r)                           if there are no margins, else
    p ≤ α w_l min(1/m, 0.8/(m − 1))             for r = 0
    p ≤ α w_l 0.8/(m − r)                       for r > 0;    equalities have steps of their own, with 0.2 for 0.8

Comparisons whose p of a difference exceeds ½ get no more seeds. No more than α of all grids make a false claim,
whatever the dependences and whatever stops when: each true null hypothesis is rejected at look l with probability α w_l
times its share at most, which is a union bound over hypotheses and looks, closed over all sets of hypotheses. Claims of
one kind must not shorten the steps of the other. Likewise all intervals  mean ± t(1 − α w_l/2m) SE  hold together.

Each declared comparison is looked at over the seeds that both its cells have. Papers' claims that no look follows,
about other cells or of equality, are tested at the first look, whose seeds all cells have. They have a fifth of α then,
and the looks four fifths, so that α holds for all that a page claims in a metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.claims import Hypothesis, claims_of, comparison, contrast, decided_rows, row_as_listed, row_of, values_of
from analysis.grid_json import Auto, MetricInfo
from analysis.reading import read_results
from analysis.results import Results
from analysis.statistics import ALPHA, Array, Paired, leads, sets

FOLLOWED = 0.8
"""The part of α that looks have where other claims are made beside them."""
SHARES = (0.8, 0.2)
"""The parts of α that differences and equalities have, where both can be claimed."""
FUTILE = 0.5
"""The p of a difference above which more seeds have no prospect."""


def look_weights(looks: Sequence[int]) -> dict[int, float]:
    """The part of α that each look may spend, by its number of seeds."""
    return {n: (n**2 - before**2) / looks[-1] ** 2 for before, n in pairwise((0, *looks))}


@dataclass(frozen=True)
class SequentialDecision:
    """A comparison after the looks so far: the number of seeds at which it was first called `different` or `equal`, or
    was `dropped`; None where it was not.

    `by_seed` are the differences at its last look, and `half_width` that of the interval that holds together with those
    of all looks and comparisons. `direction` is the sign of the difference when it was claimed.
    """

    by_seed: tuple[float, ...] = ()
    half_width: float = math.nan
    different: int | None = None
    equal: int | None = None
    dropped: int | None = None
    direction: int = 0

    @property
    def decided(self) -> bool:
        """True where anything is claimed of it."""
        return self.different is not None or self.equal is not None

    @property
    def undecided(self) -> bool:
        """True where more seeds are wanted for it."""
        return not self.decided and self.dropped is None


def follow(
    looks: Sequence[int],
    count: int,
    first: Callable[[int], Sequence[Array | None]],
    *,
    margin: float = math.nan,
    resolution: float = 0.0,
    alpha: float = ALPHA,
) -> list[SequentialDecision]:
    """The state of `count` comparisons after all looks; `first(n)` gives their differences [n] over the first n seeds,
    None where a comparison has no part in a look."""
    states = [SequentialDecision()] * count
    for n, weight in look_weights(looks).items():
        p = np.full((2, count), np.nan)
        claimed = np.array([[getattr(of, kind) is not None for of in states] for kind in ("different", "equal")], bool)
        for j, values in enumerate(first(n)):
            if values is not None and len(values) > 1:
                own = Paired.of(values, resolution)
                p[:, j] = own.p(), own.equal(margin)
                half = float(own.half_width(alpha * weight / count))
                states[j] = replace(states[j], by_seed=tuple(values.tolist()), half_width=half)
        new = claims(p, claimed, alpha * weight, equalities=not math.isnan(margin)) & ~claimed
        states = [_with(of, n, p[0, j] > FUTILE, different=new[0, j], equal=new[1, j]) for j, of in enumerate(states)]
    return states


def _with(
    looked: SequentialDecision, n: int, futile: np.bool_, *, different: np.bool_, equal: np.bool_
) -> SequentialDecision:
    """The comparison, updated by the claims of a look at n seeds."""
    if different:
        looked = replace(looked, different=n, direction=int(np.sign(np.mean(looked.by_seed))))
    if equal:
        looked = replace(looked, equal=n)
    return replace(looked, dropped=n) if futile and looked.undecided else looked


def claims(p: Array, claimed: NDArray[np.bool_], spent: float, *, equalities: bool) -> NDArray[np.bool_]:
    """The claims about k comparisons, differences and equalities, after a look that may spend the error rate `spent`.

    `p` [2, k] is nan where there is no test; `claimed` has the earlier claims; `equalities` says whether there is a
    margin.
    """
    while True:
        level = np.array([_level(claimed[i], share, equalities=equalities) for i, share in enumerate(SHARES)])
        after = claimed | (p <= spent * level[:, None])
        if (after == claimed).all():
            return np.asarray(after)
        claimed = after


def _level(claimed: NDArray[np.bool_], share: float, *, equalities: bool) -> float:
    """The part of a look's error that the next claim of one kind may take, given the claims so far, [k]."""
    k, before = len(claimed), int(claimed.sum())
    if not equalities:
        return 1 / max(k - before, 1)
    if before:
        return share / max(k - before, 1)
    return min(1 / k, share / (k - 1)) if k > 1 else 1.0


@dataclass(frozen=True, eq=False)
class Taken:
    """The values of k cells, [k, N], nan where missing; `seeds` has the number of seeds of each cell.

    Cells that are not `declared` to be compared are looked at once, at the first look, and so is every pair with one of
    them. `columns` is n → the number of columns of the first n seeds.
    """

    looks: Sequence[int]
    values: Array
    seeds: Sequence[int]
    declared: Sequence[bool]
    columns: Mapping[int, int]

    def leads(self, sign: int, resolution: float) -> Iterator[tuple[Paired, Array, NDArray[np.bool_]]]:
        """The leads [k, k] of cells over each other in the first n seeds of each look, its part of α for each, 0 where
        the two did not both take it, and whether it is their last."""
        both, followed = np.minimum.outer(self.seeds, self.seeds), np.outer(self.declared, self.declared)
        for n, weight in look_weights(self.looks).items():
            only = n == self.looks[0]
            share = np.where(followed, weight * (n <= both), float(only))
            lead = leads(self.values[:, : self.columns[n]], sign, resolution)
            yield lead, share, np.where(followed, n == both, only)


def beaten_by_looks(taken: Taken, sign: int, resolution: float = 0.0) -> list[frozenset[int] | None]:
    """A set per cell, of the cells shown to be better; None for a cell without two seeds in common with any other.

    At each look that both took, the test is one-sided at ½ α w_l/(k − 1). So the probability that any other cell beats
    the true best at any look is ½ α at most, as in `statistics`.
    """
    k = len(taken.values)
    better, tested = np.zeros((k, k), bool), np.zeros(k, bool)
    for lead, share, _ in taken.leads(sign, resolution):
        tests = (share > 0) & (lead.n > 1)
        better |= tests & (lead.mean > lead.half_width(ALPHA * share / (k - 1)))
        tested |= tests.any(1)
    return sets(better, tested)


def near_best(taken: Taken, sign: int, margin: float, resolution: float = 0.0) -> list[bool]:
    """A flag per cell, True where the best is shown to be better by no more than a margin, if at all.

    Each cell is tested against every other that has two seeds, one-sided at α w_l/k at the last look that both took. A
    false claim about a cell needs an error in its test against the true best, so with probability 1 − α none is false.
    """
    k = len(taken.values)
    near = np.zeros((k, k), bool)
    for lead, share, last in taken.leads(sign, resolution):
        near |= last & (lead.mean + lead.half_width(2 * ALPHA * share / k) <= margin)
    others = (np.isfinite(taken.values).sum(1) > 1) & ~np.eye(k, dtype=bool)
    return list(((near | ~others).all(1) & others.any(1)).tolist())


Progress = Literal["open", "settled", "over"]
"""The progress of a comparison: `undecided` if more seeds are wanted, `decided`, or `over` without a verdict."""


def progress(folder: Path) -> dict[tuple[str, str], Progress]:
    """The progress of each declared comparison of a grid with looks, by the ids of its cells: open if it is in any
    metric with values of both cells, else settled if all closed metrics settled it."""
    results = read_results(folder)
    assert results.meta.auto is not None, "its seeds are not added by looks"
    states: dict[tuple[str, str], list[SequentialDecision]] = {pair: [] for pair in results.declared}
    open_pairs: set[tuple[str, str]] = set()
    claims = claims_of(results)
    for metric in results.deciding:
        about = [claim for claim in claims if claim.metric == metric.name and not claim.untested]
        measured = results.values(metric.name).notna().any(axis=1)
        for pair, looked in _followed(results, results.meta.auto, metric, about):
            states[pair].append(looked)
            if looked.undecided and all(measured[cell] for cell in pair):
                open_pairs.add(pair)
    decided = {pair for pair, of in states.items() if any(state.decided for state in of)}
    settled = {pair for pair in decided if all(state.decided or state.undecided for state in states[pair])}
    return {pair: "open" if pair in open_pairs else "settled" if pair in settled else "over" for pair in states}


def rows_by_looks(
    results: Results, auto: Auto, metric: MetricInfo, claims: Sequence[Hypothesis]
) -> list[dict[str, Any]]:
    """The rows of one metric after the looks that were taken; other claims are judged at the first look."""
    followed = _followed(results, auto, metric, claims) if metric.deciding else []
    rows = [_looked(metric, comparison(metric, *pair), looked) for pair, looked in followed if looked.by_seed]
    by_claim = {claim: row_as_listed(results, metric, claim, rows) for claim in claims}
    rest = [claim for claim, row in by_claim.items() if row is None]
    values = {claim: contrast(results, metric, claim.terms, results.meta.first_look) for claim in rest}
    by_claim |= decided_rows(metric, values, primary=False, alpha=ALPHA * (1 - FOLLOWED) if followed else ALPHA)
    return rows + [row for row in by_claim.values() if row]


def _followed(
    results: Results, auto: Auto, metric: MetricInfo, about: Sequence[Hypothesis]
) -> list[tuple[tuple[str, str], SequentialDecision]]:
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


def _looked(metric: MetricInfo, pair: Hypothesis, looked: SequentialDecision) -> dict[str, Any]:
    """The row of a comparison that looks followed; its interval holds at all looks."""
    ended, verdict = looked.different, "better" if metric.sign * looked.direction > 0 else "worse"
    if looked.equal is not None:
        ended, verdict = looked.equal, "equal"
    elif ended is None:
        ended, verdict = looked.dropped, "cannot tell"
    row = row_of(metric, pair, np.array(looked.by_seed))
    return row | {"half_width": looked.half_width, "verdict": verdict, "seeds": ended}
