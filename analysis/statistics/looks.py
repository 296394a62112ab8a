"""Looks at comparisons while seeds are added: the looks are planned beforehand, and the error rate is spent over them.

The looks are at n_1 < … < n_L = n_max seeds. Of the error rate α, look l gets the part

    w_l = (n_l² − n_{l−1}²)/n_max²,   Σ_l w_l = 1:   little early, where seeds are few, and most at the end

Each of m comparisons, declared beforehand, has two p at look l: that there is a difference (paired t,
`paired.compare`), and that |δ| is below the margin (two one-sided tests, `paired.equivalent`). After r claims of
differences, by Holm's steps within a look and from look to look, one more is made where

    p ≤ α w_l/(m − r)                           if there are no margins, else
    p ≤ α w_l min(1/m, 0.8/(m − 1))             for r = 0
    p ≤ α w_l 0.8/(m − r)                       for r > 0;    equalities have steps of their own, with 0.2 for 0.8

Comparisons whose p of a difference exceeds ½ have no prospect and get no more seeds. If seeds come for another reason,
they are tested all the same.

No more than α of all grids make a false claim, whatever the dependences and whatever stops when:

    A set K of true null hypotheses has at most one of each comparison, δ = 0 or |δ| ≥ margin, since both are never
    true. It is rejected at look l where a hypothesis in it has p ≤ α w_l · share. The shares are 1/|K| each if all of K
    are of one kind, else 0.8/h for each of its h differences and 0.2/e for each of its e equalities. A true K is
    rejected with probability Σ_l α w_l = α at most: a union bound over its hypotheses and over looks. By the closed
    test, a hypothesis may be claimed once all K that contain it are rejected. Those that contain an earlier claim are
    rejected already. In the others, a difference has a share of at least 0.8/(m − r) after a first claim; before it,
    of 1/m where K has all differences, or 0.8/(m − 1) where it has fewer. Equalities likewise.

    Claims of one kind must not shorten the steps of the other: if a comparison with either claim counted for both, ten
    comparisons with δ = 0 and a margin of 4 standard errors would make false claims in nearly 3 α of all grids.

Likewise, all intervals  mean ± t(1 − α w_l/2m) SE  of all comparisons at all looks hold together with probability 1 −
α, and so do the intervals shown at the stop. `evidence.looks` has the rates by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, permutations

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.families import ALPHA, Verdict
from analysis.statistics.paired import Comparison, compare, equivalent, moments
from analysis.statistics.variances import Array

SHARES = (0.8, 0.2)
"""The parts of α that differences and equalities have, where both can be claimed."""
FUTILE = 0.5
"""The p of a difference above which more seeds have no prospect."""

Differences = Sequence[Array | None]
"""The values of each comparison, [n] per seed, or [n, m] per seed and held-out image; None where it has no part in a
look."""


@dataclass(frozen=True)
class Looks:
    """The plan of looks: the numbers of seeds at which comparisons are looked at, ascending."""

    seeds: tuple[int, ...]

    @property
    def most(self) -> int:
        """The number of seeds at the last look."""
        return self.seeds[-1]

    @property
    def weights(self) -> dict[int, float]:
        """The part of α that each look may spend, by its number of seeds."""
        return {n: (n**2 - before**2) / self.most**2 for before, n in pairwise((0, *self.seeds))}


@dataclass(frozen=True)
class Looked:
    """The decision on a comparison after the looks so far: the number of seeds at which it was first called `different`
    or `equal`, or was `dropped`; None where it was not.

    `found` is the comparison at its last look, and `half_width` that of its interval there, which holds together with
    those of all looks and comparisons; nan below two seeds. `direction` is the sign of the difference when it was
    claimed.
    """

    found: Comparison
    half_width: float = math.nan
    different: int | None = None
    equal: int | None = None
    dropped: int | None = None
    direction: int = 0

    @property
    def settled(self) -> bool:
        """True where anything is claimed of it."""
        return self.different is not None or self.equal is not None

    @property
    def open(self) -> bool:
        """True where more seeds are wanted for it."""
        return not self.settled and self.dropped is None

    def verdict(self, sign: int) -> Verdict:
        """The verdict on a relative to b, where sign · (a − b) > 0 means better; equality comes before a difference."""
        if self.equal is not None:
            return "equal"
        if self.different is None:
            return "cannot tell"
        return "better" if sign * self.direction > 0 else "worse"


def begin(count: int) -> list[Looked]:
    """The state of `count` comparisons before the first look."""
    return [Looked(Comparison(math.nan, math.nan, math.nan, 0, math.nan))] * count


def follow(
    plan: Looks,
    count: int,
    first: Callable[[int], Differences],
    *,
    margins: Sequence[float] | float = math.nan,
    resolution: float = 0.0,
) -> list[Looked]:
    """The state of `count` comparisons after all looks; `first(n)` gives their differences over the first n seeds."""
    standings = begin(count)
    for n in plan.seeds:
        standings = look(plan, n, standings, first(n), margins=margins, resolution=resolution)
    return standings


def look(
    plan: Looks,
    n: int,
    before: Sequence[Looked],
    differences: Differences,
    *,
    margins: Sequence[float] | float = math.nan,
    resolution: float = 0.0,
) -> list[Looked]:
    """The comparisons after the look at n seeds, from their state `before`; a margin of nan means no claim of equality.

    A decision depends on these seeds and on the decisions at fewer seeds, and on nothing else.
    """
    each = [margins] * len(before) if isinstance(margins, float) else list(margins)
    spent = ALPHA * plan.weights[n]
    p = np.full((2, len(before)), np.nan)
    now = list(before)
    for j, (values, margin) in enumerate(zip(differences, each, strict=True)):
        if values is not None and len(values) > 1:
            now[j] = _looked_at(before[j], values, spent / len(before), resolution)
            p[0, j] = now[j].found.p
            p[1, j] = math.nan if math.isnan(margin) else equivalent(values, margin, resolution=resolution)
    claimed = np.array(
        [[looked.different is not None for looked in before], [looked.equal is not None for looked in before]]
    )
    after = claims(p, claimed, ~np.isnan(np.asarray(each, dtype=np.float64)), spent)
    new = after & ~claimed
    return [_with(looked, n, p[0, j] > FUTILE, different=new[0, j], equal=new[1, j]) for j, looked in enumerate(now)]


def _looked_at(before: Looked, values: Array, alpha: float, resolution: float) -> Looked:
    width = float(moments(values, resolution).half_width(alpha))
    return replace(before, found=compare(values, resolution=resolution), half_width=width)


def _with(looked: Looked, n: int, futile: np.bool_, *, different: np.bool_, equal: np.bool_) -> Looked:
    """The comparison, updated by the claims of a look at n seeds."""
    if different:
        looked = replace(looked, different=n, direction=int(np.sign(looked.found.difference)))
    if equal:
        looked = replace(looked, equal=n)
    return replace(looked, dropped=n) if futile and looked.open else looked


@dataclass(frozen=True, eq=False)
class Taken:
    """The values of k cells, [k, N] or [k, N, m], nan where missing; `seeds` has the number of seeds of each cell.

    Cells that are not `declared` to be compared are looked at once, at the first look, and so is every pair with one of
    them. Where a seed has several columns, `columns` is n → the number of columns of the first n seeds.
    """

    plan: Looks
    values: Array
    seeds: Sequence[int]
    declared: Sequence[bool]
    columns: Mapping[int, int] = field(default_factory=dict)

    def looks(self) -> Iterator[tuple[int, int, int, float, bool]]:
        """Cells i and j, the number of seeds of a look that both took, its part of α, and True if it is their last."""
        for i, j in permutations(range(len(self.values)), 2):
            if not (self.declared[i] and self.declared[j]):
                yield i, j, self.plan.seeds[0], 1.0, True
                continue
            both = min(self.seeds[i], self.seeds[j])
            for n, weight in self.plan.weights.items():
                if n <= both:
                    yield i, j, n, weight, n == both

    def ahead(self, i: int, j: int, n: int, alpha: float, sign: int, resolution: float) -> tuple[float, float] | None:
        """The ends of the interval of cell j's lead over i in the first n seeds; None below two common seeds."""
        first = self.columns.get(n, n)
        difference = sign * (self.values[j, :first] - self.values[i, :first])
        common = np.isfinite(difference.reshape(len(difference), -1)).all(-1)
        if common.sum() < 2:
            return None
        ahead = moments(difference[common], resolution)
        half = float(ahead.half_width(alpha))
        return float(ahead.mean) - half, float(ahead.mean) + half


