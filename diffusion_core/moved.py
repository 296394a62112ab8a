"""γ made from another, fixed one by moving its noise levels, as a schedule's `shift` s and `zero_terminal` do.

    γ ← γ + 2 log s                              every σ = √((1 − ᾱ)/ᾱ) is s times as large
    √ᾱ ← (√ᾱ − √ᾱ_T) √ᾱ_1/(√ᾱ_1 − √ᾱ_T)          ᾱ_1 stays, and ᾱ_T = 0: noise alone

With the first, images of s times the side stay as visible as before (Hoogeboom et al. 2023, arXiv:2301.11093); on the
straight path it is u ← s u/(1 + (s − 1) u) (Esser et al. 2024, arXiv:2403.03206, eq. 23). The second is Algorithm 1 of
Lin et al. 2024 (arXiv:2305.08891).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from diffusion_core.gamma import LARGEST, Gamma
from diffusion_core.refusing import require


class Moved(Gamma):
    """A γ that is made from a fixed one, `native`."""

    def __init__(self, native: Gamma) -> None:
        super().__init__(native.horizon)
        self.native = native
        self.input_ends = native.input_ends


class Shifted(Moved):
    """γ + 2 log s."""

    added: Tensor

    def __init__(self, native: Gamma, shift: float) -> None:
        super().__init__(native)
        require(0 < shift < math.inf, f"schedule.shift must be above 0 and finite (1 moves nothing), got {shift}")
        self.register_buffer("added", torch.tensor(2 * math.log(shift), dtype=torch.float64))
        first, last = self(torch.tensor([1, self.horizon])).tolist()
        require(
            first >= -LARGEST and not LARGEST < last < math.inf,
            f"schedule.shift={shift:g} makes γ go from {first:.4g} to {last:.4g}, beyond the ±{LARGEST:g} that float32 "
            "can divide by: take a shift nearer to 1",
        )

    def at(self, t: Tensor) -> Tensor:
        return self.native.at(t) + self.added


class ZeroTerminal(Moved):
    """A γ with √ᾱ moved so that √ᾱ_T = 0, from one that ends before noise alone."""

    last: Tensor
    left_at_first: Tensor

    def __init__(self, native: Gamma) -> None:
        super().__init__(native)
        first, last = logsigmoid(-native(torch.tensor([1, self.horizon])))
        self.register_buffer("last", last)
        self.register_buffer("left_at_first", self._log_left(first))

    def _log_left(self, log_alpha_bar: Tensor) -> Tensor:
        """log (1 − √(ᾱ_T/ᾱ)), the share of √ᾱ that is left, without cancellation near T."""
        return torch.log(-torch.expm1(0.5 * (self.last - log_alpha_bar).clamp(max=0)))

    def at(self, t: Tensor) -> Tensor:
        log_alpha_bar = logsigmoid(-self.native.at(t))
        moved = log_alpha_bar + 2 * (self._log_left(log_alpha_bar) - self.left_at_first)
        # At T it is ∞, whatever the device makes of the difference, since sampling starts from noise alone.
        return torch.where(t < self.horizon, torch.log(-torch.expm1(moved)) - moved, math.inf)
