"""The number of fresh seeds that would show each difference of a grid, judging by the seeds that it has.

A grid of n fresh seeds is judged as one family again (`families`), so what a comparison needs depends on all others. A
few seeds determine a mean and a spread only roughly, and taking both at face value promises too much. So grids are
drawn, each with a truth that the old seeds allow, and judged by that rule:

    σ_r²          s² (n₀ − 1)/χ²_{n₀−1}                                    of n₀ old seeds' differences
    δ_r           d̄ + σ_r/√n₀ · normal                                    which together are Student's t
    d_s           δ_r + σ_r · normal, correlated over comparisons as the old seeds are
    told at n     step by step, |d̄| ≥ √(t²_{n−1} V_1 + t²_{m−1} V_2) at the part of α that is the comparison's

The result is the least n at which a comparison is told in 80 % of these grids. The held-out images stay the same, so
V_2 stays too. The number ignores one effect: where most differences are small, a difference that could not be told
looks larger than it is on average. `evidence.prospects` shows how often the number suffices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.families import ALPHA, EQUAL, EVENLY, capped, hypotheses, parts, weights
from analysis.statistics.paired import moments
from analysis.statistics.variances import IMAGES_REACH, Array, Means, quantile

POWER = 0.8
REPEATS = 300
"""The number of grids that are drawn: a power of 80 % is then known to ± 2.3 %."""
NUMBERS = (*range(2, 17), 18, 20, 22, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100)
"""The numbers of seeds that are tried."""
LEVELS = 127
"""The number of levels, evenly spaced in the logarithm from α down to its even share, to which a p is rounded up."""


@dataclass(frozen=True, eq=False)
class Prospects:
    """The fresh seeds that would show each difference of a family, [n] per seed or [n, m] per seed and held-out image;
    all arguments are as for `families.judge`."""

    differences: Sequence[Array]
    margins: Sequence[float]
    resolution: float
    primary: Sequence[bool]

    def of(self, i: int) -> int | None:
        """The number of seeds for the i-th difference; None where 100 do not suffice, or there is no test."""
        return self._seeds[i]

    @cached_property
    def _seeds(self) -> list[int | None]:
        number = hypotheses(self.differences)
        chosen = [number.index(i) for i in range(max(number, default=-1) + 1)]
        tested = [i for i in chosen if np.any(self.differences[i]) and len(self.differences[i]) > 1]
        least = dict(zip((number[i] for i in tested), self._least(tested) if tested else (), strict=True))
        return [least.get(i) for i in number]

    def _least(self, tested: Sequence[int]) -> list[int | None]:
        """The least number of seeds at which each of these differences reaches the power."""
        least: list[int | None] = [None] * len(tested)
        families = self._families(tested)
        for means in self._grids(tested):
            power = np.zeros(len(tested))
            for part, alpha in families:
                power[part] = detected(means.at((slice(None), part)), alpha).mean(0)
            least = [n or (means.seeds if rate >= POWER else None) for n, rate in zip(least, power, strict=True)]
            if all(least):
                break
        return least

    def _families(self, tested: Sequence[int]) -> list[tuple[NDArray[np.intp], float]]:
        """The comparisons that share an error rate, as indices, and the error rate of their differences."""
        number = hypotheses(self.differences)
        margins = np.array([self.margins[i] for i in tested])
        primary = [any(first for n, first in zip(number, self.primary, strict=True) if n == number[i]) for i in tested]
        return [
            (part, ALPHA * share * (1 if np.isnan(margins[part]).all() else 1 - EQUAL))
            for part, share in parts(range(len(tested)), primary)
        ]

    def _grids(self, tested: Sequence[int]) -> Iterator[Means]:
        """The moments [grids, comparisons] of the drawn grids, from the fewest seeds to the most."""
        each = [self.differences[i] for i in tested]
        old, factors, shape = [moments(values) for values in each], _factors(each), (REPEATS, len(each))
        rng, free = np.random.default_rng(0), np.array([means.seeds - 1 for means in old])
        scale = np.sqrt(free / rng.chisquare(free, size=shape))
        by_images = np.array([means.by_images for means in old])

        def drawn() -> Array:
            return np.asarray(scale * (rng.normal(size=(REPEATS, len(factors))) @ factors))

        truth = np.array([means.mean for means in old]) + drawn() / np.sqrt(free + 1)
        total, squares = np.zeros(shape), np.zeros(shape)
        for n in range(1, NUMBERS[-1] + 1):
            seed = drawn()
            total, squares = total + seed, squares + seed**2
            if n in NUMBERS:
                mean, around = truth + total / n, squares - total**2 / n
                by_seeds = np.maximum(around / (n * (n - 1)), self.resolution**2 / (6 * n))
                spread = np.maximum(n * mean**2 + around, IMAGES_REACH**2 * n * by_images)
                images = np.broadcast_to(by_images, shape)
                yield Means(mean, by_seeds, images, n, max(means.images for means in old), spread)


def detected(means: Means, alpha: float) -> NDArray[np.bool_]:
    """A table [grids, k], True where the steps of `families.settle` show that a comparison differs, at α in all."""
    p, v = _rounded_p(means, alpha), capped(means.spread)
    decided = np.zeros(p.shape, dtype=bool)
    while True:
        left = ~decided
        share = EVENLY / np.maximum(left.sum(-1, keepdims=True), 1) + (1 - EVENLY) * weights(np.where(left, v, 0))
        more = left & (p <= alpha * share)
        if not more.any():
            return decided
        decided |= more


def _rounded_p(means: Means, alpha: float) -> Array:
    """The p of means [grids, k], rounded up to the next of the levels between α's even share and α; 1 above α."""
    levels = alpha * np.geomspace(1, EVENLY / means.mean.shape[-1], LEVELS)
    by_seeds, by_images = (np.square(quantile(levels, max(n - 1, 1))) for n in (means.seeds, means.images))
    square, passed = means.mean**2, np.zeros(means.mean.shape, dtype=np.intp)
    for step in 2 ** np.arange(int(math.log2(LEVELS)), -1, -1):
        level = passed + step - 1
        passed += step * (square >= means.by_seeds * by_seeds[level] + means.by_images * by_images[level])
    return np.concatenate([[1.0], levels])[passed]


def _factors(differences: Sequence[Array]) -> Array:
    """Factors [n, k] that make standard normal values [n] into differences with the covariance of these over seeds.

    If some differences have fewer seeds than others, their seeds are taken to be the first ones of the others.
    """
    factors = np.zeros((max(map(len, differences)), len(differences)))
    for j, values in enumerate(differences):
        by_seed = values.reshape(len(values), -1).mean(1)
        factors[: len(values), j] = (by_seed - by_seed.mean()) / math.sqrt(len(values) - 1)
    return factors
