"""Axis: the sampler, which draws from the chain. The base owns the loop, a sampler writes one step.

x_K ~ N(0, I), then x_{k−1} from x_k for k = K..1. Noise belongs to a sample and a time, not to a batch or a chain:
sample i of a seed starts from the same x_K, whatever is drawn beside it, in however many steps and by which sampler.
Solvers of the probability flow are in `flow.py`.

Guided samples amplify the difference between a diffusion and a guide, at the noise levels of an interval:

    x̂_0 = x̂_0^guide + w (x̂_0 − x̂_0^guide)      where low < σ ≤ high,  σ = √((1 − ᾱ)/ᾱ);  x̂_0 elsewhere

The scores of p_t are affine in x̂_0, ∇ log p_t(x_t) = (√ᾱ x̂_0 − x_t)/(1 − ᾱ), so they are combined in the same way:

    classifier-free    the guide is the diffusion with no label: ∇ log p_t(x) + w ∇ log p_t(y | x) (Ho & Salimans 2022)
    autoguidance       the guide is a worse one: an earlier average, a smaller network (Karras et al. 2024)

w = 1 is the diffusion alone and w = 0 the guide. Guidance does most good at middle noise levels, and harm at high ones
(Kynkäänniemi et al. 2024, arXiv:2404.07724). A guided chain does not draw from the p_θ that was learned, so likelihoods
are those of the diffusion without guidance.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.chain import Chain
from diffusion_core.conditioning import Guide
from diffusion_core.diffusion import Diffusion, Progress, silent
from diffusion_core.forward import Gaussian, Step, expand
from diffusion_core.randomness import BLOCK, normal_blocks
from diffusion_core.refusing import require
from diffusion_core.terms import ReverseStep

Noise = Callable[[], Tensor]
"""A function that draws N(0, I) for a sampler's step, shaped like x_t; a step without noise does not call it."""

START = 0
"""The time by which the noise is drawn that a path starts from; no step is at this time."""


@dataclass(frozen=True)
class Sampler(ABC):
    """A sampler of `steps` steps (None: all T), of which the first share `skip` is left out.

    It starts from N(0, I) all the same, at the first time that is not left out (Nichol & Dhariwal 2021,
    arXiv:2102.09672, §3.2). `reads_variance` tells whether σ² enters a step.
    """

    steps: int | None = None
    skip: float = 0.0

    reads_variance: ClassVar[bool]

    def __post_init__(self) -> None:
        some = self.steps is None or self.steps >= 1
        require(some, f"sampler.steps must be at least 1 or null for all, got {self.steps}")
        require(0 <= self.skip < 1, f"sampler.skip must be a share of the steps in [0, 1), got {self.skip}")

    @property
    def between_times(self) -> bool:
        """True where the network is asked at times between those of the chain."""
        return False

    @abstractmethod
    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int, noise: Noise) -> Tensor:
        """x [B, …] at time τ_{k−1} from x_t at τ_k; `noise()` ~ N(0, I), the same each time, is shaped like x_t."""

    def calls(self, steps: int) -> int:
        """The number of calls of the network on the way down `steps` steps."""
        return steps

    def start(self, steps: int) -> int:
        """The first k of a chain of `steps` steps."""
        return max(1, steps - round(self.skip * steps))

    def walk(
        self, diffusion: Diffusion, x: Tensor, chain: Chain, start: int, noise: Callable[[int], Tensor]
    ) -> Iterator[Tensor]:
        """x after each step from x at τ_start, with `noise(k)` for step k.

        A sampler that remembers earlier steps has a walk of its own.
        """
        for k in range(start, 0, -1):
            with precision.exact(x.device):
                x = self.step(diffusion, x, chain, k, partial(noise, k))
            yield x

    @torch.no_grad()
    def sample(
        self, diffusion: Diffusion, n: int, *, seed: int, first: int = 0, batch: int = 512, progress: Progress = silent
    ) -> Tensor:
        """Samples x̂_0 `first`..`first + n` of a seed [n, …], in the space of x_0; `progress` is told the share done."""
        require(n >= 1, f"at least one sample can be drawn, got n={n}")
        batch = math.ceil(batch / BLOCK) * BLOCK
        start = self.start(diffusion.chain(self.steps).steps)
        begin, end = first // BLOCK * BLOCK, first + n
        parts = []
        for at in range(begin, end, batch):
            count = min(batch, end - at)
            for done, x in enumerate(self.path(diffusion, at, count, seed=seed)):
                progress((at - begin + len(x) * done / start) / (end - begin))
            parts.append(x)
        return torch.cat(parts)[first - begin :]

    @torch.no_grad()
    def path(self, diffusion: Diffusion, first: int, count: int, *, seed: int) -> Iterator[Tensor]:
        """Samples `first`..`first + count` on their way: the noise they start from, and x after each step.

        `first` is a multiple of the noise's BLOCK. Where labels are given, sample i has the i-th.
        """
        diffusion = diffusion.select(slice(first, first + count))

        def noise(t: int) -> Tensor:
            return normal_blocks(seed, t, first, count, diffusion.shape, diffusion.device)

        chain = diffusion.chain(self.steps, real=True)
        times = chain.noise_times
        x = noise(START)
        yield x
        yield from self.walk(diffusion, x, chain, self.start(chain.steps), lambda k: noise(times[k]))


