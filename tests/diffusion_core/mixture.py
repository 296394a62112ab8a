"""A mixture of Gaussians with its exact denoiser, and the exact posterior of a step by Bayes' rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal


def bayes(x0: Tensor, x_t: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(x_s | x_t, x_0) ∝ q(x_t | x_s) q(x_s | x_0), two Gaussians in x_s, by their precisions."""
    alpha = alpha_bar_t / alpha_bar_s
    likelihood, prior = alpha / (1 - alpha), 1 / (1 - alpha_bar_s)
    variance = 1 / (likelihood + prior)
    mean = variance * (alpha.sqrt() * x_t / (1 - alpha) + prior * alpha_bar_s.sqrt() * x0)
    return mean, variance


@dataclass(frozen=True)
class MixtureData:
    """Gaussians of one width on a circle, 2-D, each of them a class."""

    components: int = 5
    radius: float = 1.0
    width: float = 0.4
    density: MixtureSameFamily = field(init=False, repr=False)

    def __post_init__(self) -> None:
        normals = Independent(Normal(self.centres, torch.full_like(self.centres, self.width)), 1)
        weights = Categorical(torch.ones(self.components, dtype=torch.float64))
        object.__setattr__(self, "density", MixtureSameFamily(weights, normals))

    @property
    def centres(self) -> Tensor:
        """The means of the Gaussians, [components, 2]."""
        angle = torch.arange(self.components, dtype=torch.float64) * (2 * math.pi / self.components)
        return self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)

    def denoise(self, x_t: Tensor, alpha_bar: Tensor, label: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t]: that of each component, by its share of the density at x_t; with a label [B] below K, that of
        its own component."""
        alpha_bar = alpha_bar.reshape(-1, 1, 1)
        offset = x_t[:, None].double() - alpha_bar.sqrt() * self.centres
        variance = alpha_bar * self.width**2 + 1 - alpha_bar
        share = torch.softmax(-0.5 * (offset**2 / variance).sum(-1), dim=1)
        if label is not None:
            one_hot = torch.nn.functional.one_hot(label, self.components + 1)[:, :-1].to(share)
            share = torch.where((label < self.components)[:, None], one_hot, share)
        mean = self.centres + alpha_bar.sqrt() * self.width**2 / variance * offset
        expected: Tensor = (share[..., None] * mean).sum(1).to(x_t.dtype)
        return expected

    def sample(self, n: int, seed: int) -> Tensor:
        """n points, float64 [n, 2]."""
        generator = torch.Generator().manual_seed(seed)
        component = torch.randint(self.components, (n,), generator=generator)
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return self.centres[component] + self.width * noise
