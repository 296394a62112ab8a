"""A schedule whose noise levels gather around one: γ(u) is the quantile of a Laplace law (Hang et al. 2024).

    γ(u) = F⁻¹(F(γ_min) + u [F(γ_max) − F(γ_min)]),   F⁻¹(p) = μ + b log 2p  (p < ½),  μ − b log 2(1 − p)  (else)

So a uniform t draws γ from the Laplace law around μ of width b, cut off at two ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.gamma import GammaCurve
from diffusion_core.schedules import Schedule


@dataclass(frozen=True)
class Laplace(Schedule):
    """γ by the quantiles of a Laplace law around `mu` of width `b`, between two ends."""

    mu: float = 0.0
    b: float = 2.0
    gamma_min: float = -9.0
    gamma_max: float = 7.0

    def __post_init__(self) -> None:
        if not (self.b > 0 and self.gamma_min < self.gamma_max):
            raise ValueError(f"laplace needs b > 0 and gamma_min < gamma_max, got {self}")

    def build(self, horizon: int) -> LaplaceGamma:
        return LaplaceGamma(horizon, self)


class LaplaceGamma(GammaCurve):
    """γ(u) of a Laplace schedule: μ, b, F(γ_min) and F(γ_max) are a buffer, so that weights on file say them."""

    law: Tensor

    def __init__(self, horizon: int, schedule: Laplace) -> None:
        super().__init__(horizon)
        mu, b = schedule.mu, schedule.b
        ends = [_share_below((end - mu) / b) for end in (schedule.gamma_min, schedule.gamma_max)]
        self.register_buffer("law", torch.tensor([mu, b, *ends], dtype=torch.float64))

    def curve(self, u: Tensor) -> Tensor:
        mu, b, low, high = self.law
        p = low + u * (high - low)
        # Each branch is kept from the logarithm of 0 where the other counts.
        below = torch.log(2 * p.clamp(max=0.5))
        above = -torch.log(2 * (1 - p).clamp(max=0.5))
        gamma: Tensor = mu + b * torch.where(p < 0.5, below, above)
        return gamma


def _share_below(z: float) -> float:
    """F(μ + b z) of the Laplace law."""
    return 0.5 * math.exp(z) if z < 0 else 1 - 0.5 * math.exp(-z)
