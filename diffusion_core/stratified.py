"""The terms of the bound that are computed, and the draws that they are computed at: a few strata of t, in two halves.

The first and the last `exact` of k = 1..K are always computed: terms are largest and differ most at the start and,
where x̂_0 is not bounded, at the end. From each of `strata` runs between them one k is drawn per image, and weighted by
the run's length. The runs are of equal length in log k + λ k/K: terms fall about as 1/t where β rises from little, and
hardly at all where the log-SNR falls evenly. The first few k are drawn more than once (`FRONT`). Strata, times and
noise depend on K and the seed alone, so that every cell is scored on the same draws.

Both halves draw their own t and ε, at their own x_0. The noise of an image's terms is spread evenly
(`randomness.spread_normals`), since terms of neighbouring t depend on one ε_d in nearly the same way; so is the noise
that dequantises x_0 (`Encoding.spread`), which each term of a sum may draw anew. Two control variates of mean 0 and
variance 1 are subtracted from each term L: the excess of the noise, q = (‖ε‖² − D)/√(2D) (where ε̂ can say little, L is
about a multiple of ‖ε‖²), and the place of k in its run, h = (k − mean k)/√Var k:

    L − b q − c h,   b = Cov(L, q), c = Cov(L, h) over the images of the *other* half.

The other half's b does not depend on this half's noise, nor does q on h, so the expectation is unchanged. What slopes
have in common correlates halves and images by a share of 1/N only.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from diffusion_core.encodings import Code, Encoding
from diffusion_core.randomness import excess, spread_normals, uniform
from diffusion_core.refusing import require

HALVES = 2
"""The halves of the draws, which share the images alone."""
FRONT = (3, 2)
"""The draws of each half at t = 1, 2, …: if x_0 is dequantised, these terms are by far the noisiest."""
EVEN = 3.0
"""λ: the weight of a run's share of all times beside its length in log t."""
FEWEST = 30
"""The fewest images over which slopes are taken: those of fewer are so noisy that they add error and tie the halves."""


@dataclass(frozen=True)
class Stratum:
    """The times `first`..`last`, of which each half draws one per image, as often as `draws` says."""

    first: int
    last: int
    draws: int = 1

    @property
    def length(self) -> int:
        """The number of times that it holds."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Stratification:
    """A division of a chain's times into strata: `exact` single times at both ends, and between them `strata` runs of
    equal length in log t + λ t/K, of at least one time each."""

    exact: int = 3
    strata: int = 13

    def strata_of(self, steps: int) -> list[Stratum]:
        """The strata of 1..K = `steps`. Those that a short chain leaves over are further draws of its times."""
        require(
            self.exact >= 1 and (self.strata >= 1 or 2 * self.exact >= steps),
            f"the bound needs exact >= 1, and strata >= 1 unless exact covers all {steps} times from both ends, "
            f"got exact={self.exact}, strata={self.strata}",
        )
        first = min(self.exact, steps)
        last = max(first, steps - self.exact)
        runs = min(self.strata, last - first)
        edges = list(range(first + 1))
        place = [math.log(t / first) + EVEN * (t - first) / steps for t in range(first, last + 1)]
        for j in range(1, runs + 1):
            even = first + bisect_left(place, place[-1] * j / runs)
            edges.append(min(max(even, edges[-1] + 1), last - (runs - j)))
        edges += range(last + 1, steps + 1)
        front = [*FRONT[:first], *[1] * steps]
        # Strata that a short chain cannot use are further draws of its times, from the first on.
        spare = [len(range(i, self.strata - runs, len(edges) - 1)) for i in range(len(edges) - 1)]
        return [Stratum(a + 1, b, front[i] + spare[i]) for i, (a, b) in enumerate(pairwise(edges))]

    def count(self, steps: int) -> int:
        """The number of terms of a chain of K = `steps` that are computed per image."""
        return HALVES * sum(stratum.draws for stratum in self.strata_of(steps))


USUAL = Stratification()
"""The stratification of a bound unless another is given."""


class Draw(NamedTuple):
    """A draw of a stratum: in each half its own time `k` [N], `x0` [N, …] and ε (`eps`) [N, …] of all N examples."""

    stratum: Stratum
    k: list[Tensor]
    x0: list[Tensor]
    eps: list[Tensor]


def draws(encoding: Encoding, raw: Tensor, codes: list[Code], strata: list[Stratum], seed: int) -> Iterator[Draw]:
    """All draws of stored data [N, …] whose halves have these codes; each uses the x_0 that `spread` gives for it.

    Over the draws of a stratum, the mean of (its length) · L_{k−1} estimates the sum of its terms without bias.
    """
    n, device, shape = len(raw), raw.device, tuple(codes[0].x0.shape)
    planned = [stratum for stratum in strata for _ in range(stratum.draws)]
    noise = [spread_normals(seed, f"bound/eps/{half}", shape, device) for half in range(HALVES)]
    spread = [encoding.spread(raw, code, seed, f"bound/u/{half}") for half, code in enumerate(codes)]
    for j, stratum in enumerate(planned):
        u = (uniform(seed, j, f"bound/t/{half}", (n,), device) for half in range(HALVES))
        yield Draw(stratum, [_times(stratum, of) for of in u], list(map(next, spread)), list(map(next, noise)))


def with_less_variance(terms: Tensor, draw: Draw) -> Tensor:
    """The terms L_{k−1} [2, N] of a draw less both control variates: the same mean over its stratum, less variance."""
    reduced = less_control_variate(terms, torch.stack([excess(eps) for eps in draw.eps]))
    return (
        reduced
        if draw.stratum.length == 1
        else less_control_variate(reduced, _place(draw.stratum, torch.stack(draw.k)))
    )


def _times(stratum: Stratum, u: Tensor) -> Tensor:
    """t of a stratum [N] by u ~ U[0, 1) [N]."""
    return stratum.first + (u * stratum.length).long().clamp(max=stratum.length - 1)


def _place(stratum: Stratum, k: Tensor) -> Tensor:
    """Places of times in a stratum that holds several, with mean 0 and variance 1."""
    return (k - (stratum.first + stratum.last) / 2) / math.sqrt((stratum.length**2 - 1) / 12)


def less_control_variate(values: Tensor, control: Tensor) -> Tensor:
    """Each half's values [2, N] minus slope · control, for a control [2, N] of mean 0 and variance 1. The slope is that
    of the other half over its images; nothing is subtracted for fewer than `FEWEST` images."""
    n = values.shape[1]
    if n < FEWEST:
        return values
    slope = ((values - values.mean(1, keepdim=True)) * control).sum(1, keepdim=True) / (n - 1)
    return values - slope.flip(0) * control
