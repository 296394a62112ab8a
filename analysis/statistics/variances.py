"""The variance of a mean over n seeds, or over n seeds × m held-out images, and the degrees of freedom of its parts.

    d_s            V_1 = s²/n                                                                n − 1
    d_si = δ + seed_s + image_i + e_si:
                   V_1 = MS_seed/(nm)               what n seeds leave open, e included      n − 1
                   V_2 = (MS_image − MS_rest)₊/(nm) what m images leave open                 m − 1

The half-widths of both parts add in squares: (t_{n−1} √V_1)² + (t_{m−1} √V_2)² (Howe 1974, JASA 69:789).
Satterthwaite's degrees of freedom would do worse: with three seeds that vary thrice as much as the images, they cover
92 % for 95 %. V_1 keeps the residual e, whose degrees of freedom would be many, with the seeds': in MS_seed they cannot
be told apart, and an estimate of the seeds' own part that falls below 0 would leave the few degrees of freedom out.

A value that is rounded or counted in steps of q can repeat by chance, and then s is too small: V_1 is at least
q²/(6n), which two roundings of width q add to a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Means [...], and the two parts of their variances with their degrees of freedom.

    `spread` is Σ_s d_s², which tells how far from 0 the seeds lie before a test is made of it (`families`).
    """

    mean: Array
    by_seeds: Array
    by_images: Array
    seeds: int
    images: int
    spread: Array

    def half_width(self, alpha: Any) -> Array:
        """The half-width of the interval of level 1 − α, for α of a shape that broadcasts to the means'."""
        own = np.sqrt(self.by_seeds) * quantile(alpha, self.seeds - 1)
        if self.images < 2:
            return own
        return np.hypot(own, np.sqrt(self.by_images) * quantile(alpha, self.images - 1))

    def two_sided(self) -> Array:
        """The p at which the interval's end is 0: 0 for a difference without any variance, and 1 for one of 0."""
        flat = zip(*(part.ravel().tolist() for part in (np.abs(self.mean), self.by_seeds, self.by_images)), strict=True)
        return np.array([self._p(*one) for one in flat]).reshape(self.mean.shape)

    def _p(self, mean: float, by_seeds: float, by_images: float) -> float:
        if mean == 0 or by_seeds + by_images == 0:
            return 1.0 if mean == 0 else 0.0
        # It lies between those that the fewest and the most degrees of freedom would give, up to rounding.
        t = mean / np.sqrt(by_seeds + by_images)
        alone = [
            2 * float(special.stdtr(n - 1, -t))
            for variance, n in ((by_seeds, self.seeds), (by_images, self.images))
            if variance > 0
        ]
        if len(alone) == 1:
            return alone[0]
        low, high = max(min(alone), 1e-300) * (1 - 1e-9), min(max(alone) * (1 + 1e-9), 1.0)

        def beyond(p: float) -> float:
            widths = (variance**0.5 * quantile(p, n - 1) for variance, n in known)
            return float(np.hypot(*widths)) - mean

        known = ((by_seeds, self.seeds), (by_images, self.images))
        return float(optimize.brentq(beyond, low, high, xtol=1e-9 * high))


def quantile(alpha: Any, df: int) -> Any:
    """t at which both tails together hold α."""
    return -special.stdtrit(df, np.asarray(alpha) / 2)


def over_seeds(values: Array, resolution: float = 0.0) -> Moments:
    """The moments of values [..., n] per seed, n ≥ 2, that come in steps of `resolution` (0: they do not)."""
    n = values.shape[-1]
    variance = np.maximum(values.var(axis=-1, ddof=1) / n, resolution**2 / (6 * n))
    return Moments(values.mean(-1), variance, np.zeros(variance.shape), n, 1, np.square(values).sum(-1))


def over_both(values: Array) -> Moments:
    """The moments of values [..., n, m] per seed and held-out image, n ≥ 2."""
    n, m = values.shape[-2:]
    seeds, images, mean = values.mean(-1), values.mean(-2), values.mean((-2, -1))
    ms_seed = m * seeds.var(axis=-1, ddof=1)
    by_images = np.zeros(mean.shape)
    if m > 1:
        rest = values - seeds[..., None] - images[..., None, :] + mean[..., None, None]
        ms_rest = np.square(rest).sum((-2, -1)) / ((n - 1) * (m - 1))
        by_images = np.maximum(n * images.var(axis=-1, ddof=1) - ms_rest, 0) / (n * m)
    return Moments(mean, ms_seed / (n * m), by_images, n, m, np.square(seeds).sum(-1))
