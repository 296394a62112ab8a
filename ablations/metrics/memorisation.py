"""Memorisation rate: the share of X nearer, in pixels, to a training image than 95 % of held-out images are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ablations.metrics.metric import Direction, Kind, Metric
from ablations.metrics.sets import Judged, chunks

MEMORISED = 0.05


@dataclass(frozen=True)
class Memorisation(Metric):
    """Memorisation rate of generated images: near 5 % for a model that is no copier."""

    label: ClassVar[str] = "Memorisation rate"
    unit: ClassVar[str | None] = "share"
    direction: ClassVar[Direction] = "none"
    digits: ClassVar[int | None] = 2
    counted: ClassVar[bool] = True
    of: ClassVar[tuple[Kind, ...]] = ("images",)
    reads_held_out: ClassVar[bool] = True

    def compute(self, judged: Judged) -> float:
        assert judged.held_out is not None, "a metric that reads held-out images is asked where there are some"
        return memorisation_rate(judged.generated.stored, judged.real.stored, judged.held_out.stored)


def nearest_distance(images: Tensor, training: Tensor) -> Tensor:
    """Euclidean distance in pixels from each stored image to its nearest training image, float64 [N]."""
    flat = training.flatten(1).double()
    # Sums of squared grey levels are whole numbers, so cdist's matrix product is exact in float64.
    return torch.cat([torch.cdist(part.flatten(1).to(flat), flat).amin(1) for part in chunks(images)])


def memorisation_rate(generated: Tensor, training: Tensor, heldout: Tensor) -> float:
    """The share of generated images that lie nearer to a training image than the nearest 5 % of held-out images do.

    The threshold is the distance of the last of these. Images exactly at it count by the fraction that brings the
    held-out images to 5 %: a model that is no copier scores about that, ⌈N/20⌉/(N + 1) of N held-out images. A copy
    counts whole, so that a copier scores 1; held-out images score more than 5 % where more of them are copies.
    """
    real, drawn = nearest_distance(heldout, training), nearest_distance(generated, training)
    # Of one law, a distance lies below the k-th of N others with the chance k/(N + 1): no k of few makes that 5 %.
    due = MEMORISED * len(real)
    threshold = real.sort().values[math.ceil(due) - 1]
    nearer, level = int((real < threshold).sum()), int((real == threshold).sum())
    part = (due - nearer) / level if threshold > 0 else 1.0
    return float(torch.where(drawn == threshold, part, (drawn < threshold).double()).mean())
