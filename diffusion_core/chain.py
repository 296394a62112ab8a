"""The chain of times that the reverse process visits: 0 = τ_0 < τ_1 < … < τ_K = T; and the axis of its spacing.

    t       a time: 0 is clean data, 1..T are the full chain's, and in continuous time any number of [1, T] is one
    s       the time that a step from t leads to, s < t
    τ_k     the k-th time that a chain visits, k = 1..K: its step k leads from t = τ_k to s = τ_{k−1}
    u       (t − 1)/(T − 1), continuous time on [0, 1]
    γ_t     the noise level of t, −log(ᾱ_t/(1 − ᾱ_t)) = −log SNR; it rises with t, and is all that q reads of t
    σ_t     the deviation of a step of p_θ; without a step, √((1 − ᾱ)/ᾱ) = e^{γ/2}, as in EDM
    time    what the network is told of t: t or γ_t, on one scale for all T (`denoiser.py`)

The full chain is τ_k = k. A strided one has K times of [1, T], whole ones, or for a sampler real ones. Between them
q(x_s | x_t, x_0) and its β, β̃ are those of the step (τ_k, τ_{k−1}) (Nichol & Dhariwal 2021, §4). The first step's rule
belongs here, since it is the chain that knows which step follows it:

    beta_tilde_2: σ_1² = β̃ of the step (τ_2, τ_1);   beta_1: σ_1² = 1 − ᾱ at τ_1.

The spacing chooses the K times:

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
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from diffusion_core.forward import Step
from diffusion_core.gamma import Gamma, bisected
from diffusion_core.refusing import require

FirstStep = Literal["beta_tilde_2", "beta_1"]


def strided_times(horizon: int, steps: int) -> Tensor:
    """K = `steps` of the times 1..T as evenly spaced as rounding allows, T among them; int64 [K + 1], τ_0 = 0.

    τ_k = 1 + round((k − 1)(T − 1)/(K − 1)), one section of K in Nichol & Dhariwal's code; [0, T] for K = 1.
    """
    says = f"a chain of {steps} steps does not fit a horizon of T={horizon}: take 1 to {horizon}"
    require(1 <= steps <= horizon, says)
    if steps == 1:
        return torch.tensor([0, horizon])
    stride = (horizon - 1) / (steps - 1)
    return torch.tensor([0, *(1 + round(k * stride) for k in range(steps))])


def whole(times: Tensor) -> Tensor:
    """Rising times, the last of them T, each rounded to the nearest whole one so that all differ, int64.

    Times get their places from the earliest on; where these would go beyond T, they move down.
    """
    if not times.is_floating_point():
        return times
    last = round(float(times[-1]))
    chosen = [round(t) for t in times.tolist()]
    for i in range(1, len(chosen)):
        chosen[i] = max(chosen[i], chosen[i - 1] + 1)
    for i in range(1, len(chosen)):
        chosen[-i] = min(chosen[-i], last - (i - 1))
    return torch.tensor(chosen, device=times.device)


@dataclass(frozen=True)
class Chain:
    """A chain of visited `times` τ [K + 1], int64, or float64 if they are real; `gamma` gives the noise level at any
    time, and `first_step` is the rule for σ_1².

    The coefficients of all steps are computed once, for γ as it is, unless γ learns.
    """

    gamma: Gamma
    times: Tensor
    first_step: FirstStep

    @property
    def steps(self) -> int:
        """K, the number of steps."""
        return len(self.times) - 1

    @property
    def full(self) -> bool:
        """True where all T times are visited."""
        return self.steps == self.gamma.horizon

    @cached_property
    def noise_times(self) -> list[int]:
        """The whole times nearest to τ_0..τ_K, all of them different, by which noise is drawn."""
        return list(whole(self.times).tolist())

    @cached_property
    def gammas(self) -> list[float]:
        """γ at τ_0..τ_K as numbers, read once: a sampler that decides by them need not wait for the device at each
        step."""
        return list(self.gamma(self.times).tolist())

    def step(self, k: Tensor) -> Step:
        """The step from τ_k to τ_{k−1}, for k int64 [B] in 1..K."""
        return self._step(self.times[k], self.times[k - 1]) if self.gamma.learns else self._steps.at(k - 1)

    def trained_step(self, k: Tensor) -> Step:
        """The step from τ_k to τ_k − 1: the step that a μ-network was trained on, whatever the stride."""
        t = self.times[k]
        return self._step(t, t - 1) if self.gamma.learns else self._trained_steps.at(k - 1)

    @cached_property
    def _steps(self) -> Step:
        """The `step` of k = 1..K, for a γ that does not learn."""
        return self._step(self.times[1:], self.times[:-1])

    @cached_property
    def _trained_steps(self) -> Step:
        """The `trained_step` of k = 1..K, for a γ that does not learn."""
        return self._step(self.times[1:], self.times[1:] - 1)

    def _step(self, t: Tensor, s: Tensor) -> Step:
        # A learned γ costs a pass of its network, so all noise levels are computed at once, those of τ_1 and τ_2 (τ_1
        # where K = 1) too.
        parts = t, s, self.times[1:2], self.times[:3][-1:]
        gamma_t, gamma_s, gamma_1, gamma_2 = self.gamma(torch.cat(parts)).split([len(part) for part in parts])
        if self.first_step == "beta_1" or self.steps == 1:
            log_first = logsigmoid(gamma_1)
        else:
            log_first = torch.log(Step(gamma_2, gamma_1, gamma_1).beta_tilde)
        return Step(gamma_t, gamma_s, log_first.expand(len(t)))


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
