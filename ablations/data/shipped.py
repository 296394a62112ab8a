"""Data sets that are there at once: two of what scikit-learn ships, and points whose density is known.

patches    two photographs, each cut into 6 × 10 tiles with a gap between them; a tile belongs to one split, so that
           no pixel is seen on two sides, and patches of one tile overlap
mixture2d  log p(x) = log mean_k N(x; m_k, σ² I), means m_k evenly on a circle
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ablations.data.base import SPLITS, Data, DataSet, Split, image_data
from diffusion_core.encodings import Continuous
from diffusion_core.terms import bits_per_nat

ROWS, COLUMNS, GAP = 6, 10, 8
"""The tiles of a photo, and the gap between them: 8 pixels are a block of the photos' JPEG."""
PHOTOS = ("china.jpg", "flower.jpg")
TILES: dict[Split, int] = {"train": 48, "validation": 6, "test": 6}
COUNTS: dict[Split, int] = {"train": 8_000, "validation": 1_000, "test": 1_000}
SMALLEST, LARGEST = 8, 32


def samples() -> Path:
    """The folder of the data that scikit-learn ships: to import it takes a second, which every process would spend."""
    spec = find_spec("sklearn")
    assert spec is not None, "scikit-learn is installed with this package"
    return Path(spec.origin or "").parent / "datasets"


@dataclass(frozen=True)
class Digits(DataSet):
    """The 1797 handwritten digits that scikit-learn ships: 8×8, 17 grey levels, split 897/450/450."""

    extractor: ClassVar[str | None] = "digits-cnn"

    def read(self) -> Data:
        table = torch.from_numpy(np.loadtxt(samples() / "data" / "digits.csv.gz", np.int64, delimiter=","))
        images, labels = table[:, :-1].reshape(-1, 1, 8, 8).to(torch.uint8), table[:, -1]
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        parts = dict(zip(SPLITS, torch.split(order, [897, 450, 450]), strict=True))
        return image_data(
            {split: images[index] for split, index in parts.items()},
            {split: labels[index] for split, index in parts.items()},
            levels=17,
        )


@dataclass(frozen=True)
class Patches(DataSet):
    """`size` × `size` pixels, three colours of 8 bits, 8,000 / 1,000 / 1,000 different places of two photographs."""

    size: int = 16

    extractor: ClassVar[str | None] = "inception-v3-compat"
    mirrors = True

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            raise ValueError(f"patches needs a size of {SMALLEST} to {LARGEST} pixels, got {self.size}")

    def read(self) -> Data:
        photos = [torch.from_numpy(np.array(Image.open(samples() / "images" / name))) for name in PHOTOS]
        height, width = photos[0].shape[:2]
        images = {
            split: torch.stack([photos[i][y : y + self.size, x : x + self.size].permute(2, 0, 1) for i, y, x in drawn])
            for split, drawn in places(height, width, self.size).items()
        }
        return image_data(images, {}, levels=256)


def places(height: int, width: int, size: int) -> dict[Split, list[tuple[int, int, int]]]:
    """(photo, top, left) of every patch, drawn without repetition from the tiles of its split."""
    generator = torch.Generator().manual_seed(0)
    possible: dict[Split, list[Tensor]] = {split: [] for split in SPLITS}
    for photo in range(len(PHOTOS)):
        order = torch.randperm(ROWS * COLUMNS, generator=generator)
        for split, tiles in zip(SPLITS, torch.split(order, [TILES[split] for split in SPLITS]), strict=True):
            for tile in tiles.tolist():
                tops = tile // COLUMNS * (height // ROWS) + torch.arange(height // ROWS - GAP - size + 1)
                lefts = tile % COLUMNS * (width // COLUMNS) + torch.arange(width // COLUMNS - GAP - size + 1)
                possible[split].append(torch.cartesian_prod(torch.tensor([photo]), tops, lefts))
    drawn = {}
    for split, parts in possible.items():
        every = torch.cat(parts)
        chosen = torch.randperm(len(every), generator=generator)[: COUNTS[split]]
        drawn[split] = [(photo, top, left) for photo, top, left in every[chosen].tolist()]
    return drawn


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
        entropy = float(-self.log_density(points["test"]).mean() * bits_per_nat(2))
        return Data(images=points, labels=modes, encoding=Continuous(), codes={"exact density": entropy})
