"""Which of many comparisons are claims: one rule for whatever a page says of a metric.

Comparisons j of one family, each with its paired t-test p_j (`paired`), share an error rate of α = 5 %. Those whose
seeds lie far from 0 get more of it. While A are the comparisons not settled yet,

    q_j = Σ_s d_js²        v_j = min(q_j, 10 · median q)²        w_j(A) = ¼/|A| + ¾ v_j/Σ_A v
    settled is the j with the least p_j/w_j(A), if that is at most α; then A loses it, and so on

Under its null hypothesis t_j is independent of q_j (of a spherical sample, direction and length are), so q_j may be
looked at beforehand: Kropf & Läuter 2002; Westfall, Kropf & Finos 2004. Weights only grow as A shrinks, so the steps
are those of a closed test. With w_j = 1/|A| this is Holm's procedure. The cap keeps one noisy comparison from taking
all; `benchmarks.inference` has the error rates and the power by simulation.

A comparison is *equal for practical purposes* where |δ| < margin by two one-sided tests (Schuirmann 1987), whose p is
held against min(w_j, 1/|A|) α. δ = 0 and |δ| ≥ margin exclude each other, so of both claims one at most can be false,
and the family's error stays what it is.

Which cell *may be the best* takes every pair: i is out where some j is better with one-sided p_ji ≤ ½ α v_ji/Σ_j v_ji,
or where the family above says so. The true best is out with no more than α: half of it by each.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.paired import LEVEL, Comparison, compare, equivalent
from analysis.statistics.variances import Array, Moments, over_both, over_seeds

Verdict = Literal["better", "worse", "equal", "cannot tell"]
ALPHA = 1 - LEVEL
EVENLY = 0.25
"""The part of α that all comparisons share evenly."""
CAP = 10.0
"""Times the median spread above which a comparison gets no more weight."""
PRIMARY = 0.8
"""The part of α that goes to the comparisons that a grid declares as primary."""
EVERY_PAIR_UP_TO = 200
"""Cells up to which each is held against each to find which may be the best; of more, each against the best mean."""


@dataclass(frozen=True)
class Decision:
    """A comparison in its family: the adjusted p that there is a difference, and that it is below the margin.

    Both are nan where there is no test: too few seeds, no difference at any seed, or no margin.
    """

    found: Comparison
    different: float
    equal: float

    def verdict(self, sign: int) -> Verdict:
        """What is said of a relative to b, where sign · (a − b) > 0 means better; equality before a difference."""
        if self.equal <= ALPHA:
            return "equal"
        if not self.different <= ALPHA:
            return "cannot tell"
        return "better" if sign * self.found.difference > 0 else "worse"


def judge(
    differences: Sequence[Array],
    *,
    margins: Sequence[float] | float = math.nan,
    resolution: float = 0.0,
    primary: Sequence[bool] = (),
) -> list[Decision]:
    """The decisions on differences, each [n] per seed or [n, m] per seed and held-out image, that are one family.

    Differences that are equal at every seed and image are one hypothesis. Where some are `primary` and others not,
    the former share 80 % of α among themselves, and the others what is left.
    """
    each = [margins] * len(differences) if isinstance(margins, float) else list(margins)
    first = primary if primary else [False] * len(differences)
    number = _numbers([(*_key(one), margin, prime) for one, margin, prime in zip(differences, each, first, strict=True)])
    chosen = [number.index(i) for i in range(max(number, default=-1) + 1)]
    found = [compare(differences[i], resolution=resolution) for i in chosen]
    equal = [_equal(differences[i], each[i], one, resolution) for i, one in zip(chosen, found, strict=True)]
    adjusted = np.full((2, len(chosen)), np.nan)
    for part, share in _parts(np.array([first[i] for i in chosen], dtype=bool)):
        different = np.array([found[i].p if np.any(differences[chosen[i]]) else math.nan for i in part])
        told = settle(different, np.array([found[i].spread for i in part]), np.array([equal[i] for i in part]))
        adjusted[:, part] = np.minimum(told / share, 1)
    return [Decision(found[i], float(adjusted[0, i]), float(adjusted[1, i])) for i in number]


def _parts(primary: NDArray[np.bool_]) -> list[tuple[NDArray[np.intp], float]]:
    """The comparisons that share an error rate, and the part of α that is theirs."""
    if primary.all() or not primary.any():
        return [(np.arange(len(primary)), 1.0)]
    return [(np.flatnonzero(primary), PRIMARY), (np.flatnonzero(~primary), 1 - PRIMARY)]


def _equal(differences: Array, margin: float, found: Comparison, resolution: float) -> float:
    return math.nan if math.isnan(margin) or found.n < 2 else equivalent(differences, margin, resolution=resolution)


def _key(values: Array) -> tuple[Hashable, ...]:
    return values.shape, (values + 0.0).tobytes()


def _numbers(keys: Sequence[Hashable]) -> list[int]:
    """The number of each key, from 0, in the order in which they come first."""
    known: dict[Hashable, int] = {}
    return [known.setdefault(key, len(known)) for key in keys]


def settle(different: Array, spread: Array, equal: Array) -> Array:
    """The adjusted p [2, k], of differences and of equalities, from the plain ones [k]; nan stays nan.

    Both claims of a comparison are settled when one is, at the weight that it has then.
    """
    adjusted = np.full((2, len(different)), np.nan)
    left = np.flatnonzero(~np.isnan(different))
    level = 0.0
    while len(left) and level < 1:
        own = EVENLY / len(left) + (1 - EVENLY) * weights(spread[left])
        both = np.stack([different[left] / own, equal[left] / np.minimum(own, 1 / len(left))])
        least = np.fmin(both[0], both[1])
        now = int(least.argmin())
        adjusted[:, left[now]] = np.minimum(np.maximum(both[:, now], level), 1)
        level = max(level, float(least[now]))
        left = np.delete(left, now)
    adjusted[:, left] = 1
    return np.where(np.isnan([different, equal]), np.nan, adjusted)


def weights(spread: Array) -> Array:
    """v/Σ v of spreads [k]: even where all are 0, else a spread of 0 has none."""
    if not spread.any():
        return np.full(len(spread), 1 / max(len(spread), 1))
    middle = float(np.median(spread[spread > 0]))
    v = np.square(np.minimum(spread / middle, CAP))
    return np.asarray(v / v.sum())


def may_be_best(values: Array, sign: int, resolution: float = 0.0) -> list[bool | None]:
    """Which of k cells no other is shown to be better than, from their values [k, n] or [k, n, m], nan where missing.

    None is a cell that shares fewer than two seeds with any other. Cells with equal values are one.
    """
    number = _numbers([_key(one) for one in values])
    own = np.array([number.index(i) for i in range(max(number, default=-1) + 1)], dtype=np.intp)
    kept = [_kept(values[own], i, sign, resolution) for i in range(len(own))]
    return [kept[i] for i in number]


def _kept(values: Array, i: int, sign: int, resolution: float) -> bool | None:
    """Whether no rival is shown to be better than cell i."""
    tested = [group for group in _by_seeds(values, i) if len(group[1]) > 1]
    if not tested:
        # With itself alone there is nothing that it could be worse than.
        return True if len(values) == 1 else None
    moments = [_moments(sign * (values[np.ix_(rivals, seeds)] - values[i, seeds]), resolution) for rivals, seeds in tested]
    share = weights(np.concatenate([one.spread for one in moments]))
    start = 0
    for one in moments:
        alpha = ALPHA / 2 * share[start : start + len(one.mean)]
        start += len(one.mean)
        # A one-sided test at α is a two-sided one at 2α.
        if (one.mean > one.half_width(np.maximum(2 * alpha, 1e-300)))[alpha > 0].any():
            return False
    return True


def _by_seeds(values: Array, i: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The rivals of cell i that have the same seeds in common with it, and these seeds."""
    known = np.isfinite(values).reshape(*values.shape[:2], -1).all(-1)
    common = known & known[i]
    number = np.array(_numbers([row.tobytes() for row in common]))
    groups = [np.flatnonzero((number == g) & (np.arange(len(values)) != i)) for g in range(number.max() + 1)]
    return [(rivals, np.flatnonzero(common[rivals[0]])) for rivals in groups if len(rivals)]


def _moments(differences: Array, resolution: float) -> Moments:
    return over_seeds(differences, resolution) if differences.ndim == 2 else over_both(differences)
