"""Axis: the noise schedule, a map from t ∈ {1..T} to the noise level γ_t = −log(ᾱ_t/(1 − ᾱ_t)), which rises with t.

    linear, cosine, sigmoid                             through β_t or ᾱ_t at t = 1..T
    rectified                                           through the straight path of u = t/T
    log_snr_linear, learned_linear, learned, saved      through γ(u), u = (t − 1)/(T − 1)

A schedule is a choice without tensors; `gamma` turns it into a module (`gamma.py`). Any that learns nothing may be
moved: to more noise by its `shift`, and to noise alone at T by `zero_terminal`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from diffusion_core.chain import FirstStep
from diffusion_core.gamma import (
    Gamma,
    GammaTable,
    Knots,
    LearnedGamma,
    MonotoneNet,
    Shifted,
    StraightGamma,
    ZeroTerminal,
)
from diffusion_core.refusing import choice_name, require


@dataclass(frozen=True)
class Schedule(ABC):
    """A noise schedule. `first_step` names the rule for σ_1² under a grey-level decoder, where β̃_1 = 0.

    `shift` moves all of its noise levels, and `zero_terminal` its end to noise alone.
    """

    zero_terminal: bool = field(default=False, kw_only=True)
    shift: float = field(default=1.0, kw_only=True)

    first_step: ClassVar[FirstStep] = "beta_1"
    learned: ClassVar[bool] = False
    younger: ClassVar[tuple[str, ...]] = ("zero_terminal", "shift")

    @abstractmethod
    def build(self, horizon: int) -> Gamma:
        """The schedule's own γ for T = `horizon` steps, not moved; ValueError where it has no meaning at that T."""

    def gamma(self, horizon: int) -> Gamma:
        """γ for T = `horizon` steps, moved as asked for; ValueError where it has no meaning at that T."""
        require(horizon >= 2, f"horizon must be at least 2, got {horizon}")
        moved = "zero_terminal=true" if self.zero_terminal else f"shift={self.shift:g}"
        require(
            not self.learned or (self.shift == 1 and not self.zero_terminal),
            f"schedule.{moved} moves noise levels that stay, and this schedule learns its own: let it start from "
            "others (schedule.gamma_min, schedule.gamma_max), or move one that is fixed (schedule=log_snr_linear)",
        )
        gamma = self.build(horizon)
        says = f"build({horizon}) of {type(self).__name__} gives γ of {gamma.horizon} steps"
        require(gamma.horizon == horizon, says)
        if self.shift != 1:
            gamma = Shifted(gamma, self.shift)
        if not self.zero_terminal:
            return gamma
        at_end = "schedule.zero_terminal=true moves an end to noise alone, where this one is: leave it out"
        require(not gamma.ends_in_noise, at_end)
        return ZeroTerminal(gamma)


@dataclass(frozen=True)
class Linear(Schedule):
    """β_t from `beta_1` to `beta_T`, both multiplied by 1000/T where `rescale` is set; its n-th `root` is linear in t.

    (Ho et al. 2020, arXiv:2006.11239, §4, n = 1; Rombach et al. 2022, arXiv:2112.10752, n = 2.)
    """

    beta_1: float = 1e-4
    beta_T: float = 0.02
    rescale: bool = True
    root: float = 1.0

    first_step = "beta_tilde_2"
    younger = (*Schedule.younger, "root")

    def __post_init__(self) -> None:
        betas = f"beta_1={self.beta_1} and beta_T={self.beta_T}"
        require(0 < self.beta_1 <= self.beta_T < 1, f"linear needs 0 < beta_1 <= beta_T < 1, got {betas}")
        require(self.root >= 1, f"linear needs root >= 1, got root={self.root}")

    def build(self, horizon: int) -> GammaTable:
        scale = 1000 / horizon if self.rescale else 1.0
        require(
            scale * self.beta_T < 1,
            f"linear rescaled to T={horizon} has beta_T={scale * self.beta_T:g}, which must stay below 1: "
            f"take horizon > {math.floor(1000 * self.beta_T)} or schedule.rescale=false",
        )
        first, last = ((scale * beta) ** (1 / self.root) for beta in (self.beta_1, self.beta_T))
        return GammaTable(torch.linspace(first, last, horizon, dtype=torch.float64) ** self.root)


