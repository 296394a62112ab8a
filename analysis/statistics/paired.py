"""Answers with uncertainty: pure functions on arrays.

    a mean over n seeds         x̄ ± t_{0.975, n−1} · s/√n
    two cells, paired by seed   d_s = a_s − b_s, and the same of d
    … and by held-out image     d_si = δ + seed_s + image_i + e_si, n × m of them:
                                Var d̄ = σ²_seed/n + σ²_image/m + σ²_e/(nm) ≈ (MS_seed + MS_image − MS_e)/(nm)
                                d̄ ± √(t²_{n−1} V_1 + t²_{m−1} V_2),  V_1 the seeds' part of it, V_2 the rest
    several comparisons         Holm's adjusted p

Seeds are paired across cells, so what a seed does to both cells drops out of their difference; images are paired too,
so what makes an image hard drops out as well. What is left of the images in a difference is the error that other
held-out images would show, which more seeds do not lessen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Values = Sequence[float] | NDArray[np.float64]
Verdict = Literal["better", "worse", "cannot tell"]
VariancePart = tuple[float, int]
"""A share of a mean's variance, and the degrees of freedom that it is known with."""

LEVEL = 0.95
POWER = 0.8
MOST_SEEDS = 1000
"""A confirmation that needs more seeds than this is not planned."""
BOOTSTRAP_FROM = 20
"""Below this many values a bootstrap's interval covers too seldom: 83 to 87 % instead of 95 % at n = 5."""


@dataclass(frozen=True)
class Comparison:
    """What paired values say of a − b.

    `difference` ± `half_width` is the 95 % interval, `p` two-sided; both nan below two seeds. `seed_sd` is the standard
    deviation of the difference between seeds, `image_error` the standard error that the choice of held-out images adds
    to it (0 where values per image are not known); `n` counts the seeds.
    """

    difference: float
    half_width: float
    p: float
    n: int
    seed_sd: float
    image_error: float = 0.0

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
    return mean, _quantile(level, n - 1) * float(sample.std(ddof=1)) / math.sqrt(n)


def compare(differences: Values, level: float = LEVEL) -> Comparison:
    """a − b from its values [n] per seed, or [n, m] per seed and held-out image; at least one of each.

    Of [n, m] the variance is that of two crossed random effects. Its parts are known from few seeds and many images;
    their half-widths add in squares (Howe 1974, JASA 69:789). Satterthwaite's degrees of freedom would do worse: with
    three seeds that vary thrice as much as the images, they cover 92 % for 95 %.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise ValueError(f"differences must be [n] or [n, m] with n, m ≥ 1, got shape {values.shape}")
    by_seed = values if values.ndim == 1 else values.mean(1)
    n, mean = len(by_seed), float(by_seed.mean())
    if n < 2:
        return Comparison(mean, math.nan, math.nan, n, math.nan)
    seed_sd = float(by_seed.std(ddof=1))
    if values.ndim == 1 or values.shape[1] < 2:
        parts, image_error = [(seed_sd**2 / n, n - 1)], 0.0
    else:
        parts, image_error = _crossed(values)
    return Comparison(mean, _half_width(1 - level, parts), _two_sided(mean, parts), n, seed_sd, image_error)


def compare_each(differences: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean and the two-sided p of each of k comparisons, as `compare` gives them, from [k, n] values by seed.

    A value is nan where a seed has none; so is a mean of no values, and the p of fewer than two.
    """
    known = ~np.isnan(differences)
    n, filled = known.sum(1), np.where(known, differences, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = filled.sum(1) / n
        spread = np.where(known, differences - mean[:, None], 0.0)
        error = np.sqrt((spread**2).sum(1) / (n - 1) / n)
        p = np.asarray(2 * special.stdtr(n - 1, -np.abs(mean) / error))
    return mean, np.where(n < 2, np.nan, np.where(mean == 0, 1.0, p))


def _crossed(values: NDArray[np.float64]) -> tuple[list[VariancePart], float]:
    """The parts of the mean's variance, and its standard error due to images, of two crossed random effects."""
    n, m = values.shape
    seeds, images = values.mean(1), values.mean(0)
    ms_seed, ms_image = m * seeds.var(ddof=1), n * images.var(ddof=1)
    rest = values - seeds[:, None] - images[None, :] + values.mean()
    ms_rest = float((rest**2).sum()) / ((n - 1) * (m - 1))
    # Neither effect has a variance below 0, so that of the mean is at least what either says alone.
    total = max(ms_seed + ms_image - ms_rest, ms_seed, ms_image)
    by_seeds = max(ms_seed - ms_rest, 0.0)
    parts = [(by_seeds / (n * m), n - 1), ((total - by_seeds) / (n * m), m - 1)]
    return parts, math.sqrt(max(ms_image - ms_rest, 0.0) / (n * m))


def _quantile(level: float, df: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, df))


