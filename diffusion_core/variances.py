"""Axis: σ², the variance of the reverse step p_θ(x_s | x_t) = N(μ_θ, σ²).

Its natural bounds are β, optimal for x_0 ~ N(0, I), and β̃, optimal where x_0 is one point (Ho et al. 2020, §3.2).
Both read the step that they are asked for, so a strided chain has its own. The variance that is optimal for the exact
mean lies between them where Var x_0 ≤ 1: by the law of total variance,

    σ² = β̃ + c_0² Var(x_0 | x_t)   per dimension (Bao et al. 2022),

and Var(x_0 | x_t) is what is fitted to a trained network (`fitting.py`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core.forward import Step, expand

MARGIN = 10
"""An estimate of Var(x_0 | x_t) is used only if this many of its standard errors are less than Var x_0: a variance that
is off by a share r of itself costs r²/4 nats per dimension of a step."""
LEAST_SHARE = 1e-6
"""The least σ_1²/(1 − ᾱ_1): if the network predicted all noise, σ_1² would be 0, which no density can use."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Measurements of a trained network that a variance is fitted to, float64, per dimension.

    `noise` = E(‖ε‖² − ‖ε̂‖²)/D, its standard error `noise_se`, and `error` = E‖x_0 − x̂_0‖²/D at t = 1..T [T],
    `alpha_bar` ᾱ_1..ᾱ_T [T], and `data` = Var x_0, a number.
    """

    noise: Tensor
    noise_se: Tensor
    error: Tensor
    alpha_bar: Tensor
    data: Tensor


class Variance(ABC):
    """A choice of σ². A `learned` one reads a second half of the network's channels, a `fitted` one what was measured.

    `needs_independent` is True if what was measured is its error only for noise that is independent of x_0.
    """

    learned: ClassVar[bool] = False
    fitted: ClassVar[bool] = False
    strided: ClassVar[bool] = True
    needs_independent: ClassVar[bool] = False

    @abstractmethod
    def log_variance(self, step: Step, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        """log σ², broadcastable to x_t [B, …].

        `raw` is the network's second half, empty if nothing is learned; `x0_variance` [B] is Var(x_0 | x_t) per
        dimension as fitted, nan where nothing is.
        """

    @property
    def trained_as(self) -> Variance:
        """The variance that stands for this one in training."""
        return self


@dataclass(frozen=True)
class Beta(Variance):
    """σ² = β ("fixed large"); the chain's rule where the step ends in clean data (Ho et al. 2020, arXiv:2006.11239)."""

    def log_variance(self, step: Step, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(torch.where(step.ends_clean, step.log_first, step.log_beta), x_t)


@dataclass(frozen=True)
class BetaTilde(Variance):
    """σ² = β̃ ("fixed small"); the chain's rule where the step ends in clean data (Ho et al. 2020, arXiv:2006.11239)."""

    def log_variance(self, step: Step, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(step.log_beta_tilde, x_t)


@dataclass(frozen=True)
class LearnedVariance(Variance):
    """log σ² = v log β + (1 − v) log β̃, v = (o + 1)/2 per dimension.

    (Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 15.) The output o is not squashed: 0 is the middle, ±1 are the
    bounds. Where the step ends in clean data the chain's rule stands for β̃; where that is β_1, both bounds are one and
    o changes nothing there.
    """

    learned = True

    def log_variance(self, step: Step, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        v = (raw + 1) / 2
        return v * expand(step.log_beta, x_t) + (1 - v) * expand(step.log_beta_tilde, x_t)


@dataclass(frozen=True)
class LearnedDiagonal(Variance):
    """log σ² = log β_t + o, o free per dimension, a baseline of Ho et al. 2020 (arXiv:2006.11239, Table 2).

    Tied to the step that it was trained on, hence refused in a strided chain.
    """

    learned = True
    strided = False

    def log_variance(self, step: Step, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(step.log_beta, x_t) + raw


class Fitted(Variance):
    """σ² = β̃ + c_0² Var(x_0 | x_t), fitted after training and without gradient; trained as β̃."""

    fitted = True

    @abstractmethod
    def x0_variance(self, moments: Moments) -> Tensor:
        """Var(x_0 | x_t) at t = 1..T, float64 [T]."""

    def log_variance(self, step: Step, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        variance = step.beta_tilde + step.coefficient_x0**2 * x0_variance
        least = torch.where(step.ends_clean, LEAST_SHARE * step.one_minus_alpha_bar_t, 0)
        return expand(torch.log(torch.maximum(variance, least)), x_t)

    def remark(self, moments: Moments) -> str:
        """A line on what the fit rests on, for readers of its numbers; "" where there is nothing to say."""
        return ""

    @property
    def trained_as(self) -> Variance:
        return BetaTilde()


@dataclass(frozen=True)
class Analytic(Fitted):
    """Var(x_0 | x_t) = E(‖ε‖² − ‖ε̂‖²)/D · (1 − ᾱ)/ᾱ, at most Var x_0: optimal if the network is the exact denoiser.

    (Bao et al. 2022, arXiv:2201.06503, Theorem 1.) They write 1 for E‖ε‖²/D. Here it is the mean over the draws
    themselves: otherwise the estimate would have noise of √(2/(nD)) at every t, which (1 − ᾱ)/ᾱ amplifies without
    limit. The remaining noise is amplified too. So where ten standard errors exceed Var x_0, E‖x_0 − x̂_0‖²/D takes its
    place, also at most Var x_0; for the exact denoiser both are the same.
    """

    needs_independent = True

    def x0_variance(self, moments: Moments) -> Tensor:
        variance = moments.noise.clamp(min=0) * (1 - moments.alpha_bar) / moments.alpha_bar
        variance = torch.where(moments.alpha_bar > 0, variance, math.inf)
        return torch.where(self._unsure(moments), moments.error, variance).minimum(moments.data)

    def remark(self, moments: Moments) -> str:
        count = int(self._unsure(moments).sum())
        says = f"at {count} of {len(moments.noise)} t, variance=analytic takes the estimate of analytic_mse, at most "
        return says + "Var x_0: there the standard error of its own is above a tenth of Var x_0" if count else ""

    @staticmethod
    def _unsure(moments: Moments) -> Tensor:
        """True where the estimate is not used [T]."""
        return MARGIN * moments.noise_se * (1 - moments.alpha_bar) > moments.alpha_bar * moments.data


@dataclass(frozen=True)
class AnalyticMse(Fitted):
    """Var(x_0 | x_t) = E‖x_0 − x̂_0‖²/D: optimal for the network as it is."""

    def x0_variance(self, moments: Moments) -> Tensor:
        return moments.error
