"""Colour patches of two photographs that scikit-learn ships: small natural images, nothing to download.

Each photo is cut into 6 × 10 tiles with a gap between them, and a tile belongs to one split, so that no pixel is seen
on two sides. Patches of one tile overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ablations.data.base import SPLITS, Data, DataSet, Split, image_data
from ablations.data.sources import samples

ROWS, COLUMNS, GAP = 6, 10, 8
"""8 pixels are a block of the photos' JPEG."""
PHOTOS = ("china.jpg", "flower.jpg")
TILES: dict[Split, int] = {"train": 48, "validation": 6, "test": 6}
"""Tiles of each photo that belong to a split."""
COUNTS: dict[Split, int] = {"train": 8_000, "validation": 1_000, "test": 1_000}
SMALLEST, LARGEST = 8, 32


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
            possible[split] += [_inside(photo, tile, height // ROWS, width // COLUMNS, size) for tile in tiles.tolist()]
    return {split: _drawn(torch.cat(parts), COUNTS[split], generator) for split, parts in possible.items()}


def _drawn(possible: Tensor, count: int, generator: torch.Generator) -> list[tuple[int, int, int]]:
    chosen = torch.randperm(len(possible), generator=generator)[:count]
    return [(photo, top, left) for photo, top, left in possible[chosen].tolist()]


def _inside(photo: int, tile: int, height: int, width: int, size: int) -> Tensor:
    """(photo, top, left) of all patches that lie within a tile of that height and width, its gap left out."""
    tops = tile // COLUMNS * height + torch.arange(height - GAP - size + 1)
    lefts = tile % COLUMNS * width + torch.arange(width - GAP - size + 1)
    return torch.cartesian_prod(torch.tensor([photo]), tops, lefts)
