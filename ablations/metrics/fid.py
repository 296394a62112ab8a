"""FID = |μ_X − μ_Y|² + tr(Σ_X + Σ_Y − 2(Σ_X Σ_Y)^½), of features' means and covariances (Heusel et al. 2017); and
IS = exp E KL(p(c|x) ‖ E p(c|x)), of the classes c that an extractor sees (Salimans et al. 2016).

FID is biased upward by O(1/n), and so compares only at one n, beside what real images score at that n (`FidInfinity`
extrapolates). With no more images than features, covariances have no full rank and the bias is most of it: `cautions`
says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ablations.metrics.extractors import architecture_of
from ablations.metrics.metric import Comparison, FeatureSet, Metric, MetricInfo, checked

Statistics = dict[str, npt.NDArray[np.float64]]

PARTS = (1, 2)  # numbers of parts that a set is cut into
SEED = 2020

_FRECHET = MetricInfo("FID", "min", digits=1, scale="log", relevant=0.05, least=0.0, of=("images",), extracts=True)


@dataclass(frozen=True)
class Fid(Metric):
    """Fréchet distance of the features of generated and of real images."""

    info = replace(_FRECHET, decides="samples")

    def compute(self, sets: Comparison) -> float:
        return fid(sets.generated.cached(statistics_of), sets.real.cached(statistics_of))


@dataclass(frozen=True)
class FidPooled(Fid):
    """Fréchet distance of the features of all generated sets together and of real images.

    Of K sets of n it is FID at K n: its bias, O(1/(K n)), is smaller than that of the mean over sets, and so it shows
    larger factors between cells. Compare it only at one K n, which its column names.
    """

    info = replace(_FRECHET, pools=True, has_floor=False)


@dataclass(frozen=True)
class FidHeldOut(Metric):
    """Fréchet distance of the features of generated and of held-out images.

    FID is taken against the training images, where there are most of them, and so is small for copies; of a model that
    copies these this one is no better than of one that does not. It has fewer real images and more bias (O(1/n)); cells
    compare in it, and its level says little. `evaluation.reference=test` holds all metrics against held-out images.
    """

    info = replace(_FRECHET, label="FID, held-out", compares=False, reads_held_out=True, has_floor=False)

    def compute(self, sets: Comparison) -> float:
        return fid(sets.generated.cached(statistics_of), sets.beside.cached(statistics_of))


@dataclass(frozen=True)
class FidInfinity(Metric):
    """Fréchet distance of the features of infinitely many generated images, by extrapolation, and of real ones.

        E FID_n = FID_∞ + b/n + O(1/n²),     FID_∞ ≈ the intercept of least squares in 1/n
                                             (Chong & Forsyth 2020, arXiv:1911.07023)

    n is a whole set, and n/2 its halves, whose mean is taken: each image is read at both, so that the intercept varies
    no more than FID_n, or √2 as much where generated images are nearly as real ones. More parts would vary no less, and
    small ones would add a bias of order 1/n², some of which is left at the fewest images that it takes. The real images
    are given: their own number is in it as in FID. It may come out below 0, and its error is what sets differ by.
    """

    info = MetricInfo("FID∞", "min", digits=1, of=("images",), extracts=True)

    def compute(self, sets: Comparison) -> float:
        features = sets.generated.features
        return fid_infinity(features[shuffled(sets.generated.stored)], sets.real.cached(statistics_of))


def statistics_of(images: FeatureSet) -> Statistics:
    return fid_statistics(images.features)


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


def fid_infinity(feature: Tensor, real: Statistics) -> float:
    """The intercept for features [N, d] in an order by chance; ValueError unless each part has more than d."""
    n, width = feature.shape
    if n < (least := max(PARTS) * (width + 1)):
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


def cautions(extractor: str, n: int) -> list[str]:
    """Cautions for a reader of FID by this extractor, beside n, the number of images that it was taken on."""
    width = architecture_of(extractor).width
    if n > width:
        return []
    return [
        f"FID compares {width} features on n = {n} images, no more than there are features: its covariances have no "
        "full rank, and most of it is bias that real images show too. Judge by the distance to the floor, and by KID."
    ]


@dataclass(frozen=True)
class Is(Metric):
    """Inception score of generated images by themselves: sure of each image's class, and of all classes."""

    info = MetricInfo("IS", "max", digits=2, least=1.0, of=("images",), extracts=True, compares=False)

    def compute(self, sets: Comparison) -> float:
        return inception_score(sets.generated.logits)


def inception_score(logits: Tensor) -> float:
    """IS from logits [N, classes], over one split of all N: between 1 and the number of classes."""
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    logits = checked(logits, "IS", at_least=2)
    # A class whose probability is 0 in float64 on every image would give 0 · ∞.
    floored = logits.log_softmax(1).clamp(min=-700)
    return float(isc_features_to_metric(floored, splits=1, shuffle=False)[KEY_METRIC_ISC_MEAN])