def _half_width(alpha: float, parts: Sequence[VariancePart]) -> float:
    return math.hypot(*(math.sqrt(variance) * float(special.stdtrit(df, alpha / 2)) for variance, df in parts))


def _two_sided(mean: float, parts: Sequence[VariancePart]) -> float:
    """The p at which the interval's end is 0."""
    total = sum(variance for variance, _ in parts)
    if mean == 0 or total == 0:
        return 1.0 if mean == 0 else 0.0
    # It lies between those that the fewest and the most degrees of freedom would give, up to rounding.
    alone = [float(2 * stats.t.sf(abs(mean) / math.sqrt(total), df)) for variance, df in parts if variance > 0]
    if len(alone) == 1:
        return alone[0]
    low, high = max(min(alone), 1e-300) * (1 - 1e-9), min(max(alone) * (1 + 1e-9), 1.0)
    return float(optimize.brentq(lambda p: _half_width(p, parts) - abs(mean), low, high, xtol=1e-9 * high))


def equivalent(differences: Values, margin: float) -> float:
    """p of the claim |a − b| < margin, by two one-sided tests (Schuirmann 1987); shapes as in `compare`."""
    values = np.asarray(differences, dtype=np.float64)
    return max(compare(values + margin).one_sided(1), compare(values - margin).one_sided(-1))


def holm(p: Values) -> NDArray[np.float64]:
    """Holm's adjusted p of [k] tests; nan, a test that was not made, counts for nothing."""
    from statsmodels.stats.multitest import multipletests

    given = np.asarray(p, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    known = ~np.isnan(given)
    if known.any():
        adjusted[known] = multipletests(given[known], method="holm")[1]
    return adjusted


def verdict(difference: float, adjusted: float, sign: int, level: float = LEVEL) -> Verdict:
    """Verdict on a relative to b by the adjusted p of a − b, where sign · (a − b) > 0 means better."""
    if math.isnan(adjusted) or adjusted > 1 - level:
        return "cannot tell"
    return "better" if sign * difference > 0 else "worse"


def may_be_best(against_best: Sequence[Comparison | None], sign: int, level: float = LEVEL) -> list[bool]:
    """Which of k cells the data do not rule out as the best, from each one's comparison with the best mean.

    `against_best` is None at the best mean itself. A cell is ruled out where the best is better than it by a one-sided
    paired test at (1 − level)/(k − 1). A cell that truly is the best meets k − 1 others, each of which beats it by
    chance with no more than that probability: it is kept with probability `level`, though the best mean was picked by
    looking. No interval (fewer than two common seeds) is no claim to be best.
    """
    others = max(sum(found is not None for found in against_best), 1)
    alpha = (1 - level) / others
    return [found is None or (not math.isnan(found.p) and found.one_sided(-sign) > alpha) for found in against_best]


def fresh_seeds(found: Comparison, power: float = POWER, level: float = LEVEL) -> int | None:
    """How many new seeds, alone, would confirm this difference by a paired two-sided t-test with this power.

    Supposes that difference, seed_sd and image_error are what they look like. None where no number up to 1000 does:
    there is no difference to confirm, or the held-out images are too few for it.
    """
    if math.isnan(found.half_width) or found.difference == 0:
        return None
    n = np.arange(2, MOST_SEEDS + 1)
    enough = _power(found, n, level) >= power
    return int(n[enough.argmax()]) if enough.any() else None


def _power(found: Comparison, n: NDArray[np.int64], level: float) -> NDArray[np.float64]:
    """Power of the two-sided test at [k] numbers of seeds, by the noncentral t distribution."""
    error = np.hypot(found.seed_sd / np.sqrt(n), found.image_error)
    critical = stats.t.ppf((1 + level) / 2, n - 1)
    # Further out the power is 1 to many digits, and the distribution is not computed reliably.
    with np.errstate(divide="ignore"):
        shift = np.minimum(abs(found.difference) / error, 10 * critical)
    return np.asarray(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))


def sampling_noise(set_sds: Values, sets: int) -> float:
    """The standard deviation that drawing samples alone gives a mean over `sets` generated sets.

    `set_sds` [n] are each seed's standard deviations between its sets: nan where there is but one set.
    """
    if sets < 2:
        return math.nan
    return math.sqrt(float(np.mean(np.square(np.asarray(set_sds, dtype=np.float64)))) / sets)


def bootstrap_interval(values: Values, generator: np.random.Generator, level: float = LEVEL) -> tuple[float, float]:
    """BCa interval (Efron 1987) of the mean of [n] values; ValueError for n < 20, where it covers too seldom."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) < BOOTSTRAP_FROM:
        raise ValueError(f"a bootstrap needs [n] values with n ≥ {BOOTSTRAP_FROM}, got shape {sample.shape}")
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    found = stats.bootstrap(
        (sample,), np.mean, confidence_level=level, n_resamples=2000, method="BCa", rng=generator, vectorized=True
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
