"""Encodings of stored data as x_0 and back, with the decoder p_θ(x_0 | x_1) of L_0. Latents are in `latents.py`.

Grey levels: 8-bit values v ∈ {0..255} stand at x = v/127.5 − 1, and p(v | x_1) integrates N(μ, σ²) over the bin x ±
1/255, open at both ends, so that the 256 probabilities sum to one. Data of fewer levels is dequantised: level k
becomes v = w k + u with u uniform in {0..w − 1}, w = ⌊256/levels⌋, and by Jensen's inequality

    −log2 P(k) ≤ E_u[−log2 p(w k + u)] − log2 w,

so its bits/dim are those of 8 bits less log2 w. Continuous data: the Gaussian's density.

As a density the same data is x_0 = (w (k + u) − ½)/127.5 − 1 with u uniform in [0, 1), and

    −log2 P(k) ≤ E_u[−log2 p(x_0)] + log2(127.5/w)   per dimension.

A second decoder needs no network: for grey levels a softmax over the 256 values. Both are in `terms.py`.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from diffusion_core.forward import expand
from diffusion_core.randomness import SILVER, spread_uniforms, uniform
from diffusion_core.refusing import refuse, require
from diffusion_core.terms import log_bin_probability, normal_nats, softmax_decoder, sum_dims


@dataclass(frozen=True)
class Code:
    """`x0` [B, …] of stored data and, where an autoencoder made it, the `nats` [B] of "reconstruction" and "entropy".

        −log P(data) ≤ reconstruction + entropy + (bound on −log p(x_0)) + offset

    with the encoding's offset, which it states in bits/dim.
    """

    x0: Tensor
    nats: dict[str, Tensor] = field(default_factory=dict)


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

    def check(self, raw: Tensor, shape: tuple[int, ...]) -> None:
        """ValueError where stored data [N, …] are not what is encoded here as x_0 of this shape.

        Other values would be scored all the same, and beyond what is possible: images in [0, 1] at 2 bits/dim too few.
        """
        require(len(raw) > 0, "there are no examples: take data [N, …] with N of at least 1")
        expected = f"expected [N, {', '.join(map(str, shape))}], got {list(raw.shape)}"
        require(self.shape_of(tuple(raw.shape[1:])) == shape, f"the data are of another shape: {expected}")
        refuse(self.fault(raw))

    def check_stored(self, stored: Tensor, shape: tuple[int, ...]) -> None:
        """The same of what `store` gives."""
        self.check(stored, shape)

    @abstractmethod
    def fault(self, raw: Tensor) -> str | None:
        """The fault of stored values that are not what this encoding reads, in words; None if there is none."""

    def store(self, raw: Tensor) -> Tensor:
        """The part of x_0 that takes no noise, from stored data [N, …]: computed once, it serves every `draw`."""
        return raw

    def draw(self, stored: Tensor, seed: int, step: int, purpose: str) -> Tensor:
        """x_0 from what `store` gave and the noise of (seed, step, purpose)."""
        return self.encode(stored, self.noise(tuple(stored.shape), seed, step, purpose, stored.device))

    def noise(self, shape: tuple[int, ...], seed: int, step: int, purpose: str, device: torch.device) -> Tensor:
        """The noise [B, …] of (seed, step, purpose) that `encode` takes besides stored values of this shape [B, …]: as
        little as [B, 1, …] where it `reads_noise` none."""
        drawn = shape if self.reads_noise else (shape[0], *[1] * (len(shape) - 1))
        return uniform(seed, step, purpose, drawn, device)

    @property
    def reads_noise(self) -> bool:
        """True where x_0 is not the same for each draw of the noise."""
        return False

    def code(self, raw: Tensor, seed: int, purpose: str) -> Code:
        """The code of stored data that the bound is computed for."""
        return Code(self.draw(self.store(raw), seed, 0, purpose))

    def spread(self, raw: Tensor, code: Code, seed: int, purpose: str) -> Iterator[Tensor]:
        """The x_0 at which each term of the bound of stored data [N, …] is computed, one after another without end.

        It is that of `code`, like for reconstruction and entropy, unless the terms may differ in it.
        """
        return itertools.repeat(code.x0)

    def density_code(self, raw: Tensor, seed: int, purpose: str) -> Code:
        """The code of stored data for a likelihood of real vectors."""
        return self.code(raw, seed, purpose)

    @property
    def offset_bits(self) -> float:
        """The bits/dim to add to the bound on x_0 for a bound on the stored data."""
        return 0.0

    @property
    def density_offset_bits(self) -> float:
        """The bits/dim to add to −log2 of the density of a `density_code` for that of the stored data."""
        return self.offset_bits

    @abstractmethod
    def encode(self, raw: Tensor, u: Tensor) -> Tensor:
        """x_0, float32, from stored values and what `noise` draws for them: u ~ U[0, 1), float64, of their shape."""

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
        return -math.log2(self.width)

    @property
    def reads_noise(self) -> bool:
        return self.width > 1

    def fault(self, raw: Tensor) -> str | None:
        if raw.dtype != torch.uint8:
            advice = "for x in [0, 1] take (255 * x).round().byte()"
            return f"grey levels are stored as uint8 0..{self.levels - 1}, got {raw.dtype}: {advice}"
        most = int(raw.max()) if self.levels < 256 else 0
        return None if most < self.levels else f"grey levels must lie in 0..{self.levels - 1}, and reach {most}"

    def spread(self, raw: Tensor, code: Code, seed: int, purpose: str) -> Iterator[Tensor]:
        """x_0, dequantised anew for each term, evenly, if a level is several values: the first terms vary most."""
        if not self.reads_noise:
            return super().spread(raw, code, seed, purpose)
        draws = spread_uniforms(seed, purpose, tuple(raw.shape), raw.device, SILVER)
        return (self.encode(raw, u) for u in draws)

    def encode(self, raw: Tensor, u: Tensor) -> Tensor:
        value = raw * self.width + (u * self.width).floor()
        return (value / 127.5 - 1).float()

    def density_code(self, raw: Tensor, seed: int, purpose: str) -> Code:
        return Code(self.dequantise(raw, uniform(seed, 0, purpose, tuple(raw.shape), raw.device)))

    def dequantise(self, raw: Tensor, u: Tensor) -> Tensor:
        """x_0 as a real vector with a density, float32, from stored values and u ~ U[0, 1), float64, of their shape."""
        # Each level fills its share of the scale; its 8-bit values v stand at the middle of [v, v + 1).
        return (((raw + u) * self.width - 0.5) / 127.5 - 1).float()

    @property
    def density_offset_bits(self) -> float:
        return math.log2(127.5 / self.width)

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


class Density(Encoding):
    """Real vectors x_0, whose decoder is the Gaussian's density."""

    bounded = False
    grey_levels = False

    def fault(self, raw: Tensor) -> str | None:
        if not raw.is_floating_point():
            return f"points are real vectors, float32, got {raw.dtype}"
        return None if bool(raw.isfinite().all()) else "points must be finite, and some are not"

    def decoder_term(self, x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return sum_dims(normal_nats(x0, mean, log_variance).expand_as(x0))

    def direct_term(self, x0: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
        # N(x_1/√ᾱ_1; x_0, e^γ), as a density of x_0.
        return sum_dims(0.5 * (eps**2 + expand(gamma, x0) + math.log(2 * math.pi)).expand_as(x0))


@dataclass(frozen=True)
class Continuous(Density):
    """Real vectors, taken as they are."""

    def encode(self, raw: Tensor, u: Tensor) -> Tensor:
        return raw.float()

    def decode(self, x: Tensor) -> Tensor:
        return x
