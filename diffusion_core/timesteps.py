"""Axis: the density of the training times t.

Every density reads the same u ~ U[0, 1), so cells of one seed stay paired. A loss is multiplied by weight =
(1/T)/p(t), which keeps its expectation that of uniform t.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class TimestepSampler(nn.Module, ABC):
    """A density over 1..T; what it remembers is a buffer."""

    @abstractmethod
    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(t int64, weight float64), both [B], from u float64 [B]."""

    @abstractmethod
    def density(self) -> Tensor:
        """T · p(t) for t = 1..T, float64 [T]; ones where it is uniform."""


class Timesteps(ABC):
    """A density of training times."""

    @abstractmethod
    def build(self, horizon: int) -> TimestepSampler:
        """For T = `horizon`."""


class UniformSampler(TimestepSampler):
    """t = 1 + ⌊u T⌋."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        t = 1 + (u * self.horizon).long().clamp(max=self.horizon - 1)
        return t, torch.ones_like(u)

    def density(self) -> Tensor:
        return torch.ones(self.horizon, dtype=torch.float64)


@dataclass(frozen=True)
class Uniform(Timesteps):
    """t uniform in {1..T} (Ho et al. 2020, Algorithm 1)."""

    def build(self, horizon: int) -> UniformSampler:
        return UniformSampler(horizon)
