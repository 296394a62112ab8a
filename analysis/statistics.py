"""Paired tests, and verdicts on many comparisons at once: functions on arrays.

    mean over n seeds           x̄ ± t_{0.975, n−1} s/√n
    two cells, paired by seed   d_s = a_s − b_s, and the same of d
    equal within a margin       |δ| < margin by two one-sided tests (Schuirmann 1987)
    two independent means       SE² = SE_a² + SE_b², ν = SE⁴ / (SE_a⁴/ν_a + SE_b⁴/ν_b) (Welch 1947, Satterthwaite 1946)

The comparisons j of a family share an error rate α of 5 %. Those whose seeds lie far from 0 get more of it:

    q_j = Σ_s d_js²        v_j = min(q_j, 10 · median q)²        w_j(A) = ¼/|A| + ¾ v_j/Σ_A v

Of the set A of comparisons that are not settled, the one with the least p_j/w_j(A) is settled if that is at most α, and
leaves A. If no difference is real, the directions of normal errors over seeds are independent of their lengths, so any
q may be looked at beforehand (Kropf & Läuter 2002; Westfall, Kropf & Finos 2004). With w_j = 1/|A| this is Holm's
procedure. Claims of equality have a part of α to themselves.

A cell may be the best unless some other is better with one-sided p_ji ≤ ½ α v_ji/Σ_j v_ji, or a listed comparison says
so.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

LEVEL = 0.95
ALPHA = 1 - LEVEL
EVENLY = 0.25
"""The part of α that all comparisons of a family share evenly."""
CAP = 10.0
"""The multiple of the median spread above which a comparison gets no more weight."""
EQUAL = 0.25
"""The part of α that goes to claims of equality, where there are margins."""
PRIMARY = 0.8
"""The part of α that goes to primary comparisons, where a grid declares any."""


def quantile(alpha: Any, df: Any) -> Any:
    """The value t beyond which both tails of Student's distribution together hold α."""
    return -special.stdtrit(df, np.asarray(alpha) / 2)


def mean_interval(values: Sequence[float] | Array) -> tuple[float, float]:
    """(mean, half-width) of Student's 95 % interval of [n] values; half-width nan at n = 1, both at n = 0."""
    own = Paired.of(np.asarray(values, dtype=np.float64))
    return float(own.mean), float(own.half_width())


@dataclass(frozen=True, eq=False)
class Estimate:
    """Means [...] with their `variance`, and the degrees of freedom `df` of Student's distribution about them.

    Below two seeds there is no variance, and so no interval and no p (nan).
    """

    mean: Array
    variance: Array
    df: NDArray[Any]

    def half_width(self, alpha: Any = ALPHA) -> Array:
        """The half-width of the interval of level 1 − α; 0 where nothing varies, however small α is."""
        with np.errstate(invalid="ignore"):
            return np.where(self.variance == 0, 0.0, np.sqrt(self.variance) * quantile(alpha, self.df))

    def p(self, shift: Any = 0.0) -> Array:
        """The two-sided p of δ + shift = 0: 1 for a mean of 0, 0 for any other mean without variance."""
        mean = self.mean + shift
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(mean) / np.sqrt(self.variance)
        return np.where((mean == 0) & (self.df > 0), 1.0, 2 * special.stdtr(self.df, -t))

    def one_sided(self, sign: int, shift: Any = 0.0) -> Array:
        """The p of the claim that sign · (δ + shift) > 0."""
        p = self.p(shift)
        return np.where(sign * (self.mean + shift) > 0, p / 2, 1 - p / 2)

    def equal(self, margin: float) -> Array:
        """The p of the claim |δ| < margin; nan where there is no margin."""
        return np.maximum(self.one_sided(1, margin), self.one_sided(-1, -margin))

    def less(self, other: Estimate) -> Estimate:
        """The mean less an independent one, by Welch's variance and Satterthwaite's degrees of freedom."""
        variance = self.variance + other.variance
        with np.errstate(divide="ignore", invalid="ignore"):
            df = variance**2 / (self.variance**2 / self.df + other.variance**2 / other.df)
        return Estimate(self.mean - other.mean, variance, np.where(variance == 0, self.df + other.df, df))


