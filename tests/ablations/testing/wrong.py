"""Data sets and extractors that are wrong on purpose, each in one thing, for the shared checks to find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ablations.data.base import Data, DataSet, image_data
from ablations.metrics.extractors.architectures import Architecture


def noise(n: int, levels: int = 17, side: int = 8, seed: int | None = 0) -> Tensor:
    """n images of noise; by the global generator where no seed is given."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randint(levels, (n, 1, side, side), generator=generator).to(torch.uint8)


def splits(**replaced: Tensor) -> dict[str, Tensor]:
    return {"train": noise(40), "validation": noise(9, seed=1), "test": noise(9, seed=2), **replaced}


def like(base: type, name: str, **changed: Any) -> Any:
    """A class that does as its base does, but for these."""
    return type(name, (base,), changed)


@dataclass(frozen=True)
class Right(DataSet):
    """A set in which nothing is wrong."""

    extractor: ClassVar[str | None] = "digits-cnn"

    def read(self) -> Data:
        return image_data(self.drawn(), {}, levels=17)

    def drawn(self) -> dict[str, Tensor]:
        return splits()


@dataclass(frozen=True)
class TooBright(Right):
    """Has more levels than it says."""

    def read(self) -> Data:
        data = image_data(splits(), {}, levels=17)
        bright = data.images | {"test": torch.full_like(data.images["test"], 17)}
        return Data(bright, {}, data.encoding, data.codes)


Drawn = like(Right, "Drawn", drawn=lambda self: splits(train=noise(40, seed=None)))
"""Draws its images anew each time."""
Leaking = like(Right, "Leaking", drawn=lambda self: splits(test=noise(40)[:9]))
"""Tests on what it was taught."""
Lopsided = like(Right, "Lopsided", drawn=lambda self: splits(test=noise(6, seed=2)))
"""Has fewer images to test on than to select by."""
Unjudged = like(Right, "Unjudged", extractor="fashion-cnn")
"""Is judged by an extractor of other images."""
Unscored = like(Right, "Unscored", extractor=None)
"""Is scored by likelihood alone, in which nothing is wrong."""
Elsewhere = like(Right, "Elsewhere", where=("root",))
"""Says that its files lie where no field says."""


class Small(Architecture):
    """A network of features in which nothing is wrong."""

    levels = 17
    sides = (8,)
    width = 6
    classes = 10

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.SiLU())
        self.head = nn.Linear(6, self.classes)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.body(levels.float() / 16)
        return feature, self.head(feature)


Wider = like(Small, "Wider", width=7)
"""Declares more features than it has."""
Taking = like(Small, "Taking", check=staticmethod(lambda name, images: None))
"""Takes whatever it is given."""


class Relative(Small):
    """Sees the rest of a batch."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        feature, logits = super().forward(levels)
        return feature - feature.mean(0), logits


class Forgetting(Small):
    """Has a scale that is in no file."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(0.5), persistent=False)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        feature, logits = super().forward(levels)
        return feature * self.scale, logits
