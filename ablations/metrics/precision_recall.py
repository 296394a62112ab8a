"""Precision and recall, of features (Kynkäänniemi et al. 2019).

precision   share of X within Y's balls
recall      share of Y within X's balls; a ball reaches from a point to its third neighbour in its own set
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ablations.metrics.metric import Metric, MetricInfo
from ablations.metrics.sets import CHUNK, Judged, checked

NEIGHBOURS = 3
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

    x, y = (checked(part, "precision and recall", at_least=NEIGHBOURS + 2) for part in (generated, real))
    value = prc_features_to_metric(
        x, y, prc_neighborhood=NEIGHBOURS, prc_batch_size=CHUNK, save_cpu_ram=True, verbose=False
    )
    return float(value[KEY_METRIC_PRECISION]), float(value[KEY_METRIC_RECALL])
