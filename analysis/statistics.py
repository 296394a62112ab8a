"""Intervals over seeds; pure functions on arrays.

    mean ± t_{(1+level)/2, n−1} · s/√n,        s² = Σ (x_i − x̄)²/(n − 1)

Seeds are paired across cells, so two cells are compared by the interval of the mean of their differences, from which
what a seed does to both drops out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = Sequence[float] | NDArray[np.float64]


def mean_interval(values: Values, level: float = 0.95) -> tuple[float, float]:
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
    quantile = float(stats.t.ppf((1 + level) / 2, n - 1))
    return mean, quantile * float(sample.std(ddof=1)) / math.sqrt(n)


def paired_difference(a: Values, b: Values, level: float = 0.95) -> tuple[float, float]:
    """(mean, half-width) of a − b for [n] values each that share seed i by i."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired values need equal shapes, got {first.shape} and {second.shape}")
    return mean_interval(first - second, level)


def distinguishable(difference: float, half_width: float) -> bool:
    """Whether the interval excludes 0; an interval that is not known excludes nothing."""
    return not math.isnan(half_width) and abs(difference) > half_width
