"""Axis: the spacing, K of the T times that a chain of fewer steps visits, 1 ≤ τ_1 < … < τ_K = T.

    uniform      τ_k = 1 + round((k − 1)(T − 1)/(K − 1))          (one section of Nichol & Dhariwal 2021)
    quadratic    τ_k = 1 + round((T − 1)((k − 1)/(K − 1))²)       (Song et al. 2021, appendix D.2)
    log_snr      γ evenly spaced                                  (Lu et al. 2022, §4.1)
    karras       σ^{1/ρ} evenly spaced, σ² = (1 − ᾱ)/ᾱ            (Karras et al. 2022, eq. 5)
    optimal      the K times that minimise the bound              (Watson et al. 2021)

A place on the noise scale is rounded to the nearest time that has not been taken. Where γ_T = ∞, T is visited, and the
others are spaced from T − 1 on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core.chain import strided_times
from diffusion_core.gamma import Gamma

__all__ = [
    "KarrasSpacing",
    "LevelSpacing",
    "LogSnrSpacing",
    "OptimalSpacing",
    "QuadraticSpacing",
    "Spacing",
    "UniformSpacing",
]


class Spacing(ABC):
    """The choice of times. `fitted` tells whether it reads the terms of a trained network's bound."""

    fitted: ClassVar[bool] = False

    def times(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        """K = `steps` of the times 1..T with T among them, int64 [K + 1], τ_0 = 0; ValueError unless 1 ≤ K ≤ T.

        `terms` [T + 1, T + 1] is what `fitting.bound_terms` measured, empty where nothing was.
        """
        if not 1 < steps < gamma.horizon:
            return strided_times(gamma.horizon, steps)
        return torch.cat([torch.tensor([0]), self.chosen(gamma, steps, terms)])

    @abstractmethod
    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        """τ_1 < … < τ_K = T, int64 [K], for 1 < K < T."""


@dataclass(frozen=True)
class UniformSpacing(Spacing):
    """Times evenly spaced from 1 to T, as far as rounding allows (Nichol & Dhariwal 2021, arXiv:2102.09672, §4)."""

    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        return strided_times(gamma.horizon, steps)[1:]


@dataclass(frozen=True)
class QuadraticSpacing(Spacing):
    """Times whose square roots are evenly spaced: more of them at the end (Song et al. 2021, arXiv:2010.02502)."""

    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        share = torch.arange(steps, dtype=torch.float64) / (steps - 1)
        return apart(1 + (gamma.horizon - 1) * share**2, gamma.horizon)


class LevelSpacing(Spacing):
    """Times whose noise levels are evenly spaced on a scale of its own."""

    @abstractmethod
    def scale(self, gamma: Tensor) -> Tensor:
        """The place of noise levels γ on the scale, which rises with γ."""

    @torch.no_grad()
    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        places = self.scale(gamma(torch.arange(1, gamma.horizon + 1, device=gamma.device))).cpu()
        ends_in_noise = bool(places[-1].isposinf())
        finite, count = (places[:-1], steps - 1) if ends_in_noise else (places, steps)
        if count == 1:
            return torch.tensor([1, gamma.horizon])
        wanted = torch.lerp(finite[0], finite[-1], torch.arange(count, dtype=torch.float64) / (count - 1))
        above = torch.searchsorted(finite, wanted).clamp(1, len(finite) - 1)
        share = (wanted - finite[above - 1]) / (finite[above] - finite[above - 1])
        times = apart(above + share, len(finite))
        return torch.cat([times, torch.tensor([gamma.horizon])]) if ends_in_noise else times


@dataclass(frozen=True)
class LogSnrSpacing(LevelSpacing):
    """Times evenly spaced in log-SNR (Lu et al. 2022, arXiv:2206.00927)."""

    def scale(self, gamma: Tensor) -> Tensor:
        return gamma


@dataclass(frozen=True)
class KarrasSpacing(LevelSpacing):
    """Times evenly spaced in σ^{1/ρ}, σ = e^{γ/2}, ρ = `rho` (Karras et al. 2022, arXiv:2206.00364, eq. 5).

    ρ → ∞ is `log_snr`.
    """

    rho: float = 7.0

    def __post_init__(self) -> None:
        if not self.rho > 0:
            raise ValueError(f"karras needs rho > 0, got {self.rho}")

    def scale(self, gamma: Tensor) -> Tensor:
        return torch.exp(gamma / (2 * self.rho))


@dataclass(frozen=True)
class OptimalSpacing(Spacing):
    """The times that minimise the bound on training data, by dynamic programming over its terms.

    (Watson et al. 2021, arXiv:2106.03802.) A bound is a sum over its steps, so the best chain of K steps to t is the
    best of K − 1 steps to some s < t, and the step from t to s. The terms are the cell's own, at its σ², measured once
    for all pairs.
    """

    fitted: ClassVar[bool] = True

    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        horizon = gamma.horizon
        if terms.shape != (horizon + 1, horizon + 1):
            raise ValueError("spacing=optimal reads the terms of a trained network's bound: fit it first")
        cost, came_from = terms[:, 0].cpu(), []
        for _ in range(steps - 1):
            # Entry [t, s] is the best way to t whose last step goes to s; what is above the diagonal is infinite.
            cost, best = (terms.cpu() + cost).min(1)
            came_from.append(best)
        times = [horizon]
        for best in reversed(came_from):
            times.append(int(best[times[-1]]))
        return torch.tensor(times[::-1])


def apart(times: Tensor, last: int) -> Tensor:
    """Real times rounded to whole ones in 1..`last` that all differ, int64; the last is `last`."""
    chosen = [min(max(round(t), 1), last) for t in times.tolist()]
    chosen[-1] = last
    for i in range(1, len(chosen)):
        chosen[i] = max(chosen[i], chosen[i - 1] + 1)
    for i in range(len(chosen) - 1, -1, -1):
        chosen[i] = min(chosen[i], last - (len(chosen) - 1 - i))
    return torch.tensor(chosen)
