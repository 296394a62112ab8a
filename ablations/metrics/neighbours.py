"""Shares of samples that lie near others: in a ball around one, which reaches to its k-th neighbour in its own set.

precision  share of X within Y's balls                    } of features, k = 3 (Kynkäänniemi et al. 2019)
recall     share of Y within X's balls                    }
density    1/(kN) Σ_x #{y : x in y's ball}                } of features, or of points as they are, k = 5 (Naeem et al.
coverage   share of Y whose ball holds some x             } 2020)

Density is about 1 for samples of Y's law. An outlier of X, whose ball is wide, helps recall and not coverage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablations.metrics.metric import Metric, MetricInfo
from ablations.metrics.sets import CHUNK, Examined, Judged, checked, chunks, distances

THIRD, FIFTH = 3, 5
"""The neighbours that balls reach to."""
_SHARE = MetricInfo("", "max", digits=2, counted=True, of=("images",), extracts=True)


@dataclass(frozen=True)
class PrecisionMetric(Metric):
    """Share of generated images that lie where real ones are."""

    info = replace(_SHARE, label="Precision")

    def compute(self, judged: Judged) -> float:
        return judged.once(_both)[0]


@dataclass(frozen=True)
class RecallMetric(Metric):
    """Share of real images that lie where generated ones are."""

    info = replace(_SHARE, label="Recall")

    def compute(self, judged: Judged) -> float:
        return judged.once(_both)[1]


def _both(judged: Judged) -> tuple[float, float]:
    return precision_recall(judged.generated.features, judged.real.features)


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

    def compute(self, judged: Judged) -> float:
        return float(judged.once(met).mean()) * len(judged.real.stored) / (FIFTH * len(judged.generated.stored))


@dataclass(frozen=True)
class CoverageMetric(Metric):
    """Share of real samples that generated ones come near to."""

    info = MetricInfo("Coverage", "max", digits=2, counted=True, extracts=True)

    def compute(self, judged: Judged) -> float:
        return float((judged.once(met) > 0).double().mean())


def radii(real: Examined) -> Tensor:
    """The distance from each real sample to its k-th neighbour, [M]."""
    y = checked(real.features, "density and coverage", at_least=FIFTH + 1)
    # The nearest to a sample is itself.
    return torch.cat([distances(part, y).kthvalue(FIFTH + 1, 1).values for part in chunks(y)])


def met(judged: Judged) -> Tensor:
    """The number of generated samples in the ball of each real one, float64 [M]."""
    reach, y = judged.real.once(radii), judged.real.features
    x = checked(judged.generated.features, "density and coverage", at_least=1)
    return torch.stack([(distances(part, y) <= reach).sum(0) for part in chunks(x)]).sum(0).double()