@dataclass(frozen=True, eq=False)
class Paired(Estimate):
    """The moments of differences [..., N], nan where a seed is missing: their means with the standard deviation `sd`
    between seeds, `spread` Σ_s d_s², and the number `n` of seeds; all [...]."""

    sd: Array
    spread: Array
    n: NDArray[np.intp]

    @staticmethod
    def of(differences: Array, resolution: float = 0.0) -> Paired:
        """The moments of differences that come in steps of `resolution` (0: they do not).

        Counted values can repeat by chance, and then s is too small: the variance is at least the q²/(6n) that two
        roundings to steps of q add to a difference.
        """
        present = np.isfinite(differences)
        values, n = np.where(present, differences, 0.0), present.sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = values.sum(-1) / n
            sd = np.sqrt(np.square(np.where(present, values - np.expand_dims(mean, -1), 0.0)).sum(-1) / (n - 1))
            variance = np.maximum(np.square(sd) / n, resolution**2 / (6 * n))
        return Paired(mean, variance, n - 1, sd, np.square(values).sum(-1), n)


@dataclass(frozen=True)
class Decision:
    """A comparison's adjusted p of a difference, and of equality within its margin; nan where there is no test."""

    different: float = math.nan
    equal: float = math.nan


def judge(
    differences: Sequence[Array],
    margins: Sequence[float],
    *,
    beyond: Sequence[bool],
    primary: Sequence[bool],
    resolution: float = 0.0,
    alpha: float = ALPHA,
) -> list[Decision]:
    """The decisions on differences [n] of one family, which share the error rate `alpha`; each adjusted p is to be held
    against `ALPHA`.

    Differences that are equal at every seed, or negatives of each other, are one hypothesis. Where `beyond` is True, a
    difference is claimed only where it exceeds its margin. If some are `primary` and others not, the primary ones share
    80 % of α, and the others the rest.
    """
    number = numbered([_key(_unsigned(values)) for values in differences])
    limits = [margin if far else 0.0 for margin, far in zip(margins, beyond, strict=True)]
    p, spread, adjusted = np.full((3, 2, len(differences)), np.nan)
    for j, values in enumerate(differences):
        if np.any(values) and len(values) > 1:
            p[0, j], spread[0, j] = _beyond(values, limits[j], resolution)
            p[1, j], spread[1, j] = Paired.of(values, resolution).equal(margins[j]), 1.0
    for part, share in parts(number, primary):
        shares = (share if np.isnan(p[1, part]).all() else share * (1 - EQUAL), share * EQUAL)
        for kind, bounds in enumerate((limits, margins)):
            keys = [(number[i], str(bounds[i])) for i in part]
            adjusted[kind, part] = _settled(keys, p[kind, part], spread[kind, part]) / shares[kind]
    return [Decision(*of_one) for of_one in np.minimum(adjusted * (ALPHA / alpha), 1).T.tolist()]


def parts(number: Sequence[int], primary: Sequence[bool]) -> list[tuple[NDArray[np.intp], float]]:
    """The groups of differences that share an error rate, as indices, each with its part of α. `number` is the contrast
    of each difference; a contrast is primary where any of its differences is."""
    first = np.isin(number, [contrast for contrast, chosen in zip(number, primary, strict=True) if chosen])
    if first.all() or not first.any():
        return [(np.arange(len(first)), 1.0)]
    return [(np.flatnonzero(first), PRIMARY), (np.flatnonzero(~first), 1 - PRIMARY)]


def _beyond(values: Array, limit: float, resolution: float) -> tuple[float, float]:
    """The p that a difference lies beyond a limit on the side of its mean, and the spread that weighs it."""
    own = Paired.of(values, resolution)
    if limit == 0:
        return float(own.p()), float(own.spread)
    sign = 1 if own.mean > 0 else -1
    nearer = Paired.of(values - sign * limit, resolution)
    return min(2 * float(nearer.one_sided(sign)), 1.0), float(nearer.spread)


