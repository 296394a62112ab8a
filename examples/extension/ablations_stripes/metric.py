"""How straight the stripes of samples are: a score of one's own domain, which no feature extractor knows.

straightness = share of images whose rows, or whose columns, each vary by at most `TOLERANCE` grey levels
"""

from __future__ import annotations

from dataclasses import dataclass

from ablations.metrics.metric import Comparison, Metric, MetricInfo

TOLERANCE = 3


@dataclass(frozen=True)
class Straightness(Metric):
    """The share of generated images that are straight stripes."""

    info = MetricInfo(
        "Straight", "max", unit="share", digits=2, decides="straight stripes", of=("images",), compares=False
    )

    def compute(self, sets: Comparison) -> float:
        images = sets.generated.stored.int()
        along_rows, along_columns = ((images.amax(side) - images.amin(side)).flatten(1).amax(1) for side in (3, 2))
        straight = (along_rows <= TOLERANCE) | (along_columns <= TOLERANCE)
        return float(straight.double().mean())
