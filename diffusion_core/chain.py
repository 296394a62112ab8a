"""The chain of times that the reverse process visits: 0 = τ_0 < τ_1 < … < τ_K = T.

    t       a time: 0 is clean data, 1..T are the full chain's, and in continuous time any number of [1, T] is one
    s       the time that a step from t leads to, s < t
    τ_k     the k-th time that a chain visits, k = 1..K: its step k leads from t = τ_k to s = τ_{k−1}
    u       (t − 1)/(T − 1), continuous time on [0, 1]
    γ_t     the noise level of t, −log(ᾱ_t/(1 − ᾱ_t)) = −log SNR; it rises with t, and is all that q reads of t
    σ_t     the deviation of a step of p_θ; without a step, √((1 − ᾱ)/ᾱ) = e^{γ/2}, as in EDM
    time    what the network is told of t: t or γ_t, on one scale for all T (`denoiser.py`)

The full chain is τ_k = k. A strided one has K times of [1, T] (`spacings.py`): whole ones, or for a sampler real ones.
Between them q(x_s | x_t, x_0) and its β, β̃ are those of the step (τ_k, τ_{k−1}) (Nichol & Dhariwal 2021, §4). The first
step's rule belongs here, since it is the chain that knows which step follows it:

    beta_tilde_2: σ_1² = β̃ of the step (τ_2, τ_1);   beta_1: σ_1² = 1 − ᾱ at τ_1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from diffusion_core.forward import Step
from diffusion_core.gamma import Gamma
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
