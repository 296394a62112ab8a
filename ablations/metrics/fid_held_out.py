"""FID against held-out images: of a model that copies its training images it is no better than of one that does not.

FID is taken against the training images, where there are most of them, and so is small for copies. This one has fewer
real images and more bias (O(1/n)); cells compare in it, and its level says little. It stands beside FID against the
training images, which a copier is told by; `evaluation.reference=test` holds all metrics against held-out images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ablations.metrics.fid import fid, statistics_of
from ablations.metrics.metric import Direction, Kind, Metric, Scale
from ablations.metrics.sets import Judged


@dataclass(frozen=True)
class FidHeldOut(Metric):
    """Fréchet distance of the features of generated and of held-out images."""

    label: ClassVar[str] = "FID, held-out"
    direction: ClassVar[Direction] = "min"
    digits: ClassVar[int | None] = 1
    scale: ClassVar[Scale] = "log"
    relevant: ClassVar[float | None] = 0.05
    least: ClassVar[float | None] = 0.0
    of: ClassVar[tuple[Kind, ...]] = ("images",)
    extracts: ClassVar[bool] = True
    compares: ClassVar[bool] = False
    reads_held_out: ClassVar[bool] = True
    has_floor: ClassVar[bool] = False

    def compute(self, judged: Judged) -> float:
        assert judged.held_out is not None, "a metric that reads held-out images is asked where there are some"
        return fid(judged.generated.once(statistics_of), judged.held_out.once(statistics_of))
