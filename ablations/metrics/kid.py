"""KID = E k(x, x') + E k(y, y') − 2 E k(x, y), k(x, y) = (xᵀy/d + 1)³, of features (Bińkowski et al. 2018).

The estimate is unbiased: pairs are of two different images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ablations.metrics.metric import Metric, MetricInfo
from ablations.metrics.sets import Judged, checked

SUBSETS, SUBSET_SIZE = 20, 1000
SEED = 2020


@dataclass(frozen=True)
class Kid(Metric):
    """Kernel distance of the features of generated and of real images, by a cubic kernel."""

    info = MetricInfo("KID", "min", digits=3, of=("images",), extracts=True)

    def compute(self, judged: Judged) -> float:
        extractor = judged.real.extractor
        assert extractor is not None, "images have an extractor"
        return kid(judged.generated.features, judged.real.features, standardised=extractor.module.standardised)


def kid(generated: Tensor, real: Tensor, *, standardised: bool = True) -> float:
    """KID of features [N, d], [M, d], standardised by the real ones because k is cubic; may be a little below zero.

    Not standardised it is as published for Inception, whose features' scale everybody shares.

    The mean over fixed draws of subsets of equal size: all of the smaller set, where it has no more than 1000.
    """
    from torch_fidelity.metric_kid import mmd2

    generated, real = checked(generated, "KID", at_least=2), checked(real, "KID", at_least=2)
    if standardised:
        mean, std = real.mean(0), real.std(0)
        std = torch.where(std > 0, std, torch.ones_like(std))
        generated, real = (generated - mean) / std, (real - mean) / std
    size = min(len(generated), len(real), SUBSET_SIZE)
    drawn, values = np.random.RandomState(SEED), []
    for _ in range(SUBSETS):
        x, y = (part[drawn.choice(len(part), size, replace=False)] for part in (generated, real))
        # The kernel is torch's: torch-fidelity's takes ten times as long to cube a number.
        values.append(float(mmd2(*(_kernel(a, b) for a, b in ((x, x), (x, y), (y, y))))))
    return float(np.mean(values))


def _kernel(x: Tensor, y: Tensor) -> np.ndarray:
    return ((x @ y.T) / x.shape[1] + 1).pow_(3).cpu().numpy()
