"""The variational autoencoder: latents with a chain of no steps, x_0 ~ N(0, I) (Kingma & Welling 2014).

    −log2 P(x)/D ≤ E_q[−log2 P(x | z)]/D + E_q[log2 q(z | x)]/D − E_q[log2 N(x_0; 0, I)]/D + offset

x_0 is the scaled z (`latents.py`), so that N(0, I) is the prior whose mean and variance are those of the codes. It is
scored and sampled as a diffusion in the same latents is: reconstruction and entropy are the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.batches import Data, Labelled
from diffusion_core.latents import LatentCode
from diffusion_core.likelihood import Bound, bound_of_halves, codes_of, stored_terms
from diffusion_core.randomness import BLOCK, normal_blocks
from diffusion_core.terms import mean_dims
from diffusion_core.units import bits_per_dim


@dataclass(frozen=True, eq=False)
class Vae:
    """An autoencoder (`encoding`) with N(0, I) in place of a diffusion (Kingma & Welling 2014, arXiv:1312.6114)."""

    encoding: LatentCode

    @property
    def device(self) -> torch.device:
        return self.encoding.mean.device

    def for_data(self, data: Data) -> tuple[Vae, Tensor]:
        """The model, and stored data [N, …] without labels, which it knows none of; ValueError for other data."""
        raw = data.values if isinstance(data, Labelled) else data
        self.encoding.check(raw, self.encoding.code_shape)
        return self, raw

    @torch.no_grad()
    def bound(self, data: Data, *, seed: int) -> Bound:
        """The bound on stored data [N, …], at the codes that `likelihood.bound` draws in its halves."""
        _, raw = self.for_data(data)
        nothing = torch.zeros(len(raw), dtype=torch.float64, device=raw.device)
        terms = []
        for code in codes_of(self.encoding, raw, seed):
            prior = bits_per_dim(mean_dims(0.5 * (code.x0.double() ** 2 + math.log(2 * math.pi))))
            terms.append(stored_terms(nothing, nothing, prior, code, self.encoding, raw))
        none = torch.zeros(0, dtype=torch.float64)
        return bound_of_halves(terms, none, none)

    def sample(self, n: int, *, seed: int, first: int = 0) -> Tensor:
        """Samples x_0 `first`..`first + n` of a seed [n, …]."""
        begin = first // BLOCK * BLOCK
        drawn = normal_blocks(seed, 0, begin, first + n - begin, self.encoding.code_shape, self.device)
        return drawn[first - begin :]