def beaten_by(taken: Taken, sign: int, resolution: float = 0.0) -> list[frozenset[int] | None]:
    """A set per cell, of the cells shown to be better; None for a cell without two seeds in common with any other.

    At each look that both took, the test is one-sided at ½ α w_l/(k − 1). So the probability that any other cell beats
    the true best at any look is ½ α at most, as in `families`.
    """
    k = len(taken.values)
    beaten: list[set[int] | None] = [None] * k
    for i, j, n, weight, _ in taken.looks():
        ends = taken.ahead(i, j, n, ALPHA * weight / (k - 1), sign, resolution)
        if ends is not None:
            beaten[i] = (beaten[i] or set()) | ({j} if ends[0] > 0 else set())
    return [None if rivals is None else frozenset(rivals) for rivals in beaten]


def near_best(taken: Taken, sign: int, margin: float, resolution: float = 0.0) -> list[bool]:
    """A flag per cell, True where the best is shown to be better by no more than a margin (`families.near_best`). Two
    cells are tested at the last look that both took, one-sided at α w_l/k."""
    k = len(taken.values)
    near: list[bool | None] = [None] * k
    for i, j, n, weight, last in taken.looks():
        ends = taken.ahead(i, j, n, 2 * ALPHA * weight / k, sign, resolution) if last else None
        if ends is not None:
            near[i] = near[i] is not False and bool(ends[1] <= margin)
    return [bool(kept) for kept in near]


def claims(p: Array, claimed: NDArray[np.bool_], margin: NDArray[np.bool_], spent: float) -> NDArray[np.bool_]:
    """The claims about k comparisons, differences and equalities, after a look that may spend the error rate `spent`.

    `p` [..., 2, k] is nan where there is no test. `claimed` has the earlier claims, and `margin` [k] is True for
    comparisons that could be called equal.
    """
    while True:
        level = np.stack([_level(claimed[..., i, :], margin, share) for i, share in enumerate(SHARES)], axis=-1)
        after = claimed | (p <= spent * level[..., None])
        if (after == claimed).all():
            return np.asarray(after)
        claimed = after


def _level(claimed: NDArray[np.bool_], margin: NDArray[np.bool_], share: float) -> Array:
    """The part of a look's error that the next claim of one kind may take, [...], given the claims so far, [..., k]."""
    k, before = claimed.shape[-1], claimed.sum(-1)
    left = np.maximum(k - before, 1)
    if not margin.any():
        return np.asarray(1 / left)
    first = min(1 / k, share / (k - 1)) if k > 1 else 1.0
    return np.asarray(np.where(before > 0, share / left, first))
