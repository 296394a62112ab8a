"""The x̂_0 of a guided diffusion (`guidance.py`): x̂_0^guide + w (x̂_0 − x̂_0^guide) within an interval of noise levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from diffusion_core.forward import expand

Model = TypeVar("Model")


@dataclass(frozen=True, eq=False)
class Guide(Generic[Model]):
    """A `diffusion`, without clipping, that guides with w = `scale` at the noise levels `low` < σ ≤ `high`."""

    diffusion: Model
    scale: float
    low: float
    high: float

    def x0(self, own: Tensor, gamma: Tensor, of_guide: Callable[[Model], Tensor]) -> Tensor:
        """The guided x̂_0, from the diffusion's `own` [B, …] at noise levels γ [B] and the guide's, which is asked only
        if one of these is in the interval."""
        everywhere = self.low == 0 and self.high == math.inf
        sigma = torch.exp(0.5 * gamma)
        inside = (sigma > self.low) & (sigma <= self.high)
        if not (everywhere or bool(inside.any())):
            return own
        guide = of_guide(self.diffusion)
        guided = guide + self.scale * (own - guide)
        return guided if everywhere else torch.where(expand(inside, own).bool(), guided, own)