def reverse_at(diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int) -> ReverseStep:
    """p_θ of step k for all of x_t [B, …]."""
    return diffusion.reverse(x_t, chain, torch.full((len(x_t),), k, device=x_t.device))


@dataclass(frozen=True)
class Ancestral(Sampler):
    """x_s ~ p_θ(x_s | x_t), and the mean where s is clean data (Ho et al. 2020, arXiv:2006.11239, Algorithm 2)."""

    reads_variance = True

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int, noise: Noise) -> Tensor:
        p = reverse_at(diffusion, x_t, chain, k)
        return Gaussian(p.mean, p.log_variance).sample(noise()) if k > 1 else p.mean


def ddim(x0: Tensor, eps: Tensor, step: Step, eta: float, noise: Noise) -> Tensor:
    """x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s − σ²) ε̂ + σ z with σ² = η² β̃ (Song et al. 2021, eq. 12)."""
    variance = eta**2 * step.beta_tilde
    direction = (torch.sigmoid(step.gamma_s) - variance).clamp(min=0).sqrt()
    x_s = expand(torch.sigmoid(-step.gamma_s).sqrt(), x0) * x0 + expand(direction, x0) * eps
    return x_s + expand(variance.sqrt(), x0) * noise() if eta else x_s


@dataclass(frozen=True)
class Ddim(Sampler):
    """DDIM: η = `eta` = 0 is deterministic, η = 1 has the ancestral step's law at σ² = β̃.

    (Song et al. 2021, arXiv:2010.02502, eq. 12.) η = 0 holds x̂_0 and ε̂ during a step. So does Euler's method along
    the straight path of rectified flow, whose velocity is ε̂ − x̂_0: there the two are the same.
    """

    eta: float = 0.0

    reads_variance = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.eta <= 1, f"sampler.eta must lie in [0, 1], got {self.eta}")

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int, noise: Noise) -> Tensor:
        p = reverse_at(diffusion, x_t, chain, k)
        return ddim(p.x0, p.eps, p.step, self.eta, noise)


def sample(diffusion: Diffusion, n: int, sampler: Sampler = Ancestral(), *, seed: int) -> Tensor:
    """Samples x̂_0 [n, …] of a diffusion, in the space of x_0 (`Sampler.sample`)."""
    return sampler.sample(diffusion, n, seed=seed)


def guided(
    diffusion: Diffusion, guide: Diffusion, scale: float = 1.0, low: float = 0.0, high: float = math.inf
) -> Diffusion:
    """The diffusion, guided by another with w = `scale` at the noise levels `low` < σ ≤ `high`; itself where w = 1.

    The guided diffusion keeps σ², and all else that is fitted, as they are now.

    ValueError where these are no scale and no interval, or the guide is of another chain or another space.
    """
    require(
        0 <= scale < math.inf,
        f"a guidance scale is at least 0 (0 is the guide alone, 1 no guidance), got {scale}",
    )
    require(
        0 <= low < high,
        f"guidance acts at noise levels low < sigma <= high, 0 <= low < high, got {low} to {high}",
    )
    require(
        diffusion.shape == guide.shape and diffusion.encoding.bounded == guide.encoding.bounded,
        f"a guide is of the diffusion's space: x_0 of {list(diffusion.shape)}, got {list(guide.shape)}",
    )
    require(
        diffusion.guide is None,
        "this diffusion is guided already, and has one guide: guide it as it was before",
    )
    require(
        torch.equal(diffusion.gamma(diffusion.all_times), guide.gamma(guide.all_times)),
        "a guide has the diffusion's T and its noise levels at every t: take one of the same schedule",
    )
    if scale == 1:
        return diffusion
    return diffusion.view(guide=Guide(guide.with_clip(False), scale, low, high))
