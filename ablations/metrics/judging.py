"""What the samples of a cell are judged by: the data's extractor, and the real images that it has looked at.

test          against the training images
validation    against the validation images: for searches, which read no test data
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ablations.data.base import Data, DataSet, Split
from ablations.metrics import extractors, sample_quality
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut

SHORT = {"validation": "val", "test": "test"}
"""Splits as metric names spell them."""


def judged(cell: Cell, split: HeldOut, data: Data, sets: list[Tensor]) -> dict[str, float]:
    """What generated sets score against training images (test), or against validation images."""
    device = sets[0].device
    extractor = extractor_of(cell)
    if extractor is None:
        return sample_quality.points_quality(sets, data.images[split], SHORT[split])
    if split == "test":
        reference = reference_of(cell.data, cell.evaluation.weights, "train", device)
        return sample_quality.quality(sets, reference, extractor, "train", data.images["test"].to(device))
    reference = reference_of(cell.data, cell.evaluation.weights, "validation", device)
    return sample_quality.quality(sets, reference, extractor, SHORT[split], None)


def extractor_identity(cell: Cell) -> str | None:
    """The identity of what a cell's samples will be judged by, for a plan; ValueError where it cannot be read.

    None for points.
    """
    name, weights = cell.data.extractor, cell.evaluation.weights
    if name is None and weights:
        raise ValueError("evaluation.weights is of an extractor of images, and this data is of points: leave it out")
    return None if name is None else extractors.identity(name, Path(weights) if weights else None)


def extractor_of(cell: Cell) -> extractors.Extractor | None:
    """The extractor that judges a cell's samples, with its weights; None for points."""
    return _extractor(cell.data.extractor, cell.evaluation.weights)


@lru_cache(maxsize=2)
def _extractor(name: str | None, weights: str | None) -> extractors.Extractor | None:
    return None if name is None else extractors.load(name, Path(weights) if weights else None)


@lru_cache(maxsize=2)
def reference_of(data: DataSet, weights: str | None, split: Split, device: torch.device) -> sample_quality.Reference:
    """What real images are to a data set's extractor: worked out once in a worker, however many cells it judges."""
    extractor = _extractor(data.extractor, weights)
    assert extractor is not None, "points have no extractor"
    return sample_quality.Reference.of(data.load().images[split].to(device), extractor)
