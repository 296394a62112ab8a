"""Grids whose truth is known, for `evidence.inference`: values of cells by seed, or by seed and held-out image.

Cells have equal means; what differs from grid to grid is how noisy they are, and what they share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.statistics.variances import Array

Draw = Callable[[np.random.Generator, tuple[int, int, int]], Array]
"""Draws values [grids, cells, seeds] of equal means; the first cell is the baseline."""
IMAGES = 100
AT_ONCE = 4_000_000
"""Values that are in memory at once."""


def equal(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Normal values of SD 1."""
    return rng.normal(size=shape)


def unequal(spread: float) -> Draw:
    """Normal values whose SDs are exp(spread · z) by cell."""

    def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
        return np.exp(spread * rng.normal(size=(*shape[:2], 1))) * rng.normal(size=shape)

    return draw


def one_other(cell: int, times: float) -> Draw:
    """Normal values of SD 1 but for one cell's; 0 is the baseline."""

    def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
        values = rng.normal(size=shape)
        values[:, cell] *= times
        return values

    return draw


def heavy(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Values of Student's t with 5 degrees of freedom, SD 1."""
    return rng.standard_t(5, size=shape) * math.sqrt(3 / 5)


def raw(spread: float) -> Draw:
    """Log-normal values themselves, of equal means; the SDs of their logarithms are exp(spread · z)."""

    def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
        sd = np.exp(spread * rng.normal(size=(*shape[:2], 1)))
        return np.exp(sd * rng.normal(size=shape) - sd**2 / 2)

    return draw


def alike(own: float) -> Draw:
    """Values in groups of four cells that share a training, with an own part of SD `own`: 0 makes them equal."""

    def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
        groups = (np.arange(shape[1]) + 3) // 4
        shared = rng.normal(size=(shape[0], groups.max() + 1, shape[2]))[:, groups]
        return shared + own * rng.normal(size=shape) if own else shared

    return draw


def counted(mean: float) -> Draw:
    """Counts of what is rare."""

    def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
        return rng.poisson(mean, size=shape).astype(np.float64)

    return draw


SHARED = "four cells a training, own part 0.1 SD"
DRAWN: dict[str, Draw] = {
    "equal SDs": equal,
    "SDs exp(0.4 z)": unequal(0.4),
    "SDs exp(1.2 z)": unequal(1.2),
    "one cell × 10": one_other(1, 10.0),
    "noisy baseline × 5": one_other(0, 5.0),
    "quiet baseline × 0.1": one_other(0, 0.1),
    "t with 5 degrees of freedom": heavy,
    SHARED: alike(0.1),
}
RAW: dict[str, Draw] = {"log-normal, not in logs": raw(0.0), "log-normal, unequal, not in logs": raw(0.6)}


@dataclass(frozen=True)
class Components:
    """SDs of values [grids, cells, seeds, images]: between seeds, between images (of their mean), and what is left.

    `image` and `rest` are those of a mean over all images, so that they can be read beside `seed`.
    """

    seed: float
    image: float
    rest: float
    spread: float = 0.0

    def draw(self, rng: np.random.Generator, shape: tuple[int, int, int], images: int = IMAGES) -> Array:
        """Values of equal means."""
        scale = np.exp(self.spread * rng.normal(size=(*shape[:2], 1, 1)))
        parts = self.seed * rng.normal(size=(*shape, 1))
        parts = parts + math.sqrt(images) * self.image * rng.normal(size=(*shape[:2], 1, images))
        return scale * (parts + math.sqrt(images) * self.rest * rng.normal(size=(*shape, images)))

    @property
    def name(self) -> str:
        """The row's name."""
        ratio = " : ".join(f"{part:g}" for part in (self.seed, self.image, self.rest))
        return ratio + (f", times exp({self.spread:g} z)" if self.spread else "")


COMPONENTS = (
    Components(1, 0, 0.1),
    Components(1, 0, 1),
    Components(1, 0.1, 0.1),
    Components(1, 0.3, 0.3),
    Components(1, 0.5, 0.1),
    Components(1, 1, 0.3),
    Components(0.3, 1, 0.3),
    Components(0.1, 1, 0.1),
    Components(0, 1, 0.3),
    Components(0, 0, 1),
)


def chunks(replicates: int, each: int) -> Iterator[int]:
    """Numbers of grids that are drawn at once, of `each` values."""
    most = max(1, AT_ONCE // each)
    for first in range(0, replicates, most):
        yield min(most, replicates - first)
