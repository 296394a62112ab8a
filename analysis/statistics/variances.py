"""The variance of a mean over n seeds, or over n seeds × m held-out images, and the degrees of freedom of its parts.

    d_s            V_1 = s²/n                                                                n − 1
    d_si = δ + seed_s + image_i + e_si:
                   V_1 = MS_seed/(nm)               what n seeds leave open, e included      n − 1
                   V_2 = (MS_image − MS_rest)₊/(nm) what m images leave open                 m − 1

The half-widths of both parts add in squares: (t_{n−1} √V_1)² + (t_{m−1} √V_2)² (Howe 1974, JASA 69:789).
Satterthwaite's degrees of freedom would do worse: with three seeds that vary thrice as much as the images, they cover
92 % for 95 %. V_1 includes the residual e, since MS_seed does not tell it from the seeds. Estimated separately, e would
have many degrees of freedom, and where the estimate of the seeds' own part fell below 0, their few would be ignored.

A value that is rounded or counted in steps of q can repeat by chance, and then s is too small: V_1 is at least q²/(6n),
which two roundings of width q add to a difference.

The spread Σ_s d_s² of the seeds' means, which sets weights before any test, contains the images' part of the mean n
times. It would favour the comparison whose images deviate most. So the spread is at least 3.5² n V_2, from 3.5 standard
errors of the images. Without this, up to 20 % of families err instead of 5 %; with 3 standard errors, up to 5.9 % at 30
seeds and 40 cells, simulated with these moments alone. `evidence.inference` has the error that is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

IMAGES_REACH = 3.5
"""The distance of a mean from 0, in standard errors of the images, up to which its spread may be due to the images."""


@dataclass(frozen=True, eq=False)
class Means:
    """Means [...], and the two parts of their variances with their degrees of freedom.

    `spread`, which sets weights before any test (`families`), is Σ_s d_s², or 3.5² n V_2 where that is more.
    """

    mean: Array
    by_seeds: Array
    by_images: Array
    seeds: int
    images: int
    spread: Array

    def at(self, where: Any) -> Means:
        """The moments of some of the means, by their index."""
        parts = {name: getattr(self, name)[where] for name in ("mean", "by_seeds", "by_images", "spread")}
        return replace(self, **parts)

    def half_width(self, alpha: Any) -> Array:
        """The half-width of the interval of level 1 − α, for α of a shape that broadcasts to the means'."""
        # Where nothing varies the interval is a point, however small α is.
        with np.errstate(invalid="ignore"):
            own = np.where(self.by_seeds > 0, np.sqrt(self.by_seeds) * quantile(alpha, self.seeds - 1), 0.0)
        if self.images < 2:
            return np.asarray(own)
        return np.asarray(np.hypot(own, np.sqrt(self.by_images) * quantile(alpha, self.images - 1)))

    def two_sided(self) -> Array:
        """The two-sided p, at which the interval ends at 0; 0 for a difference without variance, 1 for one of 0."""
        p = np.asarray(_alone(self.mean, self.by_seeds, self.seeds))
        if self.images > 1:
            p = np.asarray(np.maximum(p, _alone(self.mean, self.by_images, self.images)))
        both = (self.mean != 0) & (self.by_seeds > 0) & (self.by_images > 0)
        for where in map(tuple, np.argwhere(both)):
            p[where] = self._p(*(float(part[where]) for part in (abs(self.mean), self.by_seeds, self.by_images)))
        return p

    def _p(self, mean: float, by_seeds: float, by_images: float) -> float:
        """The p of one mean whose variance has both parts."""
        from scipy import optimize  # Imported only if needed: it is slow.

        # p lies between its values for the fewest and the most degrees of freedom, up to rounding.
        t = mean / np.sqrt(by_seeds + by_images)
        alone = [2 * float(special.stdtr(n - 1, -t)) for n in (self.seeds, self.images)]
        low, high = max(min(alone), 1e-300) * (1 - 1e-9), min(max(alone) * (1 + 1e-9), 1.0)

        def beyond(p: float) -> float:
            widths = (variance**0.5 * quantile(p, n - 1) for variance, n in parts)
            return float(np.hypot(*widths)) - mean

        parts = ((by_seeds, self.seeds), (by_images, self.images))
        return float(optimize.brentq(beyond, low, high, xtol=1e-9 * high))


def _alone(mean: Array, variance: Array, n: int) -> Array:
    """The two-sided p of means with one part of variance: 0 for a variance of 0, and 1 for a mean of 0."""
    t = np.divide(np.abs(mean), np.sqrt(variance), out=np.full(mean.shape, np.inf), where=variance > 0)
    return np.where(mean == 0, 1.0, 2 * special.stdtr(n - 1, -t))


def quantile(alpha: Any, df: int) -> Any:
    """The value t beyond which both tails of Student's distribution together hold α."""
    return -special.stdtrit(df, np.asarray(alpha) / 2)


def over_seeds(values: Array, resolution: float = 0.0) -> Means:
    """The moments of values [..., n] per seed, n ≥ 2, that come in steps of `resolution` (0: they do not)."""
    n = values.shape[-1]
    variance = np.maximum(values.var(axis=-1, ddof=1) / n, resolution**2 / (6 * n))
    return Means(values.mean(-1), variance, np.zeros(variance.shape), n, 1, np.square(values).sum(-1))


def over_both(values: Array) -> Means:
    """The moments of values [..., n, m] per seed and held-out image, n ≥ 2."""
    n, m = values.shape[-2:]
    by_seeds, by_images = _crossed(values)
    return _of_both(values.mean((-2, -1)), by_seeds, by_images, n, m, np.square(values.mean(-1)).sum(-1))


def of_length(values: Array) -> Means:
    """The moments of the length of a vector of d contrasts, from its values [d, n] per seed, or [d, n, m] per seed and
    image. Variances are summed over contrasts, so the choice of their basis does not matter."""
    length = np.asarray(np.sqrt(np.square(values.reshape(*values.shape[:2], -1).mean((1, 2))).sum()))
    if values.ndim == 2:
        each = over_seeds(values)
        return Means(
            length, np.asarray(each.by_seeds.sum()), np.zeros(()), each.seeds, 1, np.asarray(each.spread.sum())
        )
    n, m = values.shape[1:]
    by_seeds, by_images = (np.asarray(part.sum()) for part in _crossed(values))
    return _of_both(length, by_seeds, by_images, n, m, np.asarray(np.square(values.mean(-1)).sum()))


def _crossed(values: Array) -> tuple[Array, Array]:
    """V_1 and V_2 of values [..., n, m]; V_2 is not truncated, so it may be below 0."""
    n, m = values.shape[-2:]
    seeds, images, mean = values.mean(-1), values.mean(-2), values.mean((-2, -1))
    by_seeds = np.asarray(seeds.var(axis=-1, ddof=1) / n)
    if m == 1:
        return by_seeds, np.zeros(mean.shape)
    rest = values - seeds[..., None] - images[..., None, :] + mean[..., None, None]
    ms_rest = np.square(rest).sum((-2, -1)) / ((n - 1) * (m - 1))
    return by_seeds, np.asarray((n * images.var(axis=-1, ddof=1) - ms_rest) / (n * m))


def _of_both(mean: Array, by_seeds: Array, by_images: Array, n: int, m: int, spread: Array) -> Means:
    """The moments with V_2 truncated at 0, and with a spread of at least what the images alone could make of it."""
    kept = np.maximum(by_images, 0)
    return Means(mean, by_seeds, kept, n, m, np.asarray(np.maximum(spread, IMAGES_REACH**2 * n * kept)))
