"""Axis: how samples are drawn from the chain. The base owns the loop, a sampler writes one step.

x_K ~ N(0, I), then x_{k−1} from x_k for k = K..1. Noise belongs to a sample, not to a batch: sample i of a seed is the
same whatever is drawn beside it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.chain import Chain
from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import Pair, expand
from diffusion_core.randomness import BLOCK, normal_blocks
from diffusion_core.reverse import Reverse


@dataclass(frozen=True)
class Sampler(ABC):
    """A sampler of `steps` steps (None: all T), of which the first share `skip` is left out.

    It starts from N(0, I) all the same, at the first time that is not left out (Nichol & Dhariwal 2021, §3.2).
    `reads_variance` tells whether σ² enters a step, `evaluations` how often a step calls the network.
    """

    steps: int | None = None
    skip: float = 0.0

    reads_variance: ClassVar[bool]
    evaluations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"sampler.steps must be at least 1 or null for all, got {self.steps}")
        if not 0 <= self.skip < 1:
            raise ValueError(f"sampler.skip must be a share of the steps in [0, 1), got {self.skip}")

    @abstractmethod
    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: Tensor, noise: Tensor, *, clip: bool) -> Tensor:
        """x at time τ_{k−1} from x at τ_k, [B, …]; k int64 [B]; noise ~ N(0, I) shaped like x_t."""

    def start(self, steps: int) -> int:
        """The first k of a chain of `steps` steps."""
        return max(1, steps - round(self.skip * steps))

    @torch.no_grad()
    def sample(
        self,
        diffusion: Diffusion,
        n: int,
        *,
        seed: int,
        clip: bool,
        batch: int = 512,
        progress: Callable[[float], None] = lambda share: None,
    ) -> Tensor:
        """n samples x̂_0 [n, …] in the space of x_0; `progress` is told the share done."""
        batch = math.ceil(batch / BLOCK) * BLOCK
        start = self.start(diffusion.chain(self.steps).steps)
        parts = []
        for first in range(0, n, batch):
            count = min(batch, n - first)
            path = self.path(diffusion, first, count, seed=seed, clip=clip)
            x = next(path)
            for done in range(1, start + 1):
                x = next(path)
                progress((first + count * done / start) / n)
            parts.append(x)
        return torch.cat(parts)

    @torch.no_grad()
    def path(self, diffusion: Diffusion, first: int, count: int, *, seed: int, clip: bool) -> Iterator[Tensor]:
        """Samples `first`..`first + count` on their way: the noise they start from, and x after each step.

        `first` is a multiple of the noise's BLOCK.
        """

        def noise(k: int) -> Tensor:
            return normal_blocks(seed, k, first, count, diffusion.shape, diffusion.device)

        chain = diffusion.chain(self.steps)
        x = noise(chain.steps + 1)
        yield x
        for k in range(self.start(chain.steps), 0, -1):
            steps = torch.full((count,), k, device=x.device)
            with precision.exact(x.device):
                x = self.step(diffusion, x, chain, steps, noise(k), clip=clip)
            yield x


@dataclass(frozen=True)
class Ancestral(Sampler):
    """x_s ~ p_θ(x_s | x_t), and the mean where s is clean data (Ho et al. 2020, Algorithm 2)."""

    reads_variance: ClassVar[bool] = True

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: Tensor, noise: Tensor, *, clip: bool) -> Tensor:
        p = diffusion.reverse(x_t, chain, k, clip=clip)
        return p.gaussian.sample(expand((k > 1).to(noise.dtype), noise) * noise)


def ddim(p: Reverse, pair: Pair, eta: float, noise: Tensor) -> Tensor:
    """x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s − σ²) ε̂ + σ z with σ² = η² β̃ (Song et al. 2021, eq. 12)."""
    alpha_bar_s = torch.sigmoid(-pair.gamma_s)
    variance = eta**2 * pair.beta_tilde
    direction = (torch.sigmoid(pair.gamma_s) - variance).clamp(min=0).sqrt()
    x_s = expand(alpha_bar_s.sqrt(), noise) * p.x0 + expand(direction, noise) * p.eps
    return x_s + expand(variance.sqrt(), noise) * noise


@dataclass(frozen=True)
class Ddim(Sampler):
    """DDIM: η = 0 is deterministic, η = 1 has the ancestral step's law at σ² = β̃ (Song et al. 2021)."""

    eta: float = 0.0

    reads_variance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ValueError(f"sampler.eta must lie in [0, 1], got {self.eta}")

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: Tensor, noise: Tensor, *, clip: bool) -> Tensor:
        return ddim(diffusion.reverse(x_t, chain, k, clip=clip), chain.pair(k), self.eta, noise)


@dataclass(frozen=True)
class Heun(Sampler):
    """The probability flow d(x/√ᾱ)/dr = ε̂, r = √((1 − ᾱ)/ᾱ), by Heun's method of second order.

    (Song et al. 2021, eq. 14; Karras et al. 2022, Algorithm 1.) An Euler step, which is DDIM's with η = 0, then half
    the difference between the slopes at its two ends; Euler alone where s is clean data.
    """

    reads_variance: ClassVar[bool] = False
    evaluations: ClassVar[int] = 2

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: Tensor, noise: Tensor, *, clip: bool) -> Tensor:
        pair = chain.pair(k)
        p = diffusion.reverse(x_t, chain, k, clip=clip)
        x_s = ddim(p, pair, 0.0, torch.zeros_like(noise))
        slope = diffusion.reverse(x_s, chain, (k - 1).clamp(min=1), clip=clip).eps
        alpha_bar_s = torch.sigmoid(-pair.gamma_s)
        length = torch.sigmoid(pair.gamma_s).sqrt() - alpha_bar_s.sqrt() * torch.exp(0.5 * pair.gamma_t)
        return x_s + expand(torch.where(k > 1, 0.5 * length, 0), x_s) * (slope - p.eps)