def _settled(keys: Sequence[Hashable], p: Array, spread: Array) -> Array:
    """The adjusted p [k] of hypotheses; those with equal keys count as one."""
    number = np.array(numbered(keys), dtype=np.intp)
    first = np.unique(number, return_index=True)[1]
    return settle(p[first], spread[first])[number]


def settle(p: Array, spread: Array) -> Array:
    """The adjusted p [k] of unadjusted p; nan stays nan. With equal spreads this is Holm's procedure."""
    adjusted, v = np.full((2, len(p)), np.nan)
    left = np.flatnonzero(~np.isnan(p))
    v[left] = capped(spread[left])
    level = 0.0
    while len(left):
        ratios = p[left] / (EVENLY / len(left) + (1 - EVENLY) * weights(v[left]))
        now = int(ratios.argmin())
        level = min(max(level, float(ratios[now])), 1.0)
        adjusted[left[now]] = level
        left = np.delete(left, now)
    return adjusted


def capped(spread: Array) -> Array:
    """The v of a family's spreads [k], divided by the median of those above 0."""
    middle = np.median(spread[spread > 0]) if spread.any() else 1.0
    return np.square(np.minimum(spread / middle, CAP))


def weights(v: Array) -> Array:
    """The fractions v/Σ v [k]; they are equal if all v are 0."""
    total = v.sum()
    return v / total if total > 0 else np.full(len(v), 1 / max(len(v), 1))


def leads(values: Array, sign: int, resolution: float) -> Paired:
    """The leads [k, k] of cell j over cell i from values [k, N], nan where missing, without seeds over itself; a larger
    sign · value is better."""
    ahead = sign * (values - values[:, None])
    ahead[np.diag_indices(len(values))] = np.nan
    return Paired.of(ahead, resolution)


def beaten_by(values: Array, sign: int, resolution: float = 0.0) -> list[frozenset[int] | None]:
    """A set per cell, of the cells shown to be better, from values [k, n], nan where missing.

    The set is None for a cell that shares fewer than two seeds with every other. Cells with equal values count as one.
    """
    number = np.array(numbered([_key(of_cell) for of_cell in values]), dtype=np.intp)
    own = values[np.unique(number, return_index=True)[1]]
    lead = leads(own, sign, resolution)
    share, rivals = np.zeros(lead.n.shape), lead.n > 1
    for i, of in enumerate(rivals):
        share[i, of] = weights(capped(lead.spread[i, of]))
    # A one-sided test at ½ α is a two-sided one at α. A cell without any other cannot be worse than one.
    better = (share > 0) & (lead.mean > lead.half_width(np.maximum(ALPHA * share, 1e-300)))
    return sets(better[np.ix_(number, number)], np.any(rivals, axis=1)[number] | (len(own) == 1))


def sets(better: NDArray[np.bool_], tested: NDArray[np.bool_]) -> list[frozenset[int] | None]:
    """The set of each row of flags [k, k]; None where nothing was `tested`."""
    rows = (frozenset(np.flatnonzero(row).tolist()) for row in better)
    return [row if any_test else None for row, any_test in zip(rows, tested, strict=True)]


def _key(values: Array) -> tuple[Hashable, ...]:
    return values.shape, (values + 0.0).tobytes()


def _unsigned(values: Array) -> Array:
    """The difference, with its sign changed if its first value other than 0 is negative."""
    return -values if values[np.flatnonzero(values)[:1]].sum() < 0 else values


def numbered(keys: Sequence[Hashable]) -> list[int]:
    """The number of each key, from 0, in the order of their first occurrence; equal keys share a number."""
    firsts: dict[Hashable, int] = {}
    return [firsts.setdefault(key, len(firsts)) for key in keys]
