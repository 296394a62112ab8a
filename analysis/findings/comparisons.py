"""Two cells of a grid, compared: by the seeds that both finished, and by held-out image where each image has a value.

Only likelihoods have a value per image. Their difference then carries the error that other images would show besides
the seeds' own; a FID has no such part, and its noise of sampling is among its seeds'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.findings.cells import CellRuns
from analysis.read.meta import ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.paired import BOOTSTRAP_FROM, Comparison, bootstrap_interval, compare

Array = NDArray[np.float64]


def compared(grid: GridResults, metric: str, a: CellRuns, b: CellRuns) -> Comparison:
    """a − b over the seeds that both finished; all of it nan where there are none."""
    differences = paired(grid, metric, a, b)
    return compare(differences) if differences.size else Comparison(math.nan, math.nan, math.nan, 0, math.nan)


def paired(grid: GridResults, metric: str, a: CellRuns, b: CellRuns) -> Array:
    """a − b as [n] per common seed, or as [n, m] per common seed and held-out image."""
    return contrast(grid, metric, [(1.0, a), (-1.0, b)])


@dataclass(frozen=True)
class ImageShare:
    """The share of n held-out images on which one cell is better than another, with a 95 % interval over images."""

    mean: float
    low: float
    high: float
    n: int


def share_of_images(grid: GridResults, metric: ShownMetric, a: CellRuns, b: CellRuns) -> ImageShare | None:
    """The images on which a is better than b in the mean over their common seeds, for these trainings.

    None where values per image are not known, or too few for a bootstrap.
    """
    differences = paired(grid, metric.name, a, b)
    if differences.ndim != 2 or len(differences) == 0 or differences.shape[1] < BOOTSTRAP_FROM:
        return None
    better = (metric.sign * differences.mean(axis=0) > 0).astype(np.float64)
    low, high = bootstrap_interval(better, np.random.default_rng(0))
    return ImageShare(float(better.mean()), low, high, len(better))


def contrast(grid: GridResults, metric: str, terms: Sequence[tuple[float, CellRuns]]) -> Array:
    """Σ c · cell over terms (c, cell): [n] per seed that all of them finished, or [n, m] per such seed and image."""
    values = [cell.estimate(metric).values for _, cell in terms]
    common = set.intersection(*({seed for seed, value in of.items() if math.isfinite(value)} for of in values))
    seeds = sorted(common)
    by_image = [_images(grid, metric, cell, seeds) for _, cell in terms]
    known = [images for images in by_image if images is not None]
    by_seed = [np.array([of[seed] for seed in seeds], dtype=np.float64) for of in values]
    parts = known if len(known) == len(terms) else by_seed
    total: Array = np.sum([c * part for (c, _), part in zip(terms, parts, strict=True)], axis=0)
    return total


def _images(grid: GridResults, metric: str, cell: CellRuns, seeds: Sequence[int]) -> Array | None:
    """The values [n, m] of a cell per seed and image; None where a seed lacks them."""
    if not seeds or grid.images.empty:
        return None
    try:
        rows = np.array([grid.images.index.get_loc((cell.cell_id, seed, metric)) for seed in seeds], dtype=np.intp)
    except KeyError:
        return None
    values: Array = grid.images.to_numpy(dtype=np.float64)[rows]
    return values if np.isfinite(values).all() else None
