"""Shares of samples that lie near others.

precision  share of X within Y's balls, which reach to the k-th neighbour in Y   } of features, k = 3
recall     share of Y within X's balls                                         } (Kynkäänniemi et al. 2019)
density    1/(kN) Σ_x #{y : x in y's ball}                                     } of features, or of points as they are,
coverage   share of Y whose ball holds some x                                  } k = 5 (Naeem et al. 2020)
memorisation rate   share of X nearer, in pixels, to a training image than 95 % of held-out images are

Density is about 1 for samples of Y's law. An outlier of X, whose ball is wide, helps recall and not coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablations.metrics.discrepancies import distances
from ablations.metrics.metric import CHUNK, Comparison, FeatureSet, Metric, MetricInfo, checked

THIRD, FIFTH = 3, 5
MEMORISED = 0.05
FEWEST = math.ceil(1 / MEMORISED)
"""Held-out images that a class needs: 5 % of fewer would be less than one."""
_SHARE = MetricInfo("", "max", digits=2, counted=True, of=("images",), extracts=True)


@dataclass(frozen=True)
class PrecisionMetric(Metric):
    """Share of generated images that lie where real ones are."""

    info = replace(_SHARE, label="Precision")

    def compute(self, sets: Comparison) -> float:
        return sets.cached(_precision_recall)[0]


@dataclass(frozen=True)
class RecallMetric(Metric):
    """Share of real images that lie where generated ones are."""

    info = replace(_SHARE, label="Recall")

    def compute(self, sets: Comparison) -> float:
        return sets.cached(_precision_recall)[1]


def _precision_recall(sets: Comparison) -> tuple[float, float]:
    return precision_recall(sets.generated.features, sets.real.features)


def precision_recall(generated: Tensor, real: Tensor) -> tuple[float, float]:
    """Precision and recall of features [N, d], [M, d] with balls that reach to the third neighbour."""
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    x, y = (checked(part, "precision and recall", at_least=THIRD + 2) for part in (generated, real))
    value = prc_features_to_metric(x, y, prc_neighborhood=THIRD, prc_batch_size=CHUNK, save_cpu_ram=True, verbose=False)
    return float(value[KEY_METRIC_PRECISION]), float(value[KEY_METRIC_RECALL])


@dataclass(frozen=True)
class DensityMetric(Metric):
    """Density of real samples where generated ones lie."""

    info = MetricInfo("Density", "max", digits=2, least=0.0, extracts=True)

    def compute(self, sets: Comparison) -> float:
        return float(sets.cached(hits).mean()) * len(sets.real.stored) / (FIFTH * len(sets.generated.stored))


@dataclass(frozen=True)
class CoverageMetric(Metric):
    """Share of real samples that generated ones come near to."""

    info = MetricInfo("Coverage", "max", digits=2, counted=True, extracts=True)

    def compute(self, sets: Comparison) -> float:
        return float((sets.cached(hits) > 0).double().mean())


def radii(real: FeatureSet) -> Tensor:
    """The distance from each real sample to its k-th neighbour, [M]."""
    y = checked(real.features, "density and coverage", at_least=FIFTH + 1)
    # The nearest to a sample is itself.
    return torch.cat([distances(part, y).kthvalue(FIFTH + 1, 1).values for part in torch.split(y, CHUNK)])


def hits(sets: Comparison) -> Tensor:
    """The number of generated samples in the ball of each real one, float64 [M]."""
    reach, y = sets.real.cached(radii), sets.real.features
    x = checked(sets.generated.features, "density and coverage", at_least=1)
    return torch.stack([(distances(part, y) <= reach).sum(0) for part in torch.split(x, CHUNK)]).sum(0).double()


@dataclass(frozen=True)
class Memorisation(Metric):
    """Memorisation rate of generated images: near 5 % for a model that is no copier."""

    info = MetricInfo("Memorisation rate", "none", "share", digits=2, counted=True, of=("images",), reads_held_out=True)

    def compute(self, sets: Comparison) -> float:
        return memorisation_rate(sets.generated.stored, sets.real.stored, sets.beside.stored)


@dataclass(frozen=True)
class ClassMemorisation(Metric):
    """Memorisation rate within classes, over those with 20 held-out images or more; of samples that have labels.

        Σ_c n_c r_c / Σ_c n_c    n_c generated images of class c, of which r_c is the rate: training, held-out and
                                 generated images are those of the class alone

    A copy of an image of another class is no copy here. A model that copies nothing scores about ⌈N/20⌉/(N + 1) with N
    held-out images in a class: 5 % of thousands, 6.5 % of 45.
    """

    info = replace(Memorisation.info, label="Memorisation rate within classes", reads_labels=True)

    def compute(self, sets: Comparison) -> float:
        if sets.generated.labels is None:
            raise ValueError("class_memorisation reads labels, and these samples have none: take conditioning=class")
        counts, rates, most = list[int](), list[float](), 0
        for label in sorted(set(sets.generated.labels.tolist()) - {-1}):
            sides = sets.generated, sets.real, sets.beside
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
    return torch.cat([torch.cdist(part.flatten(1).to(flat), flat).amin(1) for part in torch.split(images, CHUNK)])


def nearest_of(images: Tensor, training: Tensor) -> Tensor:
    """The index of the training image nearest to each stored image, by Euclidean distance in pixels [N]."""
    flat = images.flatten(1).float()
    apart = [torch.cdist(flat, part.flatten(1).to(flat)) for part in torch.split(training, CHUNK)]
    return torch.cat(apart, dim=1).argmin(1)


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
