"""Verdicts on many comparisons: one rule for everything that a page says about a metric.

The comparisons j of one family, each with its paired t-test p_j (`paired`), share an error rate of α = 5 %. Comparisons
whose seeds lie far from 0 get more of it. With A the comparisons that are not settled yet,

    q_j = Σ_s d_js²        v_j = min(q_j, 10 · median q)²        w_j(A) = ¼/|A| + ¾ v_j/Σ_A v
    settled is the j with the least p_j/w_j(A), if that is at most α; then it leaves A, and so on

If all hypotheses are null, the directions of the normal errors over seeds are independent of their lengths, so any q
may be looked at beforehand: Kropf & Läuter 2002; Westfall, Kropf & Finos 2004. The median is taken once, over all
comparisons that share a part of α. So weights only grow as A shrinks, and the steps are those of a closed test. Each of
its parts is exact but for the cap, which comparisons that truly differ also influence. With w_j = 1/|A| this is Holm's
procedure. The cap keeps one noisy comparison from taking all; `evidence.inference` simulates error rates and power.
With images, q_j is at least what they alone could make of it (`variances`).

A comparison is *equal for practical purposes* where |δ| < margin by two one-sided tests (Schuirmann 1987), by Holm's
procedure among the comparisons that have a margin. These claims have a part of α to themselves: a comparison that is
shown to differ may still lie beyond its margin, so claims of one kind free nothing for the other. When the same steps
settled both kinds, up to 8 % of families erred; when each kind had all of α, up to 9 %.

Whether a cell *may be the best* depends on every pair: i is out where some j is better with one-sided p_ji ≤ ½ α
v_ji/Σ_j v_ji, or where the family above says so. The true best is out with probability α at most, half by each.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.paired import LEVEL, Comparison, compare, equivalent
from analysis.statistics.variances import Array, Means, over_both, over_seeds

Verdict = Literal["better", "worse", "equal", "cannot tell", "open"]
ALPHA = 1 - LEVEL
EVENLY = 0.25
"""The part of α that all comparisons share evenly."""
CAP = 10.0
"""The multiple of the median spread above which a comparison gets no more weight."""
EQUAL = 0.25
"""The part of α that goes to claims of equality, where there are margins."""
PRIMARY = 0.8
"""The part of α that goes to the comparisons that a grid declares as primary."""


@dataclass(frozen=True)
class Decision:
    """The decision on a comparison in its family: the adjusted p of a difference, and of equality within the margin.

    Both are nan where there is no test: too few seeds, no difference at any seed, or no margin.
    """

    found: Comparison
    different: float
    equal: float

    def verdict(self, sign: int) -> Verdict:
        """The verdict on a relative to b, where sign · (a − b) > 0 means better; equality comes before a difference."""
        if self.equal <= ALPHA:
            return "equal"
        if not self.different <= ALPHA:
            return "cannot tell"
        return "better" if sign * self.found.difference > 0 else "worse"


@dataclass(frozen=True)
class Open:
    """A comparison without a verdict yet; pages state its difference and interval alone."""

    found: Comparison

    def verdict(self, sign: int) -> Verdict:
        """The verdict "open", whichever direction is better."""
        return "open"


def judge(
    differences: Sequence[Array],
    *,
    margins: Sequence[float] | float = math.nan,
    beyond: Sequence[bool] = (),
    resolution: float = 0.0,
    primary: Sequence[bool] = (),
) -> list[Decision]:
    """The decisions on differences of one family, each [n] per seed or [n, m] per seed and held-out image.

    Differences that are equal at every seed and image, or negatives of each other, are one hypothesis. If `beyond` is
    True, a difference is claimed only where it exceeds its margin, else where there is any. If some comparisons are
    `primary` and others not, the primary ones share 80 % of α, and the others the rest.
    """
    each = [margins] * len(differences) if isinstance(margins, float) else list(margins)
    limits = [margin if far else 0.0 for margin, far in zip(each, beyond or [False] * len(each), strict=True)]
    number = hypotheses(differences)
    comparisons = [compare(values, resolution=resolution) for values in differences]
    tests = [_beyond(*of, resolution) for of in zip(differences, limits, comparisons, strict=True)]
    different = np.array([test.p if np.any(of) else math.nan for test, of in zip(tests, differences, strict=True)])
    equal = np.array([_equal(*of, resolution) for of in zip(differences, each, comparisons, strict=True)])
    adjusted = np.full((2, len(differences)), np.nan)
    for part, share in parts(number, primary):
        kept = share if np.isnan(equal[part]).all() else share * (1 - EQUAL)
        spread = np.array([tests[i].spread for i in part])
        adjusted[0, part] = _settled([(number[i], limits[i]) for i in part], different[part], spread) / kept
        adjusted[1, part] = _settled([(number[i], str(each[i])) for i in part], equal[part], np.ones(len(part)))
        adjusted[1, part] /= share * EQUAL
    adjusted = np.minimum(adjusted, 1)
    return [Decision(comparison, *of_one) for comparison, of_one in zip(comparisons, adjusted.T.tolist(), strict=True)]


def hypotheses(differences: Sequence[Array]) -> list[int]:
    """The number of each difference's contrast, from 0. Differences that are equal up to their sign share a number."""
    return _numbers([_key(_unsigned(values)) for values in differences])


