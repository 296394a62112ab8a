"""Memorisation rate: the share of X nearer, in pixels, to a training image than 95 % of held-out images are."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablations.metrics.metric import Judged, Metric, MetricInfo, chunks

MEMORISED = 0.05
FEWEST = math.ceil(1 / MEMORISED)
"""Held-out images that a class needs: 5 % of fewer would be less than one."""


@dataclass(frozen=True)
class Memorisation(Metric):
    """Memorisation rate of generated images: near 5 % for a model that is no copier."""

    info = MetricInfo("Memorisation rate", "none", "share", digits=2, counted=True, of=("images",), reads_held_out=True)

    def compute(self, judged: Judged) -> float:
        return memorisation_rate(judged.generated.stored, judged.real.stored, judged.beside.stored)


@dataclass(frozen=True)
class ClassMemorisation(Metric):
    """Memorisation rate within classes, over those with 20 held-out images or more; of samples that have labels.

        Σ_c n_c r_c / Σ_c n_c    n_c generated images of class c, of which r_c is the rate: training, held-out and
                                 generated images are those of the class alone

    A copy of an image of another class is no copy here. A model that copies nothing scores about ⌈N/20⌉/(N + 1) with N
    held-out images in a class: 5 % of thousands, 6.5 % of 45.
    """

    info = replace(Memorisation.info, label="Memorisation rate within classes", reads_labels=True)

    def compute(self, judged: Judged) -> float:
        if judged.generated.labels is None:
            raise ValueError("class_memorisation reads labels, and these samples have none: take conditioning=class")
        counts, rates, most = list[int](), list[float](), 0
        for label in sorted(set(judged.generated.labels.tolist()) - {-1}):
            sides = judged.generated, judged.real, judged.beside
            generated, training, held_out = (side.of_class(label) for side in sides)
            most = max(most, len(held_out))
            if len(training) and len(held_out) >= FEWEST:
                counts.append(len(generated))
                rates.append(memorisation_rate(generated, training, held_out))
        if not rates:
            raise ValueError(f"class_memorisation needs {FEWEST} held-out images of a class, got {most}: take more")
        return sum(count * rate for count, rate in zip(counts, rates, strict=True)) / sum(counts)


def nearest_distance(images: Tensor, training: Tensor) -> Tensor:
    """Euclidean distance in pixels from each stored image to its nearest training image, float64 [N]."""
    flat = training.flatten(1).double()
    # Sums of squared grey levels are whole numbers, so cdist's matrix product is exact in float64.
    return torch.cat([torch.cdist(part.flatten(1).to(flat), flat).amin(1) for part in chunks(images)])


def nearest_of(images: Tensor, training: Tensor) -> Tensor:
    """The index of the training image nearest to each stored image, by Euclidean distance in pixels [N]."""
    flat = images.flatten(1).float()
    return torch.cat([torch.cdist(flat, part.flatten(1).to(flat)) for part in chunks(training)], dim=1).argmin(1)


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
