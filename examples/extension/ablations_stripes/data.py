"""Images of straight stripes: simple enough that one sees at once whether a sample is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ablations.data.base import SPLITS, Data, DataSet, image_data


@dataclass(frozen=True)
class Stripes(DataSet):
    """8×8 images of 17 grey levels, 2000 / 400 / 400: rows or columns that are each dark or of one brightness."""

    seed: int = 0

    extractor: ClassVar[str | None] = "digits-cnn"

    def read(self) -> Data:
        generator = torch.Generator().manual_seed(self.seed)
        sizes = dict(zip(SPLITS, (2000, 400, 400), strict=True))
        upright = {split: torch.rand(n, generator=generator) < 0.5 for split, n in sizes.items()}
        images = {split: _drawn(upright[split], generator) for split in sizes}
        return image_data(images, {split: way.long() for split, way in upright.items()}, levels=17)


def _drawn(upright: Tensor, generator: torch.Generator) -> Tensor:
    """Images uint8 [N, 1, 8, 8]: columns where `upright`, else rows."""
    n = len(upright)
    bright = torch.randint(8, 17, (n, 1), generator=generator)
    lines = bright * (torch.rand(n, 8, generator=generator) < 0.5)
    rows = lines[:, :, None].expand(n, 8, 8)
    return torch.where(upright[:, None, None], rows.transpose(1, 2), rows).to(torch.uint8)[:, None].clone()
