"""Images of straight stripes: simple enough that one sees at once whether a sample is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ablations.data.base import SPLITS, Data, DataSet, image_data


@dataclass(frozen=True)
class Stripes(DataSet):
    """8×8 images of 17 grey levels, split 2000/400/400: rows or columns that are each dark or of one brightness."""

    seed: int = 0

    extractor: ClassVar[str | None] = "digits-cnn"

    def read(self) -> Data:
        images, labels = _all_images()
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(self.seed))
        parts = dict(zip(SPLITS, torch.split(order[:2800], [2000, 400, 400]), strict=True))
        return image_data(
            {split: images[index] for split, index in parts.items()},
            {split: labels[index] for split, index in parts.items()},
            levels=17,
        )


def _all_images() -> tuple[Tensor, Tensor]:
    """Every such image once, uint8 [4572, 1, 8, 8], and whether it is of columns: 254 patterns × 9 brightnesses × 2."""
    patterns = torch.arange(1, 255)[:, None] >> torch.arange(8) & 1
    lines = (patterns[:, None] * torch.arange(8, 17)[:, None]).flatten(0, 1)
    rows = lines[:, :, None].expand(-1, 8, 8)
    images = torch.stack([rows, rows.transpose(1, 2)]).flatten(0, 1).to(torch.uint8)[:, None]
    return images, torch.arange(2).repeat_interleave(len(rows))
