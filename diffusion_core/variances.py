"""Axis: σ², the variance of the reverse step p_θ(x_s | x_t) = N(μ_θ, σ²).

Its natural bounds are β, optimal for x_0 ~ N(0, I), and β̃, optimal where x_0 is one point (Ho et al. 2020, §3.2).
Both read the pair that they are asked for, so a strided chain has its own. The variance that is optimal for a given
mean lies between them: by the law of total variance,

    σ² = β̃ + c_0² Var(x_0 | x_t),   Var(x_0 | x_t) = (1 − ᾱ_t)/ᾱ_t · m_t   per dimension,

where m_t is what noise the network cannot tell (Bao et al. 2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core.forward import Pair, expand

LEAST_M = 1e-6
"""The least m_1: if the network told all noise, σ_1² would be 0, which no density can use."""


class Variance(ABC):
    """The choice of σ². A learned one reads a second half of the network's channels, a fitted one what was measured.

    `exact` tells whether what was fitted is the exact denoiser's Var(x_0 | x_t), which on [−1, 1] is at most 1.
    """

    learned: ClassVar[bool] = False
    fitted: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    strided: ClassVar[bool] = True

    @abstractmethod
    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        """log σ², broadcastable to x_t [B, …].

        `raw` is the network's second half, empty if nothing is learned; `x0_variance` [B] is Var(x_0 | x_t) per
        dimension as fitted, zero if nothing is fitted.
        """

    @property
    def trained_as(self) -> Variance:
        """The variance that stands for this one in training."""
        return self


@dataclass(frozen=True)
class Beta(Variance):
    """σ² = β ("fixed large"); the chain's rule where the step ends in clean data."""

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(torch.where(pair.ends_clean, pair.log_first, pair.log_beta), x_t)


@dataclass(frozen=True)
class BetaTilde(Variance):
    """σ² = β̃ ("fixed small"); the chain's rule where the step ends in clean data."""

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(pair.log_beta_tilde, x_t)


@dataclass(frozen=True)
class LearnedVariance(Variance):
    """log σ² = v log β + (1 − v) log β̃, v = (o + 1)/2 per dimension (Nichol & Dhariwal 2021, eq. 15).

    The output o is not squashed: 0 is the middle, ±1 are the bounds. Where the step ends in clean data the chain's
    rule stands for β̃; where that is β_1, both bounds are one and o changes nothing there.
    """

    learned: ClassVar[bool] = True

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        v = (raw + 1) / 2
        return v * expand(pair.log_beta, x_t) + (1 - v) * expand(pair.log_beta_tilde, x_t)


@dataclass(frozen=True)
class LearnedDiagonal(Variance):
    """log σ² = log β_t + o, o free per dimension (the baseline of Ho et al. 2020, Table 2).

    Tied to the pair that it was trained on, hence refused in a strided chain.
    """

    learned: ClassVar[bool] = True
    strided: ClassVar[bool] = False

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(pair.log_beta, x_t) + raw


class Fitted(Variance):
    """σ² = β̃ + c_0² Var(x_0 | x_t), fitted after training and without gradient; trained as β̃."""

    fitted: ClassVar[bool] = True

    @abstractmethod
    def m(self, norm: Tensor, error: Tensor) -> Tensor:
        """m_t [T] from E‖ε̂‖²/D and E‖ε − ε̂‖²/D at t = 1..T."""

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        variance = pair.beta_tilde + pair.coefficient_x0**2 * x0_variance
        least = torch.where(pair.ends_clean, LEAST_M * pair.one_minus_alpha_bar_t, 0)
        return expand(torch.log(torch.maximum(variance, least)), x_t)

    @property
    def trained_as(self) -> Variance:
        return BetaTilde()


@dataclass(frozen=True)
class Analytic(Fitted):
    """m = 1 − E‖ε̂‖²/D (Bao et al. 2022, Theorem 1): optimal if the network is the exact denoiser."""

    exact: ClassVar[bool] = True

    def m(self, norm: Tensor, error: Tensor) -> Tensor:
        return (1 - norm).clamp(0, 1)


@dataclass(frozen=True)
class AnalyticMse(Fitted):
    """m = E‖ε − ε̂‖²/D: optimal for the network as it is."""

    def m(self, norm: Tensor, error: Tensor) -> Tensor:
        return error
