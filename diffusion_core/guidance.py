"""Guidance: samples that amplify the difference between a diffusion and a guide, at the noise levels of an interval.

    x̂_0 = x̂_0^guide + w (x̂_0 − x̂_0^guide)      where low < σ ≤ high,  σ = √((1 − ᾱ)/ᾱ);  x̂_0 elsewhere

The scores of p_t are affine in x̂_0, ∇ log p_t(x_t) = (√ᾱ x̂_0 − x_t)/(1 − ᾱ), so they are combined in the same way:

    classifier-free    the guide is the diffusion with no label: ∇ log p_t(x) + w ∇ log p_t(y | x) (Ho & Salimans 2022)
    autoguidance       the guide is a worse one: an earlier average, a smaller network (Karras et al. 2024)

w = 1 is the diffusion alone and w = 0 the guide. Guidance does most good at middle noise levels, and harm at high ones
(Kynkäänniemi et al. 2024, arXiv:2404.07724). A guided chain does not draw from the p_θ that was learned, so likelihoods
are those of the diffusion without guidance.
"""

from __future__ import annotations

import math

import torch

from diffusion_core.diffusion import Diffusion
from diffusion_core.guide import Guide
from diffusion_core.refusing import require


def guided(
    diffusion: Diffusion, guide: Diffusion, scale: float = 1.0, low: float = 0.0, high: float = math.inf
) -> Diffusion:
    """The diffusion, guided by another with w = `scale` at the noise levels `low` < σ ≤ `high`; itself where w = 1.

    The guided diffusion keeps σ², and all else that is fitted, as they are now.

    ValueError where these are no scale and no interval, or the guide is of another chain or another space.
    """
    require(
        0 <= scale < math.inf,
        f"a guidance scale is at least 0 (0 is the guide alone, 1 no guidance), got {scale}",
    )
    require(
        0 <= low < high,
        f"guidance acts at noise levels low < sigma <= high, 0 <= low < high, got {low} to {high}",
    )
    require(
        diffusion.shape == guide.shape and diffusion.encoding.bounded == guide.encoding.bounded,
        f"a guide is of the diffusion's space: x_0 of {list(diffusion.shape)}, got {list(guide.shape)}",
    )
    require(
        diffusion.guide is None,
        "this diffusion is guided already, and has one guide: guide it as it was before",
    )
    require(
        torch.equal(diffusion.gamma(diffusion.all_times), guide.gamma(guide.all_times)),
        "a guide has the diffusion's T and its noise levels at every t: take one of the same schedule",
    )
    if scale == 1:
        return diffusion
    return diffusion.view(guide=Guide(guide.with_clip(False), scale, low, high))
