"""Answers with uncertainty: pure functions on arrays.

    a mean over n seeds         x̄ ± t_{0.975, n−1} · s/√n
    two cells, paired by seed   d_s = a_s − b_s, and the same of d
    … and by held-out image     d̄ ± √(t²_{n−1} V_1 + t²_{m−1} V_2),  V_1 the seeds' part of Var d̄, V_2 the images'
    equal within a margin       |d̄| < margin by two one-sided tests

Seeds are paired across cells, so what a seed does to both cells drops out of their difference. Images are paired too,
so what makes an image hard drops out as well. The images' remaining part in a difference is the error from the choice
of images, which more seeds do not reduce (`variances`). `families` decides what several comparisons claim together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.variances import Means, over_both, over_seeds, quantile

Values = Sequence[float] | NDArray[np.float64]

LEVEL = 0.95
BOOTSTRAP_FROM = 20
"""Below this many values a bootstrap's interval covers too seldom: 83 to 87 % instead of 95 % at n = 5."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of a − b by paired values.

    `difference` ± `half_width` is the 95 % interval, `p` two-sided; both nan below two seeds. `seed_sd` is the standard
    deviation of the difference between seeds, `image_error` the standard error that the choice of held-out images adds
    to it (0 where values per image are not known); `n` counts the seeds. `spread` is Σ d_s², before any test.
    """

    difference: float
    half_width: float
    p: float
    n: int
    seed_sd: float
    image_error: float = 0.0
    spread: float = math.nan

    def one_sided(self, sign: int) -> float:
        """p of the claim that sign · (a − b) > 0, for sign ±1."""
        return self.p / 2 if sign * self.difference > 0 else 1 - self.p / 2


def mean_interval(values: Values, level: float = LEVEL) -> tuple[float, float]:
    """(mean, half-width) of Student's interval for [n] independent values; half-width nan at n = 1, both at n = 0."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ValueError(f"values must be [n], got shape {sample.shape}")
    n = len(sample)
    if n == 0:
        return math.nan, math.nan
    mean = float(sample.mean())
    if n == 1:
        return mean, math.nan
    return mean, float(quantile(1 - level, n - 1)) * float(sample.std(ddof=1)) / math.sqrt(n)


def standard_error(half_width: float, n: int) -> float:
    """The standard error of a mean over n ≥ 2 values whose interval has this half-width."""
    return half_width / float(quantile(1 - LEVEL, n - 1))


def narrowing(n: int) -> float:
    """The share by which one more seed narrows an interval over n ≥ 2 seeds, if their spread stays the same."""
    now, then = (float(quantile(1 - LEVEL, size - 1)) / math.sqrt(size) for size in (n, n + 1))
    return 1 - then / now


def compare(differences: Values, level: float = LEVEL, resolution: float = 0.0) -> Comparison:
    """a − b from its values [n] per seed, or [n, m] per seed and held-out image; at least one of each.

    `resolution` is the step in which values per seed come, where they are rounded or counted.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise ValueError(f"differences must be [n] or [n, m] with n, m ≥ 1, got shape {values.shape}")
    by_seed = values if values.ndim == 1 else values.mean(1)
    n, mean = len(by_seed), float(by_seed.mean())
    if n < 2:
        return Comparison(mean, math.nan, math.nan, n, math.nan, spread=float(np.square(by_seed).sum()))
    both = moments(values, resolution)
    return Comparison(
        mean,
        float(both.half_width(1 - level)),
        float(both.two_sided()),
        n,
        float(by_seed.std(ddof=1)),
        math.sqrt(both.by_images),
        float(both.spread),
    )


def moments(values: NDArray[np.float64], resolution: float = 0.0) -> Means:
    """The moments of one difference [n] or [n, m]."""
    return over_seeds(values, resolution) if values.ndim == 1 else over_both(values)


def equivalent(differences: Values, margin: float, resolution: float = 0.0) -> float:
    """p of the claim |a − b| < margin, by two one-sided tests (Schuirmann 1987); shapes as in `compare`."""
    values = np.asarray(differences, dtype=np.float64)
    low, high = (compare(values + shift, resolution=resolution) for shift in (margin, -margin))
    return max(low.one_sided(1), high.one_sided(-1))


def sampling_noise(set_sds: Values, sets: int) -> float:
    """The standard deviation that drawing samples alone gives a mean over `sets` generated sets.

    `set_sds` [n] are each seed's standard deviations between its sets: nan where there is but one set.
    """
    if sets < 2:
        return math.nan
    return math.sqrt(float(np.mean(np.square(np.asarray(set_sds, dtype=np.float64)))) / sets)


def bootstrap_interval(values: Values, generator: np.random.Generator) -> tuple[float, float]:
    """95 % BCa interval (Efron 1987) of the mean of [n] values; ValueError for n < 20, where it covers too seldom."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) < BOOTSTRAP_FROM:
        raise ValueError(f"a bootstrap needs [n] values with n ≥ {BOOTSTRAP_FROM}, got shape {sample.shape}")
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    from scipy import stats

    interval = stats.bootstrap(
        (sample,), np.mean, confidence_level=LEVEL, n_resamples=2000, method="BCa", rng=generator, vectorized=True
    )
    return float(interval.confidence_interval.low), float(interval.confidence_interval.high)
