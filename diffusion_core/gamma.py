"""γ(t) = −log(ᾱ_t/(1 − ᾱ_t)) as modules, so that what a schedule learns travels with the network's weights.

A table interpolates what is given at t = 1..T; a curve is a function of u = (t − 1)/(T − 1) ∈ [0, 1], so that x_1 is
the z_0 of Kingma et al. 2021, whose T is T − 1 here; the straight path of rectified flow is a function of t/T, so that
it ends in noise alone. All are functions of real t, which continuous time needs. γ_0 = −∞: ᾱ_0 = 1, clean data.
γ_T = ∞ is allowed: ᾱ_T = 0, and x_T is noise alone. Another, fixed γ may be moved:

    γ ← γ + 2 log s                              every σ = √((1 − ᾱ)/ᾱ) is s times as large
    √ᾱ ← (√ᾱ − √ᾱ_T) √ᾱ_1/(√ᾱ_1 − √ᾱ_T)          ᾱ_1 stays, and ᾱ_T = 0

With the first, images of s times the side stay as visible as before (Hoogeboom et al. 2023, arXiv:2301.11093); on the
straight path it is u ← s u/(1 + (s − 1) u) (Esser et al. 2024, arXiv:2403.03206, eq. 23). The second is Algorithm 1 of
Lin et al. 2024 (arXiv:2305.08891).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

BISECTIONS = 60

LARGEST = 160.0
"""The largest finite γ that is allowed: 1/√ᾱ = e^{γ/2} must stay within float32."""


class Gamma(nn.Module, ABC):
    """γ as a function of t, increasing, float64.

    `input_ends` are the noise levels that a network which is told γ sees as 0 and as its largest time: those of
    Kingma et al. for every fixed schedule, so that equal noise means equal input; they stay where they are while a
    schedule learns.
    """

    input_ends: tuple[float, float] = (-13.3, 5.0)

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    @abstractmethod
    def at(self, t: Tensor) -> Tensor:
        """γ at real t in [1, T], float64 of any shape."""

    def forward(self, t: Tensor) -> Tensor:
        """γ_t for t of any shape and type, each 0 (clean data) or in [1, T]."""
        t = t.double()
        return torch.where(t < 1, -math.inf, self.at(t.clamp(min=1)))

    @property
    def learns(self) -> bool:
        """True where it has parameters, so that γ may be another at the next step."""
        return next(self.parameters(), None) is not None

    @property
    def device(self) -> torch.device:
        """The device of its parameters and buffers."""
        return next((value.device for value in self.state_dict().values()), torch.device("cpu"))

    @property
    @torch.no_grad()
    def ends_in_noise(self) -> bool:
        """True where γ_T = ∞, and x_T holds nothing of x_0."""
        return bool(self(torch.tensor([self.horizon], device=self.device)).isposinf())

    def rate(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """γ and dγ/du at real t in [1, T], u = (t − 1)/(T − 1); both may be differentiated again."""
        further = torch.is_grad_enabled()
        with torch.enable_grad():
            t = t.detach().double().requires_grad_()
            gamma = self.at(t)
            # γ is a function of each t alone, so the derivatives of its sum are its own.
            (slope,) = torch.autograd.grad(gamma.sum(), t, create_graph=further)
        return (gamma if further else gamma.detach()), slope * (self.horizon - 1)

    @torch.no_grad()
    def inverse(self, gamma: Tensor) -> Tensor:
        """The t in [1, T] at which this noise level is reached, by bisection."""
        return bisected(self.at, gamma, self.horizon)


def bisected(rising: Callable[[Tensor], Tensor], wanted: Tensor, end: float) -> Tensor:
    """The places in [1, end] at which a rising function has the values `wanted`."""
    low, high = torch.ones_like(wanted), torch.full_like(wanted, end)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = rising(middle) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def interpolated(values: Tensor, place: Tensor, first: int = 0) -> Tensor:
    """Values at real places between `first` and the last index, linear between their neighbours."""
    low = (place.detach().ceil().long() - 1).clamp(first, len(values) - 2)
    return torch.lerp(values[low], values[low + 1], place - low)


class GammaTable(Gamma):
    """A fixed γ by its values at t = 1..T, linear between them."""

    gamma: Tensor

    def __init__(self, beta: Tensor) -> None:
        """The table for β_1..β_T, float64 [T]; ValueError unless γ rises, to `LARGEST` at most."""
        super().__init__(len(beta))
        log_alpha_bar = torch.log1p(-beta).cumsum(0)
        gamma = torch.log(-torch.expm1(log_alpha_bar)) - log_alpha_bar
        last, says = float(gamma[-1]), f"at T={self.horizon} this schedule"
        if last == math.inf:
            raise ValueError(
                f"{says}'s β reaches 1, noise alone, before which no table can be interpolated: keep β_T below 1 and "
                "take schedule.zero_terminal=true"
            )
        if not (gamma.isfinite().all() and (gamma.diff() > 0).all()):
            raise ValueError(
                f"{says}'s noise does not rise from step to step, for which every β is above 0 and below 1: take a "
                "smaller horizon, or schedule fields that add more noise at the start"
            )
        if last > LARGEST:
            raise ValueError(
                f"{says} leaves a share of 1e-{int(last / math.log(100))} of x_0, too small to divide by in float32: "
                "take a smaller horizon, or schedule fields that add less noise"
            )
        self.register_buffer("gamma", torch.cat([gamma.new_full((1,), -math.inf), gamma]))

    def at(self, t: Tensor) -> Tensor:
        return interpolated(self.gamma, t, 1)


class GammaCurve(Gamma):
    """γ as a function of u = (t − 1)/(T − 1)."""

    @abstractmethod
    def curve(self, u: Tensor) -> Tensor:
        """γ(u), u in [0, 1]."""

    def at(self, t: Tensor) -> Tensor:
        return self.curve((t - 1) / (self.horizon - 1))


class StraightGamma(Gamma):
    """γ(t) = 2 logit(u) at u = u_T t/T: √ᾱ : √(1 − ᾱ) = (1 − u) : u (Liu et al. 2023, arXiv:2209.03003)."""

    end: Tensor

    def __init__(self, horizon: int, end: float) -> None:
        super().__init__(horizon)
        self.register_buffer("end", torch.tensor(end, dtype=torch.float64))

    def at(self, t: Tensor) -> Tensor:
        u = self.end * t / self.horizon
        return 2 * (torch.log(u) - torch.log1p(-u))


class Knots(GammaCurve):
    """A fixed γ(u) by its values at evenly spaced u, linear between them."""

    knots: Tensor

    def __init__(self, horizon: int, knots: tuple[float, ...]) -> None:
        super().__init__(horizon)
        self.register_buffer("knots", torch.tensor(knots, dtype=torch.float64))

    def curve(self, u: Tensor) -> Tensor:
        return interpolated(self.knots, u * (len(self.knots) - 1))


class MonotoneNet(nn.Module):
    """g(u) = |a| u + (1/n) Σ_j |w_j| (2 sigmoid(|v_j| (2u − 1) + b_j) − 1), increasing whatever its weights are.

    As in the code of Kingma et al. 2021 (arXiv:2107.00630). It starts as n steps of equal height spread over [0, 1],
    nearly a line.
    """

    SHARPNESS = 8.0
    HEIGHT = 0.1

    def __init__(self, width: int) -> None:
        super().__init__()
        centre = torch.linspace(-1, 1, width, dtype=torch.float64)
        self.slope = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.sharpness = nn.Parameter(torch.full((width,), self.SHARPNESS, dtype=torch.float64))
        self.bias = nn.Parameter(-self.SHARPNESS * centre)
        self.height = nn.Parameter(torch.full((width,), self.HEIGHT, dtype=torch.float64))

    def forward(self, u: Tensor) -> Tensor:
        step = torch.sigmoid(self.sharpness.abs() * (2 * u[..., None] - 1) + self.bias)
        return self.slope.abs() * u + (self.height.abs() * (2 * step - 1)).mean(-1)


class LearnedGamma(GammaCurve):
    """γ(u) = γ(0) + (γ(1) − γ(0)) (g(u) − g(0))/(g(1) − g(0)), with free ends and g a monotone network or g(u) = u.

    γ(0) = start + S a and γ(1) = γ(0) + S e^b, in units of the initial span S, so that one learning rate suits both.
    """

    def __init__(self, horizon: int, start: float, end: float, shape: nn.Module) -> None:
        super().__init__(horizon)
        self.input_ends = (start, end)
        self.shift = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.log_stretch = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.shape = shape

    def curve(self, u: Tensor) -> Tensor:
        start, end = self.input_ends
        span = end - start
        return start + span * (self.shift + self.log_stretch.exp() * self._share(u))

    def _share(self, u: Tensor) -> Tensor:
        """(g(u) − g(0))/(g(1) − g(0)), which rises from 0 to 1."""
        first, last = self.shape(torch.arange(2, dtype=torch.float64, device=self.shift.device))
        return (self.shape(u) - first) / (last - first)


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
