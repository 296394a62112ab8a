"""The rules of `analysis/statistics` for many grids at once, as `evidence.inference` asks them.

They are made of the same weights, moments and quantiles; a test holds them to `judge` and `beaten_by`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.families import ALPHA, EQUAL, capped, shares, weights
from analysis.statistics.variances import Array, Means, over_both, over_seeds

Bools = NDArray[np.bool_]


def claimed(means: Means, margin: float = math.nan) -> tuple[Bools, Bools]:
    """The comparisons [grids, k] that are said to differ, and those said to be below the margin, as `judge` says."""
    v, whole = capped(means.spread), means.mean.shape[-1]
    apart, alike = (ALPHA, 0.0) if math.isnan(margin) else (ALPHA * (1 - EQUAL), ALPHA * EQUAL)
    if means.images < 2:
        first = means.two_sided() <= apart * shares(v)
    else:
        first = np.abs(means.mean) >= means.half_width(apart * shares(v)) * (1 - 1e-9)
    different, same = np.zeros((2, *v.shape), dtype=bool)
    grids = np.flatnonzero(first.any(-1))
    different[grids] = settled(means.at(grids).two_sided(), v[grids], apart)
    if alike:
        first = np.abs(means.mean) + means.half_width(2 * alike / whole) * (1 - 1e-9) <= margin
        grids = np.flatnonzero(first.any(-1))
        same[grids] = settled(within(means.at(grids), margin), np.ones((len(grids), whole)), alike)
    return different & ~same, same


def settled(p: Array, v: Array, alpha: float) -> Bools:
    """The comparisons [grids, k] to which `settle` gives an adjusted p of at most α."""
    said = np.zeros(p.shape, dtype=bool)
    grids, column = np.arange(len(p)), np.tile(np.arange(p.shape[1]), (len(p), 1))
    for left in range(p.shape[1], 0, -1):
        ratios = p / shares(v)
        now = ratios.argmin(-1)
        hit = np.flatnonzero(ratios[np.arange(len(now)), now] <= alpha)
        now, grids = now[hit], grids[hit]
        said[grids, column[hit, now]] = True
        kept = np.arange(left) != now[:, None]
        p, v, column = (part[hit][kept].reshape(len(hit), left - 1) for part in (p, v, column))
        if not len(hit):
            break
    return said


def within(means: Means, margin: float) -> Array:
    """p of the claims that differences are below the margin."""
    below, above = (replace(means, mean=margin + sign * means.mean) for sign in (1, -1))
    sides = [np.where(side.mean > 0, side.two_sided() / 2, 1 - side.two_sided() / 2) for side in (below, above)]
    return np.asarray(np.maximum(*sides))


def excluded(values: Array, cell: int) -> Bools:
    """In which grids [grids, cells, seeds (, images)] a cell may not be the best, where more is better."""
    others = np.delete(values, cell, axis=1) - values[:, [cell]]
    means = moments_of(others)
    ends = means.half_width(np.maximum(ALPHA * weights(capped(means.spread)), 1e-300))
    return np.asarray((means.mean > ends).any(-1))


def moments_of(differences: Array) -> Means:
    """The moments of differences [grids, k, seeds (, images)]."""
    return over_seeds(differences) if differences.ndim == 3 else over_both(differences)


def against_first(values: Array) -> Array:
    """The list against a baseline: every cell but the first, less the first."""
    return values[:, 1:] - values[:, :1]


def every_pair(values: Array) -> Array:
    """All pairs of cells."""
    first, second = np.triu_indices(values.shape[1], 1)
    return values[:, first] - values[:, second]
