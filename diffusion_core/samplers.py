"""Axis: how samples are drawn from the chain. The base owns the loop, a sampler writes one step.

x_K ~ N(0, I), then x_{k−1} from x_k for k = K..1. Noise belongs to a sample, not to a batch: sample i of a seed is the
same whatever is drawn beside it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.chain import Chain
from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import expand
from diffusion_core.randomness import BLOCK, normal_blocks


@dataclass(frozen=True)
class Sampler(ABC):
    """A sampler of `steps` steps, all T of them where it is None."""

    steps: int | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"sampler.steps must be at least 1 or null for all, got {self.steps}")

    @abstractmethod
    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: Tensor, noise: Tensor, *, clip: bool) -> Tensor:
        """x at time τ_{k−1} from x at τ_k, [B, …]; k int64 [B]; noise ~ N(0, I) shaped like x_t."""

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
        chain = diffusion.chain(self.steps)
        parts = []
        for first in range(0, n, batch):
            count = min(batch, n - first)

            def noise(k: int, first: int = first, count: int = count) -> Tensor:
                return normal_blocks(seed, k, first, count, diffusion.shape, diffusion.device)

            x = noise(chain.steps + 1)
            for k in range(chain.steps, 0, -1):
                steps = torch.full((count,), k, device=x.device)
                with precision.exact(x.device):
                    x = self.step(diffusion, x, chain, steps, noise(k), clip=clip)
                progress((first + count * (1 - (k - 1) / chain.steps)) / n)
            parts.append(x)
        return torch.cat(parts)


@dataclass(frozen=True)
class Ancestral(Sampler):
    """x_s ~ p_θ(x_s | x_t), and the mean where s is clean data (Ho et al. 2020, Algorithm 2)."""

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: Tensor, noise: Tensor, *, clip: bool) -> Tensor:
        p = diffusion.reverse(x_t, chain, k, clip=clip)
        return p.gaussian.sample(expand((k > 1).to(noise.dtype), noise) * noise)
