"""The likelihood of the probability flow, by the change of variables along it (Song et al. 2021, eq. 39).

    dx/dγ = ½ σ (ε̂ − σ x),  σ² = 1 − ᾱ = sigmoid(γ),   d log p/dγ = −tr ∂(dx/dγ)/∂x = ½ σ² D − ½ σ tr ∂ε̂/∂x

from γ_1, where the flow ends in x_1/√ᾱ_1, to γ_T, where N(0, I) is assumed. That is a density on real vectors: grey
levels are dequantised by uniform noise, latents are drawn by their encoder, and the cost of either (`encodings.py`)
turns it into a bound on the data's probability. Nothing is clipped. The trace is Hutchinson's estimate by ±1 probes,
exact if there are as many probes as dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.batches import Data
from diffusion_core.choices import flow_refusal
from diffusion_core.denoiser import PLACES_WITH_GRADIENT, at_once
from diffusion_core.diffusion import Diffusion, Progress, silent
from diffusion_core.likelihood import code_bits
from diffusion_core.randomness import uniform
from diffusion_core.refusing import refuse, require
from diffusion_core.terms import bits_per_nat, sum_dims

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

    @property
    def standard_error(self) -> float:
        """Standard error of the mean of `total`, from images, dequantisation and probes together."""
        return float(self.total.std() / len(self.total) ** 0.5)


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
        slope = partial(_slope, diffusion.rows(slice(i, i + batch)), directions[:, i : i + batch], time)
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
