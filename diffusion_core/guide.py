"""The x̂_0 of a guided diffusion (`guidance.py`): x̂_0^guide + w (x̂_0 − x̂_0^guide) within an interval of noise levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from diffusion_core.forward import expand


@dataclass(frozen=True, eq=False)
class Guide:
    """A diffusion `other`, without clipping, that guides with w = `scale` at the noise levels `low` < σ ≤ `high`."""

    other: Any
    scale: float
    low: float
    high: float

    def x0(self, own: Tensor, gamma: Tensor, of_guide: Callable[[Any], Tensor]) -> Tensor:
        """The guided x̂_0, from the diffusion's `own` [B, …] at noise levels γ [B] and the guide's, which is asked only
        if one of these is in the interval."""
        if self.low == 0 and self.high == math.inf:
            guide = of_guide(self.other)
            return guide + self.scale * (own - guide)
        sigma = torch.exp(0.5 * gamma)
        inside = (sigma > self.low) & (sigma <= self.high)
        if not bool(inside.any()):
            return own
        guide = of_guide(self.other)
        return torch.where(expand(inside, own).bool(), guide + self.scale * (own - guide), own)

    def picked(self, places: slice | Tensor) -> Guide:
        """The guide for the rows at these places; itself if it was given no labels."""
        other = self.other.picked(places)
        return self if other is self.other else replace(self, other=other)
