"""Axis: σ², the variance of the reverse step p_θ(x_s | x_t) = N(μ_θ, σ²).

Its natural bounds are β, optimal for x_0 ~ N(0, I), and β̃, optimal where x_0 is one point (Ho et al. 2020, §3.2).
Both read the pair that they are asked for, so a strided chain has its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core.forward import Pair, expand


class Variance(ABC):
    """σ² of a step. A learned one reads a second half of the network's channels."""

    learned: ClassVar[bool]
    strided: ClassVar[bool] = True

    @abstractmethod
    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor) -> Tensor:
        """log σ², broadcastable to x_t [B, …]; `raw` is the network's second half, empty if nothing is learned."""


@dataclass(frozen=True)
class Beta(Variance):
    """σ² = β ("fixed large"); the chain's rule where the step ends in clean data."""

    learned: ClassVar[bool] = False

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor) -> Tensor:
        return expand(torch.where(pair.ends_clean, pair.log_first, pair.log_beta), x_t)


@dataclass(frozen=True)
class BetaTilde(Variance):
    """σ² = β̃ ("fixed small"); the chain's rule where the step ends in clean data."""

    learned: ClassVar[bool] = False

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor) -> Tensor:
        return expand(pair.log_beta_tilde, x_t)


@dataclass(frozen=True)
class LearnedDiagonal(Variance):
    """log σ² = log β_t + o, o free per dimension (the baseline of Ho et al. 2020, Table 2).

    Tied to the pair that it was trained on, hence refused in a strided chain.
    """

    learned: ClassVar[bool] = True
    strided: ClassVar[bool] = False

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor) -> Tensor:
        return expand(pair.log_beta, x_t) + raw
