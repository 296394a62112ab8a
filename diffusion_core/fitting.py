"""What a fitted variance needs of a trained network: E‖ε̂‖²/D and E‖ε − ε̂‖²/D at every t, over training data.

For the exact denoiser ε̂ = E[ε | x_t] the two add up to E‖ε‖²/D = 1 (Bao et al. 2022, Lemma 7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.bound import mean_dims
from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import diffuse
from diffusion_core.randomness import draw, normal, send
from diffusion_core.reverse import clipped, noise_of
from diffusion_core.variances import Fitted


@dataclass(frozen=True)
class NoiseMoments:
    """Second moments at t = 1..T, float64 [T]: `norm` = E‖ε̂‖²/D unclipped, `error` = E‖ε − ε̂‖²/D clipped if asked."""

    norm: Tensor
    error: Tensor


@torch.no_grad()
def noise_moments(
    diffusion: Diffusion,
    raw: Tensor,
    *,
    draws: int,
    seed: int,
    clip: bool,
    progress: Callable[[float], None] = lambda share: None,
) -> NoiseMoments:
    """The moments over `draws` images of stored data [N, …], the same at every t, and as many noises per t."""
    index = torch.randint(len(raw), (draws,), generator=draw(seed, 0, "fit/image"))
    images = raw[send(index, raw.device)]
    x0 = diffusion.encoding.draw(diffusion.encoding.store(images), seed, 0, "fit/dequantise")
    chain = diffusion.chain()
    norm = torch.zeros(chain.steps, dtype=torch.float64, device=raw.device)
    error = torch.zeros_like(norm)
    for t in range(1, chain.steps + 1):
        eps = normal(seed, t, "fit/eps", tuple(x0.shape), raw.device)
        k = torch.full((draws,), t, device=raw.device)
        pair = chain.pair(k)
        x_t = diffuse(x0, eps, pair.gamma_t)
        with precision.exact(raw.device):
            p = diffusion.reverse(x_t, chain, k, clip=False)
        held = noise_of(clipped(p.x0), x_t, pair) if clip and diffusion.encoding.bounded else p.eps
        norm[t - 1] = mean_dims(p.eps**2).double().mean()
        error[t - 1] = mean_dims((eps - held) ** 2).double().mean()
        progress(t / chain.steps)
    return NoiseMoments(norm.cpu(), error.cpu())


def with_fitted_variance(
    diffusion: Diffusion, variance: Fitted, raw: Tensor, *, draws: int, seed: int, clip: bool
) -> Diffusion:
    """The diffusion with a variance that is fitted to its network over `draws` images of stored data [N, …]."""
    moments = noise_moments(diffusion, raw, draws=draws, seed=seed, clip=clip)
    fitted = diffusion.with_variance(variance)
    fitted.fit(variance.m(moments.norm, moments.error))
    return fitted
