"""Where shipped sets come from: scikit-learn's folder of samples, and sets published as training and test images.

    published training images ─▶ fixed permutation ─▶ validation pool | training pool     published test images
                                                        first n          first m               first n

The pools stand whatever the budget is, so that no image moves from one split to another with it, and the two held-out
splits have equally many images, because FID compares only at one n.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ablations.data.base import FEWEST, SPLITS, DataSet, Split
from analysis.errors import InputError
from diffusion_core.refusing import choice_name

Labelled = tuple[Tensor, Tensor]
"""Images uint8 [N, …] and their classes int64 [N]."""


def samples() -> Path:
    """The folder of the data that scikit-learn ships: to import it takes a second, which every process would spend."""
    spec = find_spec("sklearn")
    assert spec is not None, "scikit-learn is installed with this package"
    return Path(spec.origin or "").parent / "datasets"


class Published(DataSet):
    """A set of which the first `train_images` and `held_out_images` of its pools are taken."""

    root: str
    train_images: int
    held_out_images: int

    where: ClassVar[tuple[str, ...]] = ("root",)
    unread: ClassVar[tuple[str, ...]] = ("download",)

    def __post_init__(self) -> None:
        if min(self.train_images, self.held_out_images) < FEWEST:
            raise ValueError(f"{choice_name(self)} needs train_images and held_out_images of at least {FEWEST}")

    def split(self, train: Labelled, test: Labelled, one_in: int) -> tuple[dict[Split, Tensor], dict[Split, Tensor]]:
        """Images and labels per split, where one in so many training images validates; InputError where there are not
        as many as are asked for."""
        order = torch.randperm(len(train[0]), generator=torch.Generator().manual_seed(0))
        validation, training = torch.split(order, [pool := len(order) // one_in, len(order) - pool])
        for key, most in (("train_images", len(training)), ("held_out_images", min(pool, len(test[0])))):
            if (asked := getattr(self, key)) > most:
                name = choice_name(self)
                raise InputError(f"{name} has {most} images for data.{key}, got {asked}: ask for {most} or fewer")
        taken = training[: self.train_images], validation[: self.held_out_images], torch.arange(self.held_out_images)
        chosen = list(zip(SPLITS, (train, train, test), taken, strict=True))
        images, labels = ({split: source[i][index] for split, source, index in chosen} for i in (0, 1))
        return images, labels