class Capped(Schedule):
    """β_t = 1 − ᾱ(t/T)/ᾱ((t − 1)/T), held at `beta_max` at most, by a function ᾱ(u) up to a factor."""

    beta_max: float

    first_step = "beta_tilde_2"

    def __post_init__(self) -> None:
        require(0 < self.beta_max < 1, f"{choice_name(self)} needs 0 < beta_max < 1, got beta_max={self.beta_max}")

    @abstractmethod
    def alpha_bar(self, u: Tensor) -> Tensor:
        """ᾱ at evenly spaced u from 0 to 1, or a multiple of it."""

    def build(self, horizon: int) -> GammaTable:
        alpha_bar = self.alpha_bar(torch.arange(horizon + 1, dtype=torch.float64) / horizon)
        return GammaTable((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=self.beta_max))


@dataclass(frozen=True)
class Cosine(Capped):
    """ᾱ(u) ∝ cos²((u + `s`)/(1 + s) · π/2), β_t ≤ `beta_max` (Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 17)."""

    s: float = 0.008
    beta_max: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.s >= 0, f"cosine needs s >= 0, got s={self.s}")

    def alpha_bar(self, u: Tensor) -> Tensor:
        return torch.cos((u + self.s) / (1 + self.s) * math.pi / 2) ** 2


@dataclass(frozen=True)
class Sigmoid(Capped):
    """ᾱ(u) = [S(1) − S(u)]/[S(1) − S(0)], S(u) = sigmoid((`start` + (`end` − start) u)/`tau`), β_t ≤ `beta_max`.

    (Jabri et al. 2022, arXiv:2212.11972.)
    """

    start: float = -3.0
    end: float = 3.0
    tau: float = 1.0
    beta_max: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        ends = f"start={self.start}, end={self.end} and tau={self.tau}"
        require(self.start < self.end and self.tau > 0, f"sigmoid needs start < end and tau > 0, got {ends}")

    def alpha_bar(self, u: Tensor) -> Tensor:
        s = torch.sigmoid((self.start + (self.end - self.start) * u) / self.tau)
        return (s[-1] - s) / (s[-1] - s[0])


@dataclass(frozen=True)
class Rectified(Schedule):
    """x_t ∝ (1 − u) x_0 + u ε at u = u_T t/T (`end` = u_T): the straight path of rectified flow.

    (Liu et al. 2023, arXiv:2209.03003.) Its γ = 2 logit u ends in noise alone at u_T = 1.
    """

    end: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.end <= 1, f"rectified needs 0 < end <= 1, got end={self.end}")

    def build(self, horizon: int) -> StraightGamma:
        return StraightGamma(horizon, self.end)


@dataclass(frozen=True)
class BetweenEnds(Schedule):
    """γ(u) from `gamma_min` to `gamma_max`."""

    gamma_min: float = -13.3
    gamma_max: float = 5.0

    def __post_init__(self) -> None:
        low, high = self.gamma_min, self.gamma_max
        require(low < high, f"{choice_name(self)} needs gamma_min < gamma_max, got {low} and {high}")


@dataclass(frozen=True)
class LogSnrLinear(BetweenEnds):
    """γ(u) linear between its ends, the fixed schedule of Kingma et al. 2021 (arXiv:2107.00630)."""

    def build(self, horizon: int) -> Knots:
        return Knots(horizon, (self.gamma_min, self.gamma_max))


@dataclass(frozen=True)
class LearnedLinear(BetweenEnds):
    """γ(u) linear between two ends that are learned, and start at those given."""

    learned = True

    def build(self, horizon: int) -> LearnedGamma:
        return LearnedGamma(horizon, self.gamma_min, self.gamma_max, nn.Identity())


@dataclass(frozen=True)
class LearnedSchedule(BetweenEnds):
    """γ(u) by a monotone network of `width` units between learned ends, which start at those given.

    (Kingma et al. 2021, arXiv:2107.00630.)
    """

    width: int = 64

    learned = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width >= 2, f"learned needs width >= 2, got {self.width}")

    def build(self, horizon: int) -> LearnedGamma:
        return LearnedGamma(horizon, self.gamma_min, self.gamma_max, MonotoneNet(self.width))


@dataclass(frozen=True)
class Saved(Schedule):
    """A schedule that was learned, saved as γ at evenly spaced u: `knots`, which rise."""

    knots: tuple[float, ...] = (-13.3, 5.0)

    def __post_init__(self) -> None:
        rising = len(self.knots) > 1 and all(a < b for a, b in pairwise(self.knots))
        require(rising, f"saved needs at least 2 knots, each above the one before, got {self.knots}")

    def build(self, horizon: int) -> Knots:
        return Knots(horizon, self.knots)
