"""The probability flow (Song et al. 2021, eq. 14 and 39): samplers that solve it to second order, and its likelihood.

    d(x/√ᾱ)/dr = ε̂,   r = √((1 − ᾱ)/ᾱ);   dx/dγ = ½ σ (ε̂ − σ x),   σ² = 1 − ᾱ = sigmoid(γ)

A first-order step holds ε̂ and x̂_0 and is DDIM's with η = 0. `heun` averages the slopes of both ends of a step;
`dpm_solver` extrapolates x̂_0 from the step before, at one call of the network, and also solves the flow's stochastic
kin. By the change of variables along the flow, for x of D dimensions,

    d log p/dγ = −tr ∂(dx/dγ)/∂x = ½ σ² D − ½ σ tr ∂ε̂/∂x

from γ_1, where the flow ends in x_1/√ᾱ_1, to γ_T, where N(0, I) is assumed. That is a density on real vectors: grey
levels are dequantised by uniform noise, latents are drawn by their encoder, and the cost of either (`encodings.py`)
turns it into a bound on the data's probability. Nothing is clipped. The trace is Hutchinson's estimate by ±1 probes,
exact if there are as many probes as dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.chain import Chain
from diffusion_core.choices import flow_refusal
from diffusion_core.conditioning import Data
from diffusion_core.denoiser import PLACES_WITH_GRADIENT, at_once
from diffusion_core.diffusion import Diffusion, Progress, silent
from diffusion_core.forward import Step, expand
from diffusion_core.likelihood import code_bits
from diffusion_core.randomness import uniform
from diffusion_core.refusing import refuse, require
from diffusion_core.samplers import Noise, Sampler, ddim, reverse_at
from diffusion_core.terms import bits_per_nat, sum_dims

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
        if self.churn > 0 and self.churn_min <= math.exp(0.5 * level) <= self.churn_max and level < last:
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


BATCH = 512
"""The examples that go along the flow together, fewer if they are large (`PLACES_WITH_GRADIENT`)."""

Slope = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""dx/dγ and its divergence, at x and γ."""


@dataclass(frozen=True)
class FlowLikelihood:
    """Bits/dim of the stored data per image, `total` float64 [N], and the probes' share of their mean's standard error.

    A single probe cannot tell: `probe_error` is not a number then.
    """

    total: Tensor
    probe_error: float


def flow_likelihood(
    diffusion: Diffusion, data: Data, *, steps: int, probes: int, seed: int, progress: Progress = silent
) -> FlowLikelihood:
    """The flow's likelihood of stored data [N, …], by `steps` classical Runge-Kutta steps, evenly spaced in γ.

    ValueError where the network says nothing between two times, or the schedule ends in noise alone.
    """
    refuse(flow_refusal(diffusion.choices))
    some = steps >= 1 and probes >= 1
    require(some, f"the flow's likelihood needs at least 1 step and 1 probe, got {steps} and {probes}")
    # The flow's ε̂ is the network's own.
    diffusion, raw = diffusion.with_clip(False).for_data(data)
    encoding, dims = diffusion.encoding, math.prod(diffusion.shape)
    code = encoding.density_code(raw, seed, "ode/dequantise")
    x0 = code.x0
    directions = _directions(diffusion.shape, len(raw), probes, seed, raw.device)
    ends = torch.tensor([1, diffusion.choices.horizon], device=raw.device)
    start, end = diffusion.gamma(ends).tolist()
    log_alpha_bar = -math.log1p(math.exp(start))
    # Found once for all batches: each costs a bisection.
    time = cache(lambda gamma: diffusion.gamma.inverse(torch.full((1,), gamma, dtype=torch.float64, device=raw.device)))
    batch = min(BATCH, at_once(diffusion.shape, PLACES_WITH_GRADIENT))
    parts = []
    for i in range(0, len(x0), batch):
        x_1 = math.exp(0.5 * log_alpha_bar) * x0[i : i + batch].double()
        slope = partial(_slope, diffusion.select(slice(i, i + batch)), directions[:, i : i + batch], time)
        x, gain = _flow(slope, x_1, len(directions), start, end, steps)
        prior = -0.5 * (sum_dims(x**2) + dims * math.log(2 * math.pi))
        parts.append(prior + gain + 0.5 * dims * log_alpha_bar)
        progress(min(1.0, (i + batch) / len(x0)))
    log_density = torch.cat(parts, dim=1)
    bits = -log_density * bits_per_nat(dims) * encoding.share + encoding.density_offset_bits
    bits = sum(code_bits(code, raw).values(), bits).cpu()
    deviation = 0.0 if probes >= dims else float(bits.std(0).square().mean().sqrt()) if probes > 1 else math.nan
    return FlowLikelihood(bits.mean(0), deviation / math.sqrt(bits.numel()))


def _directions(shape: tuple[int, ...], n: int, probes: int, seed: int, device: torch.device) -> Tensor:
    """Probes v [P, N, …] with E v vᵀ = I: random signs, or √D times the unit vectors, which give the trace itself."""
    dims = math.prod(shape)
    if probes >= dims:
        unit = torch.eye(dims, dtype=torch.float64, device=device).reshape(dims, 1, *shape)
        return (math.sqrt(dims) * unit).expand(dims, n, *shape)
    signs = [uniform(seed, probe, "ode/probe", (n, *shape), device).round() * 2 - 1 for probe in range(probes)]
    return torch.stack(signs)


def _flow(slope: Slope, x: Tensor, probes: int, start: float, end: float, steps: int) -> tuple[Tensor, Tensor]:
    """x at γ = `end` [B, …] and ∫ tr ∂(dx/dγ)/∂x dγ per probe [P, B], from x at γ = `start`; float64."""
    gain = torch.zeros(probes, len(x), dtype=torch.float64, device=x.device)
    h = (end - start) / steps
    for step in range(steps):
        gamma = start + h * step
        k_1 = slope(x, gamma)
        k_2 = slope(x + 0.5 * h * k_1[0], gamma + 0.5 * h)
        k_3 = slope(x + 0.5 * h * k_2[0], gamma + 0.5 * h)
        k_4 = slope(x + h * k_3[0], gamma + h)
        state = zip((x, gain), k_1, k_2, k_3, k_4, strict=True)
        x, gain = (y + h / 6 * (a + 2 * b + 2 * c + d) for y, a, b, c, d in state)
    return x, gain


def _slope(
    diffusion: Diffusion, directions: Tensor, time: Callable[[float], Tensor], x: Tensor, gamma: float
) -> tuple[Tensor, Tensor]:
    """dx/dγ [B, …] at γ, whose time is `time`(γ) [1], and the probes' estimates of its divergence [P, B]."""
    sigma = torch.sigmoid(torch.full((1,), gamma, dtype=torch.float64, device=x.device)).sqrt()
    dtype = next(diffusion.network.parameters()).dtype
    with torch.enable_grad(), precision.exact(x.device):
        x_in = x.detach().to(dtype).requires_grad_()
        _, eps = diffusion.predict(x_in, time(gamma).expand(len(x)))
        products = [
            torch.autograd.grad(eps, x_in, v.to(eps.dtype), retain_graph=i + 1 < len(directions))[0] * v
            for i, v in enumerate(directions)
        ]
    trace = torch.stack([sum_dims(product.double()) for product in products])
    dims = math.prod(diffusion.shape)
    slope = 0.5 * sigma * (eps.detach().double() - sigma * x)
    return slope, 0.5 * sigma * trace - 0.5 * sigma**2 * dims
