"""Axis: the noise schedule, a map from t ∈ {1..T} to the noise level γ_t = −log(ᾱ_t/(1 − ᾱ_t)).

γ must rise with t. A schedule is a choice without tensors; `build` turns it into a module, so that what a schedule
learns travels with the network's weights. Tables are float64 and have T + 1 entries: γ_0 = −∞, that is ᾱ_0 = 1, clean
data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

FirstStep = Literal["beta_tilde_2", "beta_1"]


class Gamma(nn.Module, ABC):
    """γ as a function of t."""

    @property
    @abstractmethod
    def horizon(self) -> int:
        """T."""

    @abstractmethod
    def forward(self, t: Tensor) -> Tensor:
        """γ_t in float64 for t int64 of any shape, 0 ≤ t ≤ T."""


class Table(Gamma):
    """A fixed γ, read from a table that stands among the module's buffers."""

    gamma: Tensor

    def __init__(self, beta: Tensor) -> None:
        """From β_1..β_T, float64 [T]."""
        super().__init__()
        log_alpha_bar = torch.log1p(-beta).cumsum(0)
        gamma = torch.log(-torch.expm1(log_alpha_bar)) - log_alpha_bar
        self.register_buffer("gamma", torch.cat([gamma.new_full((1,), -math.inf), gamma]))

    @property
    def horizon(self) -> int:
        return len(self.gamma) - 1

    def forward(self, t: Tensor) -> Tensor:
        return self.gamma[t]


class Schedule(ABC):
    """A noise schedule. `first_step` names the rule for σ_1² under a grey-level decoder, where β̃_1 = 0."""

    first_step: ClassVar[FirstStep]

    @abstractmethod
    def build(self, horizon: int) -> Gamma:
        """γ for T = `horizon` steps; ValueError where the schedule has no meaning at that T."""


@dataclass(frozen=True)
class Linear(Schedule):
    """β_t linear from β_1 to β_T (Ho et al. 2020), both multiplied by 1000/T where `rescale` is set."""

    beta_1: float = 1e-4
    beta_T: float = 0.02
    rescale: bool = True

    first_step: ClassVar[FirstStep] = "beta_tilde_2"

    def __post_init__(self) -> None:
        if not 0 < self.beta_1 <= self.beta_T < 1:
            raise ValueError(
                f"linear needs 0 < beta_1 <= beta_T < 1, got beta_1={self.beta_1} and beta_T={self.beta_T}"
            )

    def build(self, horizon: int) -> Table:
        scale = 1000 / horizon if self.rescale else 1.0
        if scale * self.beta_T >= 1:
            raise ValueError(
                f"linear rescaled to T={horizon} has beta_T={scale * self.beta_T:g}, which must stay below 1: "
                f"take horizon > {math.floor(1000 * self.beta_T)} or schedule.rescale=false"
            )
        return Table(torch.linspace(scale * self.beta_1, scale * self.beta_T, horizon, dtype=torch.float64))


@dataclass(frozen=True)
class Cosine(Schedule):
    """ᾱ(u) ∝ cos²((u + s)/(1 + s) · π/2), β_t = 1 − ᾱ(t/T)/ᾱ((t − 1)/T) ≤ β_max (Nichol & Dhariwal 2021, eq. 17)."""

    s: float = 0.008
    beta_max: float = 0.999

    first_step: ClassVar[FirstStep] = "beta_tilde_2"

    def __post_init__(self) -> None:
        if not self.s >= 0:
            raise ValueError(f"cosine needs s >= 0, got s={self.s}")
        if not 0 < self.beta_max < 1:
            raise ValueError(f"cosine needs 0 < beta_max < 1, got beta_max={self.beta_max}")

    def build(self, horizon: int) -> Table:
        u = torch.arange(horizon + 1, dtype=torch.float64) / horizon
        alpha_bar = torch.cos((u + self.s) / (1 + self.s) * math.pi / 2) ** 2
        return Table((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=self.beta_max))
