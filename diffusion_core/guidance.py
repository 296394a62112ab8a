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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from diffusion_core.chain import Chain
from diffusion_core.choices import Choices
from diffusion_core.compilation import Compile
from diffusion_core.denoiser import noise_of
from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import Pair, expand
from diffusion_core.precision import Precision
from diffusion_core.reverse import Reverse

__all__ = ["guided"]


@dataclass(frozen=True, eq=False)
class Guide:
    """The guide `other` of a diffusion `own`, both without clipping, with w = `scale` at the noise levels `low` < σ ≤
    `high`."""

    own: Diffusion
    other: Diffusion
    scale: float
    low: float
    high: float

    def x0(self, own: Tensor, gamma: Tensor, other: Callable[[], Tensor]) -> Tensor:
        """The guided x̂_0, from the diffusion's `own` [B, …] at noise levels γ [B] and the guide's `other`, which is
        called only if one of these is in the interval."""
        if self.low == 0 and self.high == math.inf:
            guide = other()
            return guide + self.scale * (own - guide)
        sigma = torch.exp(0.5 * gamma)
        inside = (sigma > self.low) & (sigma <= self.high)
        if not bool(inside.any()):
            return own
        guide = other()
        return torch.where(expand(inside, own).bool(), guide + self.scale * (own - guide), own)


class Guided(Diffusion):
    """A view of a diffusion whose x̂_0 is guided, and then clipped if `clip`; σ² and everything else are the
    diffusion's."""

    def __init__(self, guide: Guide, clip: bool) -> None:
        nn.Module.__init__(self)
        vars(self).update(vars(guide.own))
        self.guide, self.clip = guide, clip

    def reverse(self, x_t: Tensor, chain: Chain, k: Tensor) -> Reverse:
        p = self.guide.own.reverse(x_t, chain, k)
        x0 = self.guide.x0(p.x0, p.pair.gamma_t, lambda: self.guide.other.reverse(x_t, chain, k).x0)
        x0, eps = self._held(x0, x_t, p.pair)
        return replace(p, x0=x0, eps=eps)

    def predict(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        level = Pair.level(self.gamma(t))
        own, _ = self.guide.own.predict(x_t, t)
        x0 = self.guide.x0(own, level.gamma_t, lambda: self.guide.other.predict(x_t, t)[0])
        return self._held(x0, x_t, level)

    def _held(self, x0: Tensor, x_t: Tensor, pair: Pair) -> tuple[Tensor, Tensor]:
        """(x̂_0, ε̂) of a guided x̂_0, clipped if the view is."""
        x0 = self.clipped(x0)
        return x0, noise_of(x0, x_t, pair)

    def given(self, labels: Tensor | None) -> Diffusion:
        raise ValueError("labels are given to a diffusion before it is guided: guided(diffusion.given(labels), guide)")

    def _with(self, choices: Choices) -> Diffusion:
        raise ValueError("a variance and a spacing are those of a diffusion before it is guided: swap them there")

    def picked(self, places: slice | Tensor) -> Diffusion:
        guide = self.guide
        return Guided(replace(guide, own=guide.own.picked(places), other=guide.other.picked(places)), self.clip)

    @contextmanager
    def network_in(self, precision: Precision, compile: Compile = "none") -> Iterator[None]:
        with self.guide.own.network_in(precision, compile), self.guide.other.network_in(precision, compile):
            yield


def guided(
    diffusion: Diffusion, guide: Diffusion, scale: float = 1.0, low: float = 0.0, high: float = math.inf
) -> Diffusion:
    """The diffusion, guided by another with w = `scale` at the noise levels `low` < σ ≤ `high`; itself where w = 1.

    The guided diffusion keeps σ², and all else that is fitted, as they are now.

    ValueError where these are no scale and no interval, or the guide is of another chain or another space.
    """
    if not 0 <= scale < math.inf:
        raise ValueError(f"a guidance scale is at least 0 (0 is the guide alone, 1 no guidance), got {scale}")
    if not 0 <= low < high:
        raise ValueError(f"guidance acts at noise levels low < sigma <= high, 0 <= low < high, got {low} to {high}")
    if diffusion.shape != guide.shape or diffusion.encoding.bounded != guide.encoding.bounded:
        shapes = list(diffusion.shape), list(guide.shape)
        raise ValueError(f"a guide is of the diffusion's space: x_0 of {shapes[0]}, got {shapes[1]}")
    times = diffusion.all_times
    if len(times) != len(guide.all_times) or not torch.equal(diffusion.gamma(times), guide.gamma(times)):
        raise ValueError("a guide has the diffusion's T and its noise levels at every t: take one of the same schedule")
    if scale == 1:
        return diffusion
    return Guided(Guide(diffusion.with_clip(False), guide.with_clip(False), scale, low, high), diffusion.clip)
