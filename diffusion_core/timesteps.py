"""Axis: the density of the training times t.

Every density reads the same u ~ U[0, 1), so cells of one seed stay paired. A loss is multiplied by weight =
(1/T)/p(t), which keeps its expectation that of uniform t.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


class TimestepSampler(nn.Module, ABC):
    """A sampler of times from a density over 1..T; what it remembers is a buffer."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(t int64, weight float64), both [B], from u float64 [B]."""
        t = 1 + (self.stratified(u) * self.horizon).long().clamp(max=self.horizon - 1)
        return t, torch.ones_like(u)

    def real(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(t float64 in [1, T], weight float64), both [B], for objectives in continuous time."""
        return 1 + self.stratified(u) * (self.horizon - 1), torch.ones_like(u)

    def stratified(self, u: Tensor) -> Tensor:
        """The u that are used in place of a batch's u [B]; each is still uniform."""
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
    """A density of training times. `adapts` tells whether it follows the losses."""

    adapts: ClassVar[bool] = False

    @abstractmethod
    def build(self, horizon: int) -> TimestepSampler:
        """The sampler of times for T = `horizon`."""


class UniformSampler(TimestepSampler):
    """t = 1 + ⌊u T⌋."""


@dataclass(frozen=True)
class Uniform(Timesteps):
    """t uniform in {1..T} (Ho et al. 2020, Algorithm 1)."""

    def build(self, horizon: int) -> UniformSampler:
        return UniformSampler(horizon)


class LowDiscrepancySampler(TimestepSampler):
    """u_i = (u_0 + i/B) mod 1: one u for the batch, its times spread evenly."""

    def stratified(self, u: Tensor) -> Tensor:
        return (u[:1] + torch.arange(len(u), device=u.device, dtype=u.dtype) / len(u)) % 1


@dataclass(frozen=True)
class LowDiscrepancy(Timesteps):
    """Times of a batch evenly spaced from one random start (Kingma et al. 2021, appendix I.1): uniform, less noisy."""

    def build(self, horizon: int) -> LowDiscrepancySampler:
        return LowDiscrepancySampler(horizon)


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
        """Whether every t has its losses, a bool on the device."""
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
        index = t - 1
        length = self.history.shape[1]
        earlier = (index[:, None] == index[None, :]).tril(-1).sum(1)
        later = (index[:, None] == index[None, :]).triu(1).sum(1)
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

    (Nichol & Dhariwal 2021, §3.3.) Uniform until each t has its losses: 20 to 27 T examples.
    """

    history: int = 10
    floor: float = 0.001

    adapts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.history < 1 or not 0 < self.floor <= 1:
            raise ValueError(f"importance needs history >= 1 and 0 < floor <= 1, got {self.history} and {self.floor}")

    def build(self, horizon: int) -> ImportanceSampler:
        return ImportanceSampler(horizon, self)
