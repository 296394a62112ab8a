"""KID = E k(x, x') + E k(y, y') − 2 E k(x, y), k(x, y) = (xᵀy/d + 1)³, of features (Bińkowski et al. 2018).

The estimate is unbiased: pairs are of two different images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ablations.metrics.metric import Direction, Kind, Metric
from ablations.metrics.sets import Judged, checked

SUBSETS, SUBSET_SIZE = 20, 1000
SEED = 2020


@dataclass(frozen=True)
class Kid(Metric):
    """Kernel distance of the features of generated and of real images, by a cubic kernel."""

    label: ClassVar[str] = "KID"
    direction: ClassVar[Direction] = "min"
    digits: ClassVar[int | None] = 3
    of: ClassVar[tuple[Kind, ...]] = ("images",)
    extracts: ClassVar[bool] = True

    def compute(self, judged: Judged) -> float:
        extractor = judged.real.extractor
        assert extractor is not None, "images have an extractor"
        return kid(judged.generated.features, judged.real.features, standardised=extractor.module.standardised)


def kid(generated: Tensor, real: Tensor, *, standardised: bool = True) -> float:
    """KID of features [N, d], [M, d], standardised by the real ones because k is cubic; may be a little below zero.

    Not standardised it is as published for Inception, whose features' scale everybody shares.

    The mean over fixed draws of subsets of equal size: all of the smaller set, where it has no more than 1000.
    """
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    generated, real = checked(generated, "KID", at_least=2), checked(real, "KID", at_least=2)
    if standardised:
        mean, std = real.mean(0), real.std(0)
        std = torch.where(std > 0, std, torch.ones_like(std))
        generated, real = (generated - mean) / std, (real - mean) / std
    size = min(len(generated), len(real), SUBSET_SIZE)
    value = kid_features_to_metric(
        generated,
        real,
        kid_subsets=SUBSETS,
        kid_subset_size=size,
        rng_seed=SEED,
        verbose=False,
    )
    return float(value[KEY_METRIC_KID_MEAN])
