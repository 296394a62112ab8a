"""Sample quality: generated sets X against real ones Y, by features φ of a named extractor, by pixels, or as points.

    FID                |μ_X − μ_Y|² + tr(Σ_X + Σ_Y − 2(Σ_X Σ_Y)^½)                          Heusel et al. 2017
    KID                E k(x, x') + E k(y, y') − 2 E k(x, y), k(x, y) = (xᵀy/d + 1)³, unbiased  Bińkowski et al. 2018
    IS                 exp E KL(p(c|x) ‖ E p(c|x))                                          Salimans et al. 2016
    precision, recall  share of X within Y's balls, and of Y within X's: a ball reaches      Kynkäänniemi et al. 2019
                       from a point to its third neighbour in its own set
    energy distance    2 E|X − Y| − E|X − X'| − E|Y − Y'|                                   Székely & Rizzo 2013
    memorisation rate  share of X nearer to a training image than 95 % of held-out images are

FID is biased upward by O(1/n): it compares only at one n, beside `floors`, what real images score at that n. With no
more images than features, covariances have no full rank and the bias is most of it: `cautions` says so.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ablations.metrics.extractors import ARCHITECTURES, Extractor, features

NEIGHBOURS = 3
KID_SUBSETS = 20
KID_SUBSET_SIZE = 1000
MEMORISED = 0.05
CHUNK = 1000
SEED = 2020

Statistics = dict[str, npt.NDArray[np.float64]]


def fid_statistics(feature: Tensor) -> Statistics:
    """Mean and covariance of features [N, d]; ValueError unless all are finite and N ≥ 2."""
    from torch_fidelity.metric_fid import fid_features_to_statistics

    result: Statistics = fid_features_to_statistics(_checked(feature, "FID", at_least=2))
    return result


def fid(generated: Statistics, real: Statistics) -> float:
    """The Fréchet distance of two Gaussians with these statistics, squared. Finite also if all images are equal."""
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    # Rounding takes equal sets a little below zero.
    return max(0.0, float(fid_statistics_to_metric(generated, real, verbose=False)[KEY_METRIC_FID]))


def kid(generated: Tensor, real: Tensor, *, standardised: bool = True) -> float:
    """KID of features [N, d], [M, d], standardised by the real ones because k is cubic; may be a little below zero.

    Not standardised it is as published for Inception, whose features' scale everybody shares.

    The mean over fixed draws of subsets of equal size: all of the smaller set, where it has no more than 1000.
    """
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    generated, real = _checked(generated, "KID", at_least=2), _checked(real, "KID", at_least=2)
    if standardised:
        mean, std = real.mean(0), real.std(0)
        std = torch.where(std > 0, std, torch.ones_like(std))
        generated, real = (generated - mean) / std, (real - mean) / std
    size = min(len(generated), len(real), KID_SUBSET_SIZE)
    value = kid_features_to_metric(
        generated,
        real,
        kid_subsets=KID_SUBSETS,
        kid_subset_size=size,
        rng_seed=SEED,
        verbose=False,
    )
    return float(value[KEY_METRIC_KID_MEAN])


def psnr(images: Tensor, originals: Tensor, levels: int) -> float:
    """Peak signal-to-noise ratio of stored images [N, …] in dB: 10 log10((levels − 1)²/mean square error).

    The error is the mean over all images; ∞ where there is none.
    """
    error = float(((images.double() - originals.double()) ** 2).mean())
    return 10 * math.log10((levels - 1) ** 2 / error) if error else math.inf


def inception_score(logits: Tensor) -> float:
    """IS from logits [N, classes], over one split of all N: between 1 and the number of classes."""
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    logits = _checked(logits, "IS", at_least=2)
    # A class whose probability is 0 in float64 on every image would give 0 · ∞.
    floored = logits.log_softmax(1).clamp(min=-700)
    return float(isc_features_to_metric(floored, splits=1, shuffle=False)[KEY_METRIC_ISC_MEAN])


def precision_recall(generated: Tensor, real: Tensor) -> tuple[float, float]:
    """Precision and recall of features [N, d], [M, d] with balls that reach to the third neighbour."""
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    generated = _checked(generated, "precision and recall", at_least=NEIGHBOURS + 2)
    real = _checked(real, "precision and recall", at_least=NEIGHBOURS + 2)
    value = prc_features_to_metric(
        generated, real, prc_neighborhood=NEIGHBOURS, prc_batch_size=CHUNK, save_cpu_ram=True, verbose=False
    )
    return float(value[KEY_METRIC_PRECISION]), float(value[KEY_METRIC_RECALL])


def _checked(values: Tensor, metric: str, at_least: int) -> Tensor:
    """float64 on the CPU; ValueError where torch-fidelity would fail obscurely."""
    if values.dim() != 2 or len(values) < at_least:
        raise ValueError(f"{metric} needs at least {at_least} samples, one a row, got the shape {list(values.shape)}")
    if not bool(values.isfinite().all()):
        bad = int((~values.isfinite()).any(1).sum())
        raise ValueError(f"{metric}: {bad} of {len(values)} samples hold values that are not finite")
    return values.double().cpu()


def _chunks(x: Tensor) -> list[Tensor]:
    return [x[i : i + CHUNK] for i in range(0, len(x), CHUNK)]


def nearest_distance(images: Tensor, training: Tensor) -> Tensor:
    """Euclidean distance in pixels from each stored image to its nearest training image, float64 [N]."""
    flat = training.flatten(1).double()
    # Sums of squared grey levels are whole numbers, so cdist's matrix product is exact in float64.
    return torch.cat([torch.cdist(part.flatten(1).to(flat), flat).amin(1) for part in _chunks(images)])


def memorisation_rate(generated: Tensor, training: Tensor, heldout: Tensor) -> float:
    """The share of generated images that lie nearer to a training image than the nearest 5 % of held-out images do.

    The threshold is the 5 % quantile of the held-out images' distances to their nearest training image, so held-out
    images score 5 % by construction; a model that is no copier scores about that.
    """
    threshold = torch.quantile(nearest_distance(heldout, training), MEMORISED)
    return float((nearest_distance(generated, training) < threshold).double().mean())


@dataclass(frozen=True, eq=False)
class Reference:
    """Real images and what the metrics read of them, worked out once: built by `Reference.of`.

    `extractor` is the digest of the weights that gave the features: those of others do not compare.
    """

    images: Tensor
    features: Tensor
    statistics: Statistics
    extractor: str

    @classmethod
    def of(cls, images: Tensor, extractor: Extractor) -> Reference:
        """From stored images [N, …], whose features are worked out on the device where they lie."""
        feature, _ = features(extractor, images, images.device)
        return cls(images, feature, fid_statistics(feature), extractor.digest)


def quality(
    sets: list[Tensor], reference: Reference, extractor: Extractor, split_name: str, heldout: Tensor | None
) -> dict[str, float]:
    """Means over disjoint generated sets, each of stored images [n, …], by metric name.

    `split_name` is the reference's. FID's standard deviation between sets is there from two sets on: the noise of
    sampling alone, not that between trainings. The memorisation rate, its threshold from `heldout`, is there where that
    is given, and means something where the reference is the training images. ValueError if a set is too small or the
    reference was built by another extractor.
    """
    if not sets:
        raise ValueError("quality needs at least one set of images, got none")
    if reference.extractor != extractor.digest:
        raise ValueError(
            f"the reference was built by an extractor with digest {reference.extractor}, not {extractor.digest}"
        )
    scores = [_scores(images, reference, extractor, split_name) for images in sets]
    result = {name: statistics.fmean(score[name] for score in scores) for name in scores[0]}
    if len(sets) > 1:
        name = f"fid/{split_name}/{extractor.name}"
        result[f"{name}_set_sd"] = statistics.stdev(score[name] for score in scores)
    if heldout is not None:
        rates = (memorisation_rate(images, reference.images, heldout) for images in sets)
        result[f"memorisation/{split_name}"] = statistics.fmean(rates)
    return result


def _scores(images: Tensor, reference: Reference, extractor: Extractor, split_name: str) -> dict[str, float]:
    feature, logits = features(extractor, images, images.device)
    precision, recall = precision_recall(feature, reference.features)
    against = f"{split_name}/{extractor.name}"
    return {
        f"fid/{against}": fid(fid_statistics(feature), reference.statistics),
        f"kid/{against}": kid(feature, reference.features, standardised=extractor.module.standardised),
        f"is/{extractor.name}": inception_score(logits),
        f"precision/{against}": precision,
        f"recall/{against}": recall,
    }


def floors(
    heldout_sets: list[Tensor], reference: Reference, extractor: Extractor, split_name: str = "train"
) -> dict[str, float]:
    """What real images score: `quality` of sets of held-out images, each as large as the generated sets.

    Below FID's floor a model cannot be told from real images; the memorisation rate is 5 % by construction.
    """
    return quality(heldout_sets, reference, extractor, split_name, torch.cat(heldout_sets))


def cautions(extractor: str, n: int) -> list[str]:
    """What a reader of FID by this extractor must know beside n, the number of images that it was taken on."""
    width = ARCHITECTURES[extractor].width
    if n > width:
        return []
    return [
        f"FID compares {width} features on n = {n} images, no more than there are features: its covariances have no "
        "full rank, and most of it is bias that real images show too. Judge by the distance to the floor, and by KID."
    ]


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X − Y| − E|X − X'| − E|Y − Y'| ≥ 0 of points [N, D], [M, D], means over all pairs, float64.

    Zero only for equal sets; X' = X counts among the pairs, so samples of one law score about E|X − X'|(1/N + 1/M).
    The square of `scipy.stats.energy_distance`.
    """
    x, y = _checked(x, "energy distance", at_least=1), _checked(y, "energy distance", at_least=1)
    return max(0.0, 2 * _mean_distance(x, y) - _mean_distance(x, x) - _mean_distance(y, y))


def _mean_distance(x: Tensor, y: Tensor) -> float:
    # The matrix product loses half the digits of small distances.
    mode = "donot_use_mm_for_euclid_dist"
    total = math.fsum(float(torch.cdist(part, y, compute_mode=mode).sum()) for part in _chunks(x))
    return total / (len(x) * len(y))


def points_quality(sets: list[Tensor], heldout_points: Tensor, split_name: str) -> dict[str, float]:
    """Energy distance of sets of points [n, D] to held-out ones: mean, and from two sets on the standard deviation."""
    if not sets:
        raise ValueError("points_quality needs at least one set of points, got none")
    values = [energy_distance(points, heldout_points) for points in sets]
    name = f"energy_distance/{split_name}"
    result = {name: statistics.fmean(values)}
    return result | {f"{name}_set_sd": statistics.stdev(values)} if len(values) > 1 else result
