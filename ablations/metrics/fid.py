"""FID = |μ_X − μ_Y|² + tr(Σ_X + Σ_Y − 2(Σ_X Σ_Y)^½), of features' means and covariances (Heusel et al. 2017).

It is biased upward by O(1/n), and so compares only at one n, beside what real images score at that n (`fid_infinity.py`
extrapolates). With no more images than features, covariances have no full rank and the bias is most of it: `cautions`
says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ablations.metrics.extractors import architecture_of
from ablations.metrics.metric import Direction, Kind, Metric, Scale
from ablations.metrics.sets import Examined, Judged, checked

Statistics = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Fid(Metric):
    """Fréchet distance of the features of generated and of real images."""

    label: ClassVar[str] = "FID"
    direction: ClassVar[Direction] = "min"
    digits: ClassVar[int | None] = 1
    decides: ClassVar[str | None] = "samples"
    scale: ClassVar[Scale] = "log"
    relevant: ClassVar[float | None] = 0.05
    least: ClassVar[float | None] = 0.0
    of: ClassVar[tuple[Kind, ...]] = ("images",)
    extracts: ClassVar[bool] = True

    def compute(self, judged: Judged) -> float:
        return fid(judged.generated.once(statistics_of), judged.real.once(statistics_of))


def statistics_of(examined: Examined) -> Statistics:
    """Mean and covariance of a set's features."""
    return fid_statistics(examined.features)


def fid_statistics(feature: Tensor) -> Statistics:
    """Mean and covariance of features [N, d]; ValueError unless all are finite and N ≥ 2."""
    from torch_fidelity.metric_fid import fid_features_to_statistics

    result: Statistics = fid_features_to_statistics(checked(feature, "FID", at_least=2))
    return result


def fid(generated: Statistics, real: Statistics) -> float:
    """The Fréchet distance of two Gaussians with these statistics, squared. Finite also if all images are equal."""
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    # Rounding takes equal sets a little below zero.
    return max(0.0, float(fid_statistics_to_metric(generated, real, verbose=False)[KEY_METRIC_FID]))


def cautions(extractor: str, n: int) -> list[str]:
    """Cautions for a reader of FID by this extractor, beside n, the number of images that it was taken on."""
    width = architecture_of(extractor).width
    if n > width:
        return []
    return [
        f"FID compares {width} features on n = {n} images, no more than there are features: its covariances have no "
        "full rank, and most of it is bias that real images show too. Judge by the distance to the floor, and by KID."
    ]
