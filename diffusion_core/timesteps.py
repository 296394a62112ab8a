"""Axis: the density of the training times t.

Every density reads the same u ~ U[0, 1), so cells of one seed stay paired. One that only makes an expectation less
noisy multiplies a loss by weight = (1/T)/p(t), which keeps its expectation that of uniform t; one that is part of the
objective (`logit_normal`, `log_normal`) does not, and w(t) p(t) is what counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from diffusion_core.gamma import Gamma
from diffusion_core.refusing import choice_name, require

MOST_HISTORY = 1000
"""The most losses that may be kept of each t."""
LEAST_HELD = 0.01
"""The least share of a density of noise levels that must lie between those of a schedule's ends."""


class TimestepSampler(nn.Module):
    """A sampler of times from a density over 1..T, by itself the uniform one; what it remembers is a buffer."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(t int64, weight float64), both [B], from u float64 [B]."""
        t = 1 + (self.share(u) * self.horizon).long().clamp(max=self.horizon - 1)
        return t, torch.ones_like(u)

    def real(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(t float64 in [1, T], weight float64), both [B], for objectives in continuous time."""
        return 1 + self.share(u) * (self.horizon - 1), torch.ones_like(u)

    def share(self, u: Tensor) -> Tensor:
        """The shares of the time axis, in [0, 1), for a batch's u [B]: u itself where each is uniform."""
        return u

    def record(self, t: Tensor, loss: Tensor) -> None:
        """Remember losses [B] at times t [B], before any weight."""
        return

    def density(self) -> Tensor:
        """T · p(t) for t = 1..T, float64 [T]; ones where it is uniform."""
        return torch.ones(self.horizon, dtype=torch.float64)

    def diagnostics(self) -> dict[str, float]:
        """Numbers worth logging of its state, by name."""
        return {}


class Timesteps(ABC):
    """A density of training times.

    `adapts` tells whether it follows the losses, `reweighted` whether a loss is divided by it, so that no expectation
    depends on it.
    """

    adapts: ClassVar[bool] = False
    reweighted: ClassVar[bool] = True

    @abstractmethod
    def build(self, gamma: Gamma) -> TimestepSampler:
        """The sampler of times for the T noise levels of `gamma`."""


@dataclass(frozen=True)
class Uniform(Timesteps):
    """t uniform in {1..T} (Ho et al. 2020, arXiv:2006.11239, Algorithm 1)."""

    def build(self, gamma: Gamma) -> TimestepSampler:
        return TimestepSampler(gamma.horizon)


class LowDiscrepancySampler(TimestepSampler):
    """u_i = (u_0 + i/B) mod 1: one u for the batch, its times spread evenly."""

    def share(self, u: Tensor) -> Tensor:
        return (u[:1] + torch.arange(len(u), device=u.device, dtype=u.dtype) / len(u)) % 1


@dataclass(frozen=True)
class LowDiscrepancy(Timesteps):
    """Times of a batch evenly spaced from one random start: uniform, less noisy.

    (Kingma et al. 2021, arXiv:2107.00630, appendix I.1.)
    """

    def build(self, gamma: Gamma) -> LowDiscrepancySampler:
        return LowDiscrepancySampler(gamma.horizon)


class ImportanceSampler(TimestepSampler):
    """p(t) from the last losses at each t, uniform until each t has them all."""

    history: Tensor
    count: Tensor

    def __init__(self, horizon: int, choice: Importance) -> None:
        super().__init__(horizon)
        self.floor = choice.floor
        self.register_buffer("history", torch.zeros(horizon, choice.history, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(horizon, dtype=torch.int64))

    @property
    def warm(self) -> Tensor:
        """True where every t has its losses, a bool on the device."""
        return (self.count >= self.history.shape[1]).all()

    def density(self) -> Tensor:
        weight = (self.history**2).mean(1).sqrt()
        share = weight / weight.sum()
        density = (1 - self.floor) * share * self.horizon + self.floor
        return torch.where(self.warm, density, torch.ones_like(density))

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        density = self.density()
        edges = density.cumsum(0)
        index = torch.searchsorted(edges, u * edges[-1], right=True).clamp(max=self.horizon - 1)
        return 1 + index, 1 / density[index]

    def record(self, t: Tensor, loss: Tensor) -> None:
        """Remember losses at times t; those of one t are written one after the other, in the batch's order.

        Losses that later ones of the same batch push out go to a spare column: to leave them out, the CPU would have
        to wait for the device to count them.
        """
        index, length = t - 1, self.history.shape[1]
        equal = index[:, None] == index
        earlier, later = equal.tril(-1).sum(1), equal.triu(1).sum(1)
        slot = torch.where(later < length, (self.count[index] + earlier) % length, length)
        written = torch.cat([self.history, self.history[:, :1]], dim=1)
        written[index, slot] = loss.double()
        self.history.copy_(written[:, :length])
        self.count.index_add_(0, index, torch.ones_like(index))

    def diagnostics(self) -> dict[str, float]:
        return {"timesteps/warm": float((self.count >= self.history.shape[1]).double().mean())}


@dataclass(frozen=True)
class Importance(Timesteps):
    """p(t) ∝ √E[L_t²] by the last `history` losses at each t, mixed with a share `floor` of uniform t.

    (Nichol & Dhariwal 2021, arXiv:2102.09672, §3.3.) Uniform until each t has its losses: 20 to 27 T examples.
    """

    history: int = 10
    floor: float = 0.001

    adapts = True

    def __post_init__(self) -> None:
        require(
            1 <= self.history <= MOST_HISTORY and 0 < self.floor <= 1,
            f"importance needs 1 <= history <= {MOST_HISTORY} (it is uniform until each t has that many losses) and "
            f"0 < floor <= 1, got {self.history} and {self.floor}",
        )

    def build(self, gamma: Gamma) -> ImportanceSampler:
        return ImportanceSampler(gamma.horizon, self)


class LogitNormalSampler(TimestepSampler):
    """s = sigmoid(m + d Φ⁻¹(u)), the share of the time axis: t = 1 + ⌊s T⌋, or 1 + s (T − 1) where it is real."""

    def __init__(self, horizon: int, mean: float, deviation: float) -> None:
        super().__init__(horizon)
        self.mean = mean
        self.deviation = deviation

    def share(self, u: Tensor) -> Tensor:
        return torch.sigmoid(self.mean + self.deviation * torch.special.ndtri(u))

    def density(self) -> Tensor:
        s = torch.arange(self.horizon + 1, dtype=torch.float64) / self.horizon
        return self.horizon * torch.special.ndtr((torch.logit(s) - self.mean) / self.deviation).diff()


class Normal(Timesteps):
    """A normal density on some scale of time, of mean `mean` and standard deviation `std`, and no weight."""

    mean: float
    std: float

    reweighted = False

    def __post_init__(self) -> None:
        require(self.std > 0, f"{choice_name(self)} needs std > 0, got {self.std}")


@dataclass(frozen=True)
class LogitNormal(Normal):
    """The place u ∈ [0, 1] of t on its axis with logit u ~ N(`mean`, `std`²), and no weight: most at the middle.

    (Esser et al. 2024, arXiv:2403.03206, §3.1.)
    """

    mean: float = 0.0
    std: float = 1.0

    def build(self, gamma: Gamma) -> LogitNormalSampler:
        return LogitNormalSampler(gamma.horizon, self.mean, self.std)


class LevelSampler(TimestepSampler):
    """Times with ln σ ~ N(m, d²): t is drawn with the mass that this has between the levels half-way to its neighbours,
    and a real t is uniform there. It is cut off beyond the `ends`, γ_1 and γ_T, where the share `held` is left."""

    mass: Tensor
    edges: Tensor

    def __init__(self, gamma: Gamma, mean: float, deviation: float) -> None:
        super().__init__(gamma.horizon)
        edges = torch.arange(gamma.horizon + 1, dtype=torch.float64, device=gamma.device) + 0.5
        edges = edges.clamp(1, gamma.horizon)
        with torch.no_grad():
            levels = gamma(edges)
        mass = torch.special.ndtr((levels / 2 - mean) / deviation)
        self.ends = float(levels[0]), float(levels[-1])
        self.held = float(mass[-1] - mass[0])
        self.register_buffer("mass", (mass - mass[0]) / self.held, persistent=False)
        self.register_buffer("edges", edges, persistent=False)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return 1 + self._cell(u), torch.ones_like(u)

    def real(self, u: Tensor) -> tuple[Tensor, Tensor]:
        cell = self._cell(u)
        low, high = self.mass[cell], self.mass[cell + 1]
        return torch.lerp(self.edges[cell], self.edges[cell + 1], (u - low) / (high - low)), torch.ones_like(u)

    def density(self) -> Tensor:
        return self.horizon * self.mass.diff()

    def _cell(self, u: Tensor) -> Tensor:
        return (torch.searchsorted(self.mass, u, right=True) - 1).clamp(0, self.horizon - 1)


@dataclass(frozen=True)
class LogNormal(Normal):
    """ln σ = γ/2 ~ N(`mean`, `std`²), cut off at the schedule's ends, and no weight.

    (Karras et al. 2022, arXiv:2206.00364, §5.) On the path of `schedule=rectified` this and `logit_normal` are one
    family, there ln σ = logit t/T, up to 1/T where t is real.
    """

    mean: float = -1.2
    std: float = 1.2

    def build(self, gamma: Gamma) -> LevelSampler:
        sampler = LevelSampler(gamma, self.mean, self.std)
        low, high = (end / 2 for end in sampler.ends)
        require(
            sampler.held >= LEAST_HELD,
            f"timesteps=log_normal with mean={self.mean:g} and std={self.std:g} has {100 * sampler.held:.2g} % of its "
            f"density at the schedule's ln sigma, {low:.3g} to {high:.3g}: take a mean between these, or a larger std",
        )
        return sampler
