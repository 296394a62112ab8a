"""Axis: data sets, with fixed splits and a digest that enters every identity.

A set is a choice without tensors; `load` reads it. Training images teach, validation images select and declare
divergence, test images are read once. Each set also says what the simplest codes score on its test images, so that a
bits/dim can be judged.
"""

from __future__ import annotations

import hashlib
import math
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from diffusion_core.spaces import Continuous, Pixels, Space

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, eq=False)
class Data:
    """Stored values [N, …] per split (uint8 images or float32 points), their labels, and the space they live in.

    `codes` are bits/dim on the test split of codes that need no network, by name.
    """

    images: dict[Split, Tensor]
    labels: dict[Split, Tensor]
    space: Space
    codes: dict[str, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.images["train"].shape[1:])

    @property
    def digest(self) -> str:
        """12 hex digits of all splits' values."""
        sha = hashlib.sha256()
        for split in SPLITS:
            sha.update(np.ascontiguousarray(self.images[split].numpy()).tobytes())
        return sha.hexdigest()[:12]


class DataSet(ABC):
    """A data set. `extractor` names the features its images are judged by; None for points."""

    extractor: ClassVar[str | None]

    @abstractmethod
    def load(self) -> Data:
        """Read or make it; ValueError that says how to get it where it is missing."""


@dataclass(frozen=True)
class Digits(DataSet):
    """The 1797 handwritten digits that scikit-learn ships: 8×8, 17 grey levels, split 897/450/450."""

    extractor: ClassVar[str | None] = "digits-cnn"

    def load(self) -> Data:
        return _digits()


@lru_cache
def _digits() -> Data:
    # joblib, which scikit-learn brings, else makes a semaphore that a stopped worker leaves behind, with a warning.
    os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.uint8)[:, None]
    labels = torch.tensor(bunch.target, dtype=torch.int64)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    sizes = [897, 450, 450]
    parts = dict(zip(SPLITS, torch.split(order, sizes), strict=True))
    split_images = {split: images[index] for split, index in parts.items()}
    return Data(
        images=split_images,
        labels={split: labels[index] for split, index in parts.items()},
        space=Pixels(levels=17),
        codes=histogram_codes(split_images["train"], split_images["test"], levels=17),
    )


def histogram_codes(train: Tensor, test: Tensor, levels: int) -> dict[str, float]:
    """bits/dim on `test` of a uniform code, one histogram of all pixels, one per pixel (counts of `train` plus one)."""
    one_hot = torch.nn.functional.one_hot(train.long(), levels).double()
    everywhere = one_hot.flatten(0, -2).sum(0) + 1
    per_pixel = one_hot.sum(0) + 1
    log_everywhere = torch.log2(everywhere / everywhere.sum())
    log_per_pixel = torch.log2(per_pixel / per_pixel.sum(-1, keepdim=True)).expand(*test.shape, levels)
    return {
        "uniform code": math.log2(levels),
        "one histogram": -float(log_everywhere[test.long()].mean()),
        "histogram per pixel": -float(log_per_pixel.gather(-1, test.long()[..., None]).mean()),
    }


@dataclass(frozen=True)
class Mixture2d(DataSet):
    """`modes` equal Gaussians of standard deviation `std` on a circle of radius 1; 10,000 / 1,000 / 1,000 points."""

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

    def load(self) -> Data:
        generator = torch.Generator().manual_seed(0)
        points = {}
        for split, count in zip(SPLITS, [10_000, 1_000, 1_000], strict=True):
            mode = torch.randint(self.modes, (count,), generator=generator)
            noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
            points[split] = (self.means[mode] + self.std * noise).float()
        entropy = -float(self.log_density(points["test"]).mean()) / (2 * math.log(2))
        return Data(images=points, labels={}, space=Continuous(), codes={"exact density": entropy})
