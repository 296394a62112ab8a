"""How stored data becomes x_0 and back, and the decoder p_θ(x_0 | x_1) of L_0. Latents are in `latents.py`.

Grey levels: 8-bit values v ∈ {0..255} stand at x = v/127.5 − 1, and p(v | x_1) integrates N(μ, σ²) over the bin x ±
1/255, open at both ends, so that the 256 probabilities sum to one. Data of fewer levels is dequantised: level k
becomes v = w k + u with u uniform in {0..w − 1}, w = ⌊256/levels⌋, and by Jensen's inequality

    −log2 P(k) ≤ E_u[−log2 p(w k + u)] − log2 w,

so its bits/dim are those of 8 bits less log2 w. Continuous data: the Gaussian's density.

As a density the same data is x_0 = (w (k + u) − ½)/127.5 − 1 with u uniform in [0, 1), and

    −log2 P(k) ≤ E_u[−log2 p(x_0)] + log2(127.5/w)   per dimension.

A second decoder needs no network: p(x_0 | x_1) ∝ q(x_1 | x_0), for grey levels a softmax over the 256 values.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from diffusion_core.bound import normal_nats, sum_dims
from diffusion_core.forward import expand
from diffusion_core.randomness import SILVER, spread_uniforms, uniform
from diffusion_core.units import bits_of


@dataclass(frozen=True)
class Code:
    """x_0 [B, …] of stored data and, where an autoencoder made it, what that costs besides, in nats [B].

        −log P(data) ≤ reconstruction + entropy + (bound on −log p(x_0)) + offset

    with the encoding's offset, which it states in bits/dim.
    """

    x0: Tensor
    reconstruction: Tensor | None = None
    entropy: Tensor | None = None


class Encoding(ABC):
    """A map between stored data and x_0: `encode` takes stored values [B, …] to x_0 [B, …], `decode` back.

    `share` is d/D, the dimensions of x_0 per dimension of the stored data.
    """

    bounded: bool
    grey_levels: bool
    share: float = 1.0

    def shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of x_0 where stored examples have this one."""
        return shape

    def store(self, raw: Tensor) -> Tensor:
        """The part of x_0 that takes no noise, from stored data [N, …]: worked out once, it serves every `draw`."""
        return raw

    def draw(self, stored: Tensor, seed: int, step: int, purpose: str) -> Tensor:
        """x_0 from what `store` gave and the noise of (seed, step, purpose)."""
        return self.encode(stored, self.noise(tuple(stored.shape), seed, step, purpose, stored.device))

    def noise(self, shape: tuple[int, ...], seed: int, step: int, purpose: str, device: torch.device) -> Tensor:
        """What `encode` takes besides stored values of this shape [B, …], of (seed, step, purpose): [B, …]."""
        return uniform(seed, step, purpose, shape, device)

    def code(self, raw: Tensor, seed: int, purpose: str) -> Code:
        """Stored data as the bound takes it."""
        return Code(self.draw(self.store(raw), seed, 0, purpose))

    def spread(self, raw: Tensor, code: Code, seed: int, purpose: str) -> Iterator[Tensor]:
        """The x_0 at which each term of the bound of stored data [N, …] is taken, one after another without end.

        It is that of `code`, at which reconstruction and entropy are taken too, unless terms may differ in theirs.
        """
        return itertools.repeat(code.x0)

    def density_code(self, raw: Tensor, seed: int, purpose: str) -> Code:
        """Stored data as a likelihood of real vectors takes it."""
        return Code(self.dequantise(raw, uniform(seed, 0, purpose, tuple(raw.shape), raw.device)))

    @property
    @abstractmethod
    def offset_bits(self) -> float:
        """What is added to the bound on x_0, in bits/dim, to make it one on the stored data."""

    @abstractmethod
    def dequantise(self, raw: Tensor, u: Tensor) -> Tensor:
        """x_0 as a real vector with a density, float32, from stored values and u ~ U[0, 1), float64, of their shape."""

    @property
    @abstractmethod
    def density_offset_bits(self) -> float:
        """What is added to −log2 of a density of `dequantise`d data, in bits/dim, to make it one of the stored data."""

    @property
    @abstractmethod
    def uniform_bits(self) -> float | None:
        """bits/dim of a uniform code for the stored data; None where there is none."""

    @abstractmethod
    def encode(self, raw: Tensor, u: Tensor) -> Tensor:
        """x_0, float32, from stored values and u ~ U[0, 1), float64, of their shape."""

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """The stored values nearest to x."""

    @abstractmethod
    def decoder_term(self, x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """L_0 = −log p(x_0 | x_1) in nats [B], p's parameters being `mean` and `log_variance`."""

    @abstractmethod
    def direct_term(self, x0: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
        """L_0 in nats [B] without a network, at x_1 = √ᾱ_1 x_0 + √(1 − ᾱ_1) ε and γ = γ_1 [B].

        p(x_0 | x_1) ∝ q(x_1 | x_0) for x_0 among the values there are (Kingma et al. 2021, §3.3).
        """


def log_bin_probability(
    x0: Tensor, mean: Tensor, log_variance: Tensor, half: float = 1 / 255, first: float = -1.0, last: float = 1.0
) -> Tensor:
    """log of N(mean, σ²) integrated over each value's bin x_0 ± `half`, elementwise and in float64.

    The bins of the `first` and the `last` value are open. Taken in the tail where the bin lies, as
    log Φ(b) + log(1 − Φ(a)/Φ(b)) with a < b ≤ −a, so that it stays finite and exact 40 standard deviations out.
    """
    x0, mean = x0.double(), mean.double()
    inverse_sigma = torch.exp(-0.5 * log_variance.double())
    lower = (x0 - mean - half) * inverse_sigma
    upper = (x0 - mean + half) * inverse_sigma
    right = (lower + upper) > 0
    a, b = torch.where(right, -upper, lower), torch.where(right, -lower, upper)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    inside = log_b + torch.log(-torch.expm1(log_a - log_b))
    log_below, log_above = torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower)
    return torch.where(x0 < first + half, log_below, torch.where(x0 > last - half, log_above, inside))


REACH = 20.0
"""Standard deviations beyond which a level's share of a softmax is below float64's last digit, whatever ε is drawn."""
NOWHERE = 1e6
"""A distance at which no share is left, and which still has a gradient."""


DISTANCES = 2**24
"""Distances to a level's neighbours that are in memory at once, float64: 128 MB for each thing made of them."""


def softmax_decoder(x0: Tensor, eps: Tensor, gamma: Tensor, values: Tensor) -> Tensor:
    """log p(x_0 | x_1) elementwise, float64: a softmax over `values` v of −½ e^{−γ} (x_1/√ᾱ_1 − v)².

    x_1/√ᾱ_1 = x_0 + e^{γ/2} ε, with γ [B]; x_0 [B, …] lies among the evenly spaced values. Examples of many dimensions
    are taken some at a time, and where a gradient is asked for each part is worked out again for it.
    """
    count = max(1, DISTANCES // (math.prod(x0.shape[1:]) * len(values)))
    if len(x0) <= count:
        return _softmax_decoder(x0, eps, gamma, values)
    parts = zip(*(torch.split(value, count) for value in (x0, eps, gamma)), strict=True)
    return torch.cat(
        [checkpoint(_softmax_decoder, *part, values, use_reentrant=False, preserve_rng_state=False) for part in parts]
    )


def _softmax_decoder(x0: Tensor, eps: Tensor, gamma: Tensor, values: Tensor) -> Tensor:
    x0, eps = x0.double(), eps.double()
    precision = expand(torch.exp(-0.5 * gamma), x0)[..., None]
    distance = level_distances(x0, gamma, values) * precision + eps[..., None]
    return -0.5 * eps**2 - torch.logsumexp(-0.5 * distance**2, dim=-1)


@torch.no_grad()
def level_distances(x0: Tensor, gamma: Tensor, values: Tensor) -> Tensor:
    """x_0 − v [B, …, V] for the values v that can matter, `NOWHERE` beyond the first and the last value.

    On a GPU all values are taken: to learn how many matter, the CPU would have to wait for it.
    """
    spacing = values[1] - values[0]
    if x0.device.type != "cpu":
        return x0[..., None] - values
    reach = float(REACH * torch.exp(0.5 * gamma.max()) / spacing)
    width = math.ceil(reach) if reach < len(values) - 1 else len(values) - 1
    offsets = torch.arange(-width, width + 1)
    level = ((x0 - values[0]) / spacing).round().long()[..., None] + offsets
    inside = (level >= 0) & (level < len(values))
    return torch.where(inside, -offsets * spacing, NOWHERE)


@dataclass(frozen=True)
class GreyLevels(Encoding):
    """Images of `levels` grey levels, stored as uint8 0..levels − 1."""

    levels: int = 256

    bounded = True
    grey_levels = True

    @property
    def width(self) -> int:
        """w, the 8-bit values that one level spreads over."""
        return 256 // self.levels

    @property
    def offset_bits(self) -> float:
        return -bits_of(self.width)

    @property
    def uniform_bits(self) -> float:
        return bits_of(self.levels)

    def spread(self, raw: Tensor, code: Code, seed: int, purpose: str) -> Iterator[Tensor]:
        """Dequantised anew for each term, evenly, where a level is several values: the first terms vary with u most."""
        if self.width == 1:
            return itertools.repeat(code.x0)
        draws = spread_uniforms(seed, purpose, tuple(raw.shape), raw.device, SILVER)
        return (self.encode(raw, u) for u in draws)

    def noise(self, shape: tuple[int, ...], seed: int, step: int, purpose: str, device: torch.device) -> Tensor:
        return super().noise(shape if self.width > 1 else unread(shape), seed, step, purpose, device)

    def encode(self, raw: Tensor, u: Tensor) -> Tensor:
        value = raw * self.width + (u * self.width).floor()
        return (value / 127.5 - 1).float()

    def dequantise(self, raw: Tensor, u: Tensor) -> Tensor:
        # Each level fills its share of the scale; its 8-bit values v stand at the middle of [v, v + 1).
        return (((raw + u) * self.width - 0.5) / 127.5 - 1).float()

    @property
    def density_offset_bits(self) -> float:
        return bits_of(127.5 / self.width)

    def decode(self, x: Tensor) -> Tensor:
        value = ((x.double() + 1) * 127.5).round().clamp(0, 255)
        return (value / self.width).floor().clamp(max=self.levels - 1).to(torch.uint8)

    def centre(self, raw: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """The middle of each level's 8-bit values, on the scale of x_0."""
        return ((raw.double() * self.width + (self.width - 1) / 2) / 127.5 - 1).to(dtype)

    def level_term(self, raw: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """−log of N(mean, σ²) integrated over each whole level's bin, in nats [B], of stored values [B, …].

        The probabilities of all levels sum to one. A bound on dequantised values is looser, for it codes u as well.
        """
        ends = self.centre(torch.tensor([0, self.levels - 1]), torch.float64).tolist()
        log_p = log_bin_probability(self.centre(raw, torch.float64), mean, log_variance, self.width / 255, *ends)
        return -sum_dims(log_p).to(mean.dtype)

    def decoder_term(self, x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return -sum_dims(log_bin_probability(x0, mean, log_variance)).to(x0.dtype)

    def direct_term(self, x0: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
        values = torch.arange(256, dtype=torch.float64, device=x0.device) / 127.5 - 1
        return -sum_dims(softmax_decoder(x0, eps, gamma, values)).to(x0.dtype)


def unread(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The least shape [B, 1, …] of a draw that goes with values of this one [B, …], and is not read."""
    return (shape[0], *[1] * (len(shape) - 1))


class Density(Encoding):
    """Real vectors x_0, whose decoder is the Gaussian's density."""

    bounded = False
    grey_levels = False

    def decoder_term(self, x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return sum_dims(normal_nats(x0, mean, log_variance).expand_as(x0))

    def direct_term(self, x0: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
        # N(x_1/√ᾱ_1; x_0, e^γ), as a density of x_0.
        return sum_dims(0.5 * (eps**2 + expand(gamma, x0) + math.log(2 * math.pi)).expand_as(x0))


@dataclass(frozen=True)
class Continuous(Density):
    """Real vectors, taken as they are."""

    @property
    def offset_bits(self) -> float:
        return 0.0

    @property
    def uniform_bits(self) -> None:
        return None

    def noise(self, shape: tuple[int, ...], seed: int, step: int, purpose: str, device: torch.device) -> Tensor:
        return super().noise(unread(shape), seed, step, purpose, device)

    def encode(self, raw: Tensor, u: Tensor) -> Tensor:
        return raw.float()

    def dequantise(self, raw: Tensor, u: Tensor) -> Tensor:
        return raw.float()

    @property
    def density_offset_bits(self) -> float:
        return 0.0

    def decode(self, x: Tensor) -> Tensor:
        return x
