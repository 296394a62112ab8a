"""Latents, where x_0 is the code z of an image, scaled to unit variance per channel.

    x_0 = (z − m)/s,   m, s² = mean and variance of z over all training images and places, E σ² included
    log p_z(z) = log p(x_0) − (h w) Σ_c log s_c                                the Jacobian of the scale
    −log P(x) ≤ E_q[−log P(x | z) + log q(z | x) − log p_z(z)]

All terms, log q(z | x) too, are computed at the z that is drawn: if q is the posterior of the model, every draw gives
−log P(x) itself. A vector-quantised code has no such bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.autoencoder import Autoencoder
from diffusion_core.denoiser import PLACES, at_once
from diffusion_core.encodings import Code, Density
from diffusion_core.randomness import normal

CHUNK = 512
"""The images that go through an autoencoder at once, fewer if they are large (`denoiser.PLACES`)."""


def chunked(shape: tuple[int, ...], device: torch.device, function: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """function(*values) [N, …] in float32 throughout, for as many rows at a time as images of this shape allow.

    It is computed on `device`, and stored where the values are, as they may be more than the device holds.
    """
    count = min(CHUNK, at_once(shape, PLACES))

    def rows(start: int) -> Tensor:
        out = function(*(value[start : start + count].to(device) for value in values))
        return out.to(values[0].device)

    with precision.exact(device):
        return torch.cat([rows(start) for start in range(0, len(values[0]), count)])


@dataclass(frozen=True, eq=False)
class Standard:
    """m (`mean`) and s (`scale`) per channel [c], float64; `active` is the share of s² that tells images apart.

    That share is the variance of μ over images at one place, averaged over places and divided by s².
    """

    mean: Tensor
    scale: Tensor
    active: Tensor


@torch.no_grad()
def standard(autoencoder: Autoencoder, images: Tensor) -> Standard:
    """Mean and scale of the codes of all stored images [N, …], by Var z = Var μ + E σ²."""
    moments = chunked(tuple(images.shape[1:]), autoencoder.device, autoencoder.moments, images)
    q = autoencoder.posterior(moments)
    mean = q.mean.double()
    variance = mean.var((0, 2, 3), correction=0) + q.log_variance.exp().double().mean((0, 2, 3))
    active = mean.var(0, correction=0).mean((1, 2)) / variance
    return Standard(mean.mean((0, 2, 3)), variance.sqrt(), active)


@dataclass(frozen=True, eq=False)
class LatentCode(Density):
    """The encoding of images of `image_shape` as codes of `code_shape`, by a trained `autoencoder` on their device.

    `mean` and `scale` [c] are those of its codes (`Standard`).
    """

    autoencoder: Autoencoder
    mean: Tensor
    scale: Tensor
    image_shape: tuple[int, ...]
    code_shape: tuple[int, ...]

    @property
    def share(self) -> float:  # type: ignore[override]
        return math.prod(self.code_shape) / math.prod(self.image_shape)

    @property
    def offset_bits(self) -> float:
        places = math.prod(self.code_shape[1:])
        return places * float(torch.log2(self.scale.double()).sum()) / math.prod(self.image_shape)

    def shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.code_shape

    def check(self, raw: Tensor, shape: tuple[int, ...]) -> None:
        self.autoencoder.levels.check(raw, self.image_shape)

    def check_stored(self, stored: Tensor, shape: tuple[int, ...]) -> None:
        super().check(stored, shape)

    @torch.no_grad()
    def store(self, raw: Tensor) -> Tensor:
        return self._chunked(self.autoencoder.moments, raw)

    def noise(self, shape: tuple[int, ...], seed: int, step: int, purpose: str, device: torch.device) -> Tensor:
        return normal(seed, step, purpose, (shape[0], *self.code_shape), device)

    def encode(self, raw: Tensor, u: Tensor) -> Tensor:
        """x_0 from moments and noise ~ N(0, I) of the code's shape."""
        z = self.autoencoder.posterior(raw).sample(u.to(raw.dtype))
        return (z - self.mean.to(z)[:, None, None]) / self.scale.to(z)[:, None, None]

    def _chunked(self, function: Callable[..., Tensor], *values: Tensor) -> Tensor:
        return chunked(self.image_shape, self.autoencoder.device, function, *values)

    def unscaled(self, x0: Tensor) -> Tensor:
        """z of x_0."""
        return x0 * self.scale.to(x0)[:, None, None] + self.mean.to(x0)[:, None, None]

    @torch.no_grad()
    def decode(self, x: Tensor) -> Tensor:
        return self._decoded(self.unscaled(x))

    def _decoded(self, z: Tensor) -> Tensor:
        return self.autoencoder.levels.decode(self._chunked(self.autoencoder.decode, z))

    @torch.no_grad()
    def reconstruct(self, raw: Tensor) -> Tensor:
        """Stored images, encoded to the mean of their codes and decoded again."""
        return self._decoded(self.autoencoder.posterior(self.store(raw)).mean)

    @torch.no_grad()
    def code(self, raw: Tensor, seed: int, purpose: str) -> Code:
        """The code of stored data that the bound is computed for; ValueError where q(z | x) is no density."""
        stored = self.store(raw)
        x0 = self.draw(stored, seed, 0, purpose)
        z = self.unscaled(x0)
        reconstruction = self._chunked(self.autoencoder.reconstruction_term, raw, z)
        return Code(x0, {"reconstruction": reconstruction, "entropy": self.autoencoder.log_density(stored, z)})