def parts(number: Sequence[int], primary: Sequence[bool]) -> list[tuple[NDArray[np.intp], float]]:
    """The groups of differences that share an error rate, as indices, each with its part of α. `number` is the contrast
    of each difference; a contrast is primary where any of its differences is."""
    chosen = {contrast for contrast, first in zip(number, primary, strict=False) if first}
    first = np.array([contrast in chosen for contrast in number], dtype=bool)
    if first.all() or not first.any():
        return [(np.arange(len(first)), 1.0)]
    return [(np.flatnonzero(first), PRIMARY), (np.flatnonzero(~first), 1 - PRIMARY)]


def _settled(keys: Sequence[Hashable], p: Array, spread: Array) -> Array:
    """The adjusted p [k] of hypotheses; those with equal keys count as one."""
    number = _numbers(keys)
    chosen = [number.index(i) for i in range(max(number, default=-1) + 1)]
    return settle(p[chosen], spread[chosen])[number] if chosen else np.empty(0)


def _beyond(values: Array, limit: float, comparison: Comparison, resolution: float) -> Comparison:
    """The test that the difference lies beyond a limit, on the side of its mean; `comparison` is the test against 0."""
    if limit == 0 or comparison.n < 2:
        return comparison
    sign = 1 if comparison.difference > 0 else -1
    nearer = compare(values - sign * limit, resolution=resolution)
    return replace(nearer, p=min(2 * nearer.one_sided(sign), 1.0))


def _equal(differences: Array, margin: float, comparison: Comparison, resolution: float) -> float:
    if math.isnan(margin) or comparison.n < 2 or not np.any(differences):
        return math.nan
    return equivalent(differences, margin, resolution=resolution)


def _key(values: Array) -> tuple[Hashable, ...]:
    return values.shape, (values + 0.0).tobytes()


def _unsigned(values: Array) -> Array:
    """The difference, with its sign changed if its first value other than 0 is negative."""
    flat = values.ravel()
    return -values if flat[np.flatnonzero(flat)[:1]].sum() < 0 else values


def _numbers(keys: Sequence[Hashable]) -> list[int]:
    """The number of each key, from 0, in the order of their first occurrence; equal keys share a number."""
    firsts: dict[Hashable, int] = {}
    return [firsts.setdefault(key, len(firsts)) for key in keys]


def settle(p: Array, spread: Array) -> Array:
    """The adjusted p [k] of unadjusted p; nan stays nan. With equal spreads this is Holm's procedure."""
    adjusted = np.full(len(p), np.nan)
    left = np.flatnonzero(~np.isnan(p))
    v = np.zeros(len(p))
    v[left] = capped(spread[left])
    level = 0.0
    while len(left):
        ratios = p[left] / shares(v[left])
        now = int(ratios.argmin())
        level = min(max(level, float(ratios[now])), 1.0)
        adjusted[left[now]] = level
        left = np.delete(left, now)
    return adjusted


def capped(spread: Array) -> Array:
    """The v of a family's spreads [..., k], divided by their median; the median is over the spreads above 0."""
    if not spread.size:
        return spread
    counted = (spread > 0) | ~spread.any(-1, keepdims=True)
    middle = np.nanmedian(np.where(counted, spread, np.nan), axis=-1, keepdims=True)
    return np.asarray(np.square(np.minimum(spread / np.where(middle > 0, middle, 1), CAP)))


def shares(v: Array) -> Array:
    """The part of α [..., k] that each unsettled comparison gets, from the v of all of them."""
    return np.asarray(EVENLY / v.shape[-1] + (1 - EVENLY) * weights(v))


