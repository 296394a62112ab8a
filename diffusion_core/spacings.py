"""Axis: the spacing, the K times that a chain of fewer than T steps visits, 1 ≤ τ_1 < … < τ_K = T.

    uniform      τ_k = 1 + round((k − 1)(T − 1)/(K − 1))          (one section of Nichol & Dhariwal 2021)
    trailing     τ_k = round(k T/K)                               (Lin et al. 2024, §3.3)
    quadratic    τ_k = 1 + round((T − 1)((k − 1)/(K − 1))²)       (Song et al. 2021, appendix D.2)
    log_snr      γ evenly spaced                                  (Lu et al. 2022, §4.1)
    karras       σ^{1/ρ} evenly spaced, σ² = (1 − ᾱ)/ᾱ            (Karras et al. 2022, eq. 5)
    optimal      the K times that minimise the bound              (Watson et al. 2021)

`log_snr` and `karras` are noise levels. A sampler takes them as they are, at the real times that have them, where the
network knows such (`Choices.knows_between`), and else at the whole times next to them, as a bound does. Where γ_T = ∞,
T is visited, and the others are spaced from T − 1 on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core.chain import strided_times, whole
from diffusion_core.gamma import Gamma, bisected
from diffusion_core.refusing import require


class Spacing(ABC):
    """A choice of the times of a chain. `fitted` says whether it reads the terms of a trained network's bound."""

    fitted: ClassVar[bool] = False

    def times(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        """K = `steps` times of [1, T] with T among them [K + 1], τ_0 = 0; ValueError unless 1 ≤ K ≤ T.

        Whole ones are int64, real ones float64. `terms` [T + 1, T + 1] is what `fitting.bound_terms` measured, empty
        where nothing was.
        """
        if not 1 < steps < gamma.horizon:
            return strided_times(gamma.horizon, steps)
        chosen = self.chosen(gamma, steps, terms)
        return torch.cat([chosen.new_zeros(1), chosen])

    @abstractmethod
    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        """τ_1 < … < τ_K = T, int64 or float64 [K], for 1 < K < T."""


@dataclass(frozen=True)
class UniformSpacing(Spacing):
    """Times evenly spaced from 1 to T, as far as rounding allows (Nichol & Dhariwal 2021, arXiv:2102.09672, §4)."""

    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        return strided_times(gamma.horizon, steps)[1:]


@dataclass(frozen=True)
class TrailingSpacing(Spacing):
    """Times evenly spaced from 0 to T, of which 0 is clean data (Lin et al. 2024, arXiv:2305.08891, §3.3).

    So the last step is as long as the others: K of Euler's along the straight path are K even ones in u, from 1 to 0.
    """

    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        return torch.tensor([round(k * gamma.horizon / steps) for k in range(1, steps + 1)])


@dataclass(frozen=True)
class QuadraticSpacing(Spacing):
    """Times whose square roots are evenly spaced: more of them at the end (Song et al. 2021, arXiv:2010.02502)."""

    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        share = torch.arange(steps, dtype=torch.float64) / (steps - 1)
        return whole(1 + (gamma.horizon - 1) * share**2)


class LevelSpacing(Spacing):
    """Times whose noise levels are evenly spaced on a scale of its own: real ones, whose levels are exact.

    Rounded to whole times they would be off, by up to 3 % of σ on the linear schedule at T = 1000. DPM-Solver asks a
    network that was trained at whole times between these; EDM's sampler, exact for networks that were trained in
    continuous time, rounds for such a network.
    """

    @abstractmethod
    def scale(self, gamma: Tensor) -> Tensor:
        """The place of noise levels γ on the scale, which rises with γ."""

    @torch.no_grad()
    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        horizon, to_noise = gamma.horizon, gamma.ends_in_noise
        last, count = (horizon - 1, steps - 1) if to_noise else (horizon, steps)
        ends = torch.tensor([1.0, last], dtype=torch.float64, device=gamma.device)
        share = torch.arange(count, dtype=torch.float64, device=gamma.device) / max(1, count - 1)
        start, end = self.scale(gamma(ends))
        times = bisected(lambda t: self.scale(gamma(t)), torch.lerp(start, end, share), last)
        times[[0, -1]] = ends if count > 1 else ends[:1]
        return torch.cat([times, times.new_tensor([horizon])] if to_noise else [times]).cpu()


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
        require(self.rho > 0, f"karras needs rho > 0, got {self.rho}")

    def scale(self, gamma: Tensor) -> Tensor:
        return torch.exp(gamma / (2 * self.rho))


@dataclass(frozen=True)
class OptimalSpacing(Spacing):
    """The times that minimise the bound on training data, by dynamic programming over its terms.

    (Watson et al. 2021, arXiv:2106.03802.) A bound is a sum over its steps, so the best chain of K steps to t is the
    best of K − 1 steps to some s < t, and the step from t to s. The terms are the cell's own, at its σ², measured once
    for all pairs.
    """

    fitted = True

    def chosen(self, gamma: Gamma, steps: int, terms: Tensor) -> Tensor:
        horizon = gamma.horizon
        fitted = terms.shape == (horizon + 1, horizon + 1)
        require(fitted, "spacing=optimal reads the terms of a trained network's bound: fit it first")
        cost, came_from = terms[:, 0].cpu(), []
        for _ in range(steps - 1):
            # Entry [t, s] is the least cost from t if the first step goes to s; entries with s ≥ t are infinite.
            cost, best = (terms.cpu() + cost).min(1)
            came_from.append(best)
        times = [horizon]
        for best in reversed(came_from):
            times.append(int(best[times[-1]]))
        return torch.tensor(times[::-1])
