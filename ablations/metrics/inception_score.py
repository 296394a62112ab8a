"""IS = exp E KL(p(c|x) ‖ E p(c|x)), of an extractor's classes c (Salimans et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ablations.metrics.metric import Metric, MetricInfo
from ablations.metrics.sets import Judged, checked


@dataclass(frozen=True)
class Is(Metric):
    """Inception score of generated images by themselves: sure of each image's class, and of all classes."""

    info = MetricInfo("IS", "max", digits=2, least=1.0, of=("images",), extracts=True, compares=False)

    def compute(self, judged: Judged) -> float:
        return inception_score(judged.generated.logits)


def inception_score(logits: Tensor) -> float:
    """IS from logits [N, classes], over one split of all N: between 1 and the number of classes."""
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    logits = checked(logits, "IS", at_least=2)
    # A class whose probability is 0 in float64 on every image would give 0 · ∞.
    floored = logits.log_softmax(1).clamp(min=-700)
    return float(isc_features_to_metric(floored, splits=1, shuffle=False)[KEY_METRIC_ISC_MEAN])
