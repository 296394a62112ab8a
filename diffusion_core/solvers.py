"""Samplers that solve the probability flow, or its stochastic kin, to second order (axis: the sampler).

    d(x/√ᾱ)/dr = ε̂,   r = σ = √((1 − ᾱ)/ᾱ)                                       (Song et al. 2021, eq. 14)

A first-order step holds ε̂ and x̂_0 and is DDIM's with η = 0. `heun` averages the slopes of both ends of a step;
`dpm_solver` extrapolates x̂_0 from the step before, at one call of the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.chain import Chain
from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import Step, expand
from diffusion_core.refusing import require
from diffusion_core.samplers import Noise, Sampler, ddim, reverse_at

MOST_CHURN = math.sqrt(2) - 1
"""The most by which σ is raised before a step, as a share of it (Karras et al. 2022, Algorithm 2)."""

FARTHEST = 2.0
"""The longest step over which x̂_0 is extrapolated, as a multiple of the step before."""


@dataclass(frozen=True)
class Heun(Sampler):
    """Heun's method in σ: Euler, then half the difference of the slopes at both ends.

    (Karras et al. 2022, arXiv:2206.00364, Algorithm 1.) Euler alone where s is clean data, and where t is noise alone.
    With `churn` > 0 it is their Algorithm 2: before a step σ is raised to σ̂ = σ (1 + min(churn/K, √2 − 1)) by fresh
    noise, times `churn_noise`, where `churn_min` ≤ σ ≤ `churn_max`, and no further than the schedule goes; where the
    network knows nothing between its times, to the nearest that it knows, as in their code.
    """

    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = 1e9
    churn_noise: float = 1.0

    reads_variance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.churn >= 0 and 0 <= self.churn_min <= self.churn_max and self.churn_noise > 0,
            "sampler.churn must be at least 0, 0 <= sampler.churn_min <= sampler.churn_max and "
            f"sampler.churn_noise > 0, got {self.churn}, {self.churn_min}, {self.churn_max} and {self.churn_noise}",
        )

    @property
    def between_times(self) -> bool:
        return self.churn > 0

    def calls(self, steps: int) -> int:
        return 2 * steps - 1

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int, noise: Noise) -> Tensor:
        step = chain.step(torch.full((1,), k, device=x_t.device))
        level, last = chain.gammas[k], chain.gammas[-1]
        if self._stirs(level) and level < last:
            raised = (step.gamma_t + 2 * math.log1p(min(self.churn / chain.steps, MOST_CHURN))).clamp(max=last)
            time = diffusion.gamma.inverse(raised)
            if not diffusion.choices.knows_between:
                time = time.round()
                raised = diffusion.gamma(time)
            x_t = churned(x_t, step.gamma_t, raised, self.churn_noise * noise())
            step = Step(raised, step.gamma_s, raised)
            x0, eps = diffusion.predict(x_t, time.expand(len(x_t)))
        else:
            p = reverse_at(diffusion, x_t, chain, k)
            x0, eps = p.x0, p.eps
        x_s = ddim(x0, eps, step, 0.0, noise)
        if k == 1 or level == math.inf:
            return x_s
        slope = reverse_at(diffusion, x_s, chain, k - 1).eps
        alpha_s = torch.sigmoid(-step.gamma_s).sqrt()
        length = torch.sigmoid(step.gamma_s).sqrt() - alpha_s * torch.exp(0.5 * step.gamma_t)
        return x_s + expand(0.5 * length, x_s) * (slope - eps)

    def _stirs(self, level: float) -> bool:
        """True where a step from the noise level γ starts from a higher one, if the schedule has one."""
        return self.churn > 0 and self.churn_min <= math.exp(0.5 * level) <= self.churn_max


def churned(x_t: Tensor, gamma_t: Tensor, raised: Tensor, noise: Tensor) -> Tensor:
    """x at the noise level `raised` from x_t: x/√ᾱ gets fresh noise of variance σ̂² − σ²."""
    alpha_t, alpha = torch.sigmoid(-gamma_t).sqrt(), torch.sigmoid(-raised).sqrt()
    added = (torch.exp(raised) - torch.exp(gamma_t)).clamp(min=0).sqrt()
    return expand(alpha / alpha_t, x_t) * x_t + expand(alpha * added, x_t) * noise


@dataclass(frozen=True)
class DpmSolver(Sampler):
    """DPM-Solver++ of `order` 1 or 2M; its `equation` is the flow (`ode`) or the reverse diffusion (`sde`).

    (Lu et al. 2022, arXiv:2211.01095.)

        x_s = (σ_s/σ_t) q x_t + α_s (1 − q²) D + σ_s √(1 − q²) z,   q = (σ_s α_t)/(σ_t α_s) = e^{−h}   sde
        x_s = (σ_s/σ_t) x_t + α_s (1 − q) D                                                        ode

    with α² = ᾱ, σ² = 1 − ᾱ, h = (γ_t − γ_s)/2, and D = x̂_0, or x̂_0 + (h/2h') (x̂_0 − x̂_0') by the x̂_0' of the step
    before, of length h'. Order 1 is DDIM with η = 0, or η = 1. The last step, into clean data, is x̂_0, and one more
    than twice as long as the one before is of order 1. So is the step to t = 1 where times are evenly spaced: there an
    extrapolation is worse than none, and Lu et al. lower the order of their last step as well.
    """

    order: Literal[1, 2] = 2
    equation: Literal["ode", "sde"] = "ode"

    reads_variance = False

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int, noise: Noise) -> Tensor:
        p = reverse_at(diffusion, x_t, chain, k)
        return self._stepped(x_t, p.x0, p.step, noise)

    def walk(
        self, diffusion: Diffusion, x: Tensor, chain: Chain, start: int, noise: Callable[[int], Tensor]
    ) -> Iterator[Tensor]:
        before: tuple[Tensor, Tensor] | None = None
        for k in range(start, 0, -1):
            with precision.exact(x.device):
                p = reverse_at(diffusion, x, chain, k)
                length = p.step.gamma_t - p.step.gamma_s
                estimate = p.x0
                if self.order == 2 and before is not None and k > 1:
                    x0, earlier = before
                    estimate = p.x0 + expand(_reach(length, earlier), x) * (p.x0 - x0)
                x = self._stepped(x, estimate, p.step, partial(noise, k))
            before = p.x0, length
            yield x

    def _stepped(self, x_t: Tensor, x0: Tensor, step: Step, noise: Noise) -> Tensor:
        alpha_s, sigma_s = torch.sigmoid(-step.gamma_s).sqrt(), torch.sigmoid(step.gamma_s).sqrt()
        ratio = sigma_s / step.one_minus_alpha_bar_t.sqrt()
        q = ratio * step.alpha_bar_t.sqrt() / alpha_s
        if self.equation == "ode":
            return expand(ratio, x_t) * x_t + expand(alpha_s * (1 - q), x_t) * x0
        kept = expand(ratio * q, x_t) * x_t + expand(alpha_s * (1 - q**2), x_t) * x0
        return kept + expand(sigma_s * (1 - q**2).sqrt(), x_t) * noise()


def _reach(length: Tensor, earlier: Tensor) -> Tensor:
    """h/2h' [B], by which x̂_0 is extrapolated; 0 where h is too long."""
    return torch.where(length > FARTHEST * earlier, 0, 0.5 * length / earlier)
