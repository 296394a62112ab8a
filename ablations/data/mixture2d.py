"""Points whose density is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ablations.data.base import SPLITS, Data, DataSet
from diffusion_core.encodings import Continuous
from diffusion_core.terms import bits_per_dim


@dataclass(frozen=True)
class Mixture2d(DataSet):
    """`modes` equal Gaussians of standard deviation `std` on a circle of radius 1; 10,000 / 1,000 / 1,000 points.

    The label of a point is the mode that it was drawn from.
    """

    modes: int = 8
    std: float = 0.2

    extractor: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        if self.modes < 1 or not self.std > 0:
            raise ValueError(f"mixture2d needs modes >= 1 and std > 0, got modes={self.modes} and std={self.std}")

    @property
    def means(self) -> Tensor:
        """float64 [modes, 2]."""
        angle = 2 * math.pi * torch.arange(self.modes, dtype=torch.float64) / self.modes
        return torch.stack([angle.cos(), angle.sin()], dim=1)

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) in nats [N], exact, for x [N, 2]."""
        squared = ((x.double()[:, None] - self.means) ** 2).sum(-1) / self.std**2
        constant = math.log(self.modes) + 2 * math.log(self.std) + math.log(2 * math.pi)
        return torch.logsumexp(-0.5 * squared, dim=1) - constant

    def read(self) -> Data:
        generator = torch.Generator().manual_seed(0)
        points, modes = {}, {}
        for split, count in zip(SPLITS, [10_000, 1_000, 1_000], strict=True):
            modes[split] = torch.randint(self.modes, (count,), generator=generator)
            noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
            points[split] = (self.means[modes[split]] + self.std * noise).float()
        entropy = float(bits_per_dim(-self.log_density(points["test"]).mean(), 2))
        return Data(images=points, labels=modes, encoding=Continuous(), codes={"exact density": entropy})
