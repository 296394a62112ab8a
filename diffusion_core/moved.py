"""γ made of another that is fixed, by moving its noise levels: what `shift` s and `zero_terminal` do to any schedule.

    γ ← γ + 2 log s                              every σ = √((1 − ᾱ)/ᾱ) is s times as large
    √ᾱ ← (√ᾱ − √ᾱ_T) √ᾱ_1/(√ᾱ_1 − √ᾱ_T)          ᾱ_1 stays, and ᾱ_T = 0: noise alone

The first is what images of s times the side need for as much to be seen of them (Hoogeboom et al. 2023,
arXiv:2301.11093); on the straight path it is u ← s u/(1 + (s − 1) u) (Esser et al. 2024, arXiv:2403.03206, eq. 23). The
second is Algorithm 1 of Lin et al. 2024 (arXiv:2305.08891).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from diffusion_core.gamma import LARGEST, Gamma

__all__ = ["Shifted", "ZeroTerminal"]


class Moved(Gamma):
    """A γ that is made of a fixed one, `native`."""

    def __init__(self, native: Gamma) -> None:
        super().__init__(native.horizon)
        self.native = native
        self.input_ends = native.input_ends


class Shifted(Moved):
    """γ + 2 log s."""

    added: Tensor

    def __init__(self, native: Gamma, shift: float) -> None:
        super().__init__(native)
        if not 0 < shift < math.inf:
            raise ValueError(f"schedule.shift must be above 0 and finite (1 moves nothing), got {shift}")
        self.register_buffer("added", torch.tensor(2 * math.log(shift), dtype=torch.float64))
        first, last = self(torch.tensor([1, self.horizon])).tolist()
        if first < -LARGEST or LARGEST < last < math.inf:
            raise ValueError(
                f"schedule.shift={shift:g} makes γ go from {first:.4g} to {last:.4g}, beyond the ±{LARGEST:g} that "
                "float32 can divide by: take a shift nearer to 1"
            )

    def at(self, t: Tensor) -> Tensor:
        return self.native.at(t) + self.added


class ZeroTerminal(Moved):
    """The γ of √ᾱ moved so that √ᾱ_T = 0, of one that ends before noise alone."""

    last: Tensor
    left_at_first: Tensor

    def __init__(self, native: Gamma) -> None:
        super().__init__(native)
        first, last = logsigmoid(-native(torch.tensor([1, self.horizon])))
        self.register_buffer("last", last)
        self.register_buffer("left_at_first", self._log_left(first))

    def _log_left(self, log_alpha_bar: Tensor) -> Tensor:
        """log (1 − √(ᾱ_T/ᾱ)), the share of √ᾱ that is left: near T a difference of near numbers, if taken plainly."""
        return torch.log(-torch.expm1(0.5 * (self.last - log_alpha_bar).clamp(max=0)))

    def at(self, t: Tensor) -> Tensor:
        log_alpha_bar = logsigmoid(-self.native.at(t))
        moved = log_alpha_bar + 2 * (self._log_left(log_alpha_bar) - self.left_at_first)
        # Of T itself whatever the device makes of the difference: what starts from noise alone asks for no less.
        return torch.where(t < self.horizon, torch.log(-torch.expm1(moved)) - moved, math.inf)
