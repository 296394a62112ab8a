"""FID_∞: FID without the bias that the number of generated images gives it (Chong & Forsyth 2020, arXiv:1911.07023).

    E FID_n = FID_∞ + b/n + O(1/n²),     FID_∞ ≈ the intercept of least squares in 1/n

n is a whole set, and n/2 its halves, whose mean is taken: each image is read at both, so that the intercept varies no
more than FID_n, or √2 as much where generated images are nearly as real ones. More parts would vary no less, and small
ones would add a bias of order 1/n², some of which is left at the fewest images that it takes. The real images are
given: their own number is in it as in FID. It may come out below 0, and its error is what sets differ by.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ablations.metrics.fid import Statistics, fid, fid_statistics, statistics_of
from ablations.metrics.metric import Direction, Kind, Metric
from ablations.metrics.sets import Judged

PARTS = (1, 2)
"""Numbers of parts that a set is cut into."""
SEED = 2020


@dataclass(frozen=True)
class FidInfinity(Metric):
    """Fréchet distance of the features of infinitely many generated images, by extrapolation, and of real ones."""

    label: ClassVar[str] = "FID∞"
    direction: ClassVar[Direction] = "min"
    digits: ClassVar[int | None] = 1
    of: ClassVar[tuple[Kind, ...]] = ("images",)
    extracts: ClassVar[bool] = True

    def fewest(self, width: int) -> int:
        return fewest(width)

    def compute(self, judged: Judged) -> float:
        features = judged.generated.features
        return fid_infinity(features[shuffled(judged.generated.stored)], judged.real.once(statistics_of))


def fewest(width: int) -> int:
    """The fewest images each of whose parts is more than so many features."""
    return max(PARTS) * (width + 1)


def fid_infinity(feature: Tensor, real: Statistics) -> float:
    """The intercept for features [N, d] in an order by chance; ValueError unless each part has more than d."""
    n, width = feature.shape
    if n < (least := fewest(width)):
        raise ValueError(
            f"fid_infinity needs sets of at least {least} images, whose halves are more than the {width} features, "
            f"got {n}: take evaluation.n={least} or more"
        )
    values = [fmean(fid(fid_statistics(feature[j::parts]), real) for j in range(parts)) for parts in PARTS]
    return float(np.polyfit([parts / n for parts in PARTS], values, 1)[1])


def shuffled(stored: Tensor) -> Tensor:
    """Places of stored images in an order by chance, which is the same whatever order they come in."""
    rows = stored.flatten(1).cpu().numpy()
    order = torch.tensor(sorted(range(len(rows)), key=lambda i: rows[i].tobytes()))
    return order[torch.randperm(len(rows), generator=torch.Generator().manual_seed(SEED))]