def weights(v: Array) -> Array:
    """The fractions v/Σ v [..., k]; they are equal if all v are 0."""
    total = v.sum(-1, keepdims=True)
    return np.where(total > 0, v / np.where(total > 0, total, 1), 1 / max(v.shape[-1], 1))


def beaten_by(values: Array, sign: int, resolution: float = 0.0) -> list[frozenset[int] | None]:
    """A set per cell, of the cells shown to be better, from values [k, n] or [k, n, m], nan where missing.

    The set is None for a cell that shares fewer than two seeds with every other. Cells with equal values count as one.
    """
    number = _numbers([_key(of_cell) for of_cell in values])
    own = values[[number.index(i) for i in range(max(number, default=-1) + 1)]]
    seeds = _known(own)
    beaten = [_beaten_by(own, seeds, i, sign, resolution) for i in range(len(own))]
    alike: list[list[int]] = [[] for _ in own]
    for i, n in enumerate(number):
        alike[n].append(i)
    every = [None if rivals is None else frozenset(i for j in rivals for i in alike[j]) for rivals in beaten]
    return [every[i] for i in number]


def near_best(values: Array, sign: int, margin: float, resolution: float = 0.0) -> list[bool]:
    """A flag per cell, True where the best is shown to be better by no more than a margin, if at all; values as above.

    Each cell is tested against every other, one-sided at α/k. A false claim about a cell needs an error in its test
    against the true best, so with probability 1 − α none of the k claims is false.
    """
    seeds = _known(values)
    return [_near(values, seeds, i, sign, margin, resolution) for i in range(len(values))]


def _known(values: Array) -> NDArray[np.bool_]:
    """A table [k, n], True where a cell has a value at a seed."""
    return np.asarray(np.isfinite(values).all(axis=tuple(range(2, values.ndim))))


def _near(values: Array, seeds: NDArray[np.bool_], i: int, sign: int, margin: float, resolution: float) -> bool:
    all_moments = [moments for _, moments in _against(values, seeds, i, sign, resolution)]
    alpha = 2 * ALPHA / len(values)
    return bool(all_moments) and all((each.mean + each.half_width(alpha) <= margin).all() for each in all_moments)


def _beaten_by(values: Array, seeds: NDArray[np.bool_], i: int, sign: int, resolution: float) -> frozenset[int] | None:
    """The rivals that are shown to be better than cell i."""
    tested = _against(values, seeds, i, sign, resolution)
    if not tested:
        # A cell without any rival cannot be worse than one.
        return frozenset() if len(values) == 1 else None
    share = weights(capped(np.concatenate([moments.spread for _, moments in tested])))
    better: set[int] = set()
    start = 0
    for rivals, moments in tested:
        alpha = ALPHA / 2 * share[start : start + len(rivals)]
        start += len(rivals)
        # A one-sided test at α is a two-sided one at 2α.
        ends = moments.half_width(np.maximum(2 * alpha, 1e-300))
        better.update(rivals[np.flatnonzero((moments.mean > ends) & (alpha > 0))].tolist())
    return frozenset(better)


def _against(
    values: Array, known: NDArray[np.bool_], i: int, sign: int, resolution: float
) -> list[tuple[NDArray[np.intp], Means]]:
    """The rivals of cell i with at least two common seeds, in groups, each with the moments of its lead over i. A
    larger sign · value is better."""
    groups = [group for group in _by_seeds(known, i) if len(group[1]) > 1]
    differences = [sign * (values[np.ix_(rivals, seeds)] - values[i, seeds]) for rivals, seeds in groups]
    return [
        (rivals, _moments(difference, resolution)) for (rivals, _), difference in zip(groups, differences, strict=True)
    ]


def _by_seeds(seeds: NDArray[np.bool_], i: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The rivals of cell i, grouped by the seeds that they share with it, and these seeds; `seeds` is [k, n]."""
    common = seeds & seeds[i]
    number = np.array(_numbers([row.tobytes() for row in common]))
    number[i] = -1
    groups = [np.flatnonzero(number == g) for g in range(number.max() + 1)]
    return [(rivals, np.flatnonzero(common[rivals[0]])) for rivals in groups if len(rivals)]


def _moments(differences: Array, resolution: float) -> Means:
    return over_seeds(differences, resolution) if differences.ndim == 2 else over_both(differences)
