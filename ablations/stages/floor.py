"""floor: held-out images ─▶ the score of real images under the metrics that judge samples, once per data set.

A score depends on n, the size of a set: where a held-out split has fewer images, there is no floor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.engine.stage import Bench
from ablations.metrics.judging import extractor_of, yardstick_of
from ablations.metrics.registry import metric_of
from ablations.metrics.sets import Examined
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HELD_OUT
from ablations.settings.identity import content_hash
from ablations.stages.samples import sets_asked
from ablations.stages.stage import Stage, finished_with


@dataclass(frozen=True)
class FloorStage(Stage):
    """The scores of held-out images, by the metrics that judge samples: once per data set, and once per further
    `metric` that is asked for."""

    id: str
    cell: Cell
    metric: str | None = None
    needs: tuple[str, ...] = ()
    kind = "floor"
    of_cell = False
    doing = "real images judged"

    @property
    def judged(self) -> float:
        """Two sets: it has no features of another stage to use."""
        return 2.0

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        extractor = extractor_of(self.cell)
        yardstick = yardstick_of(self.cell, "test", data, device)
        names, n = HELD_OUT[: 1 if yardstick.held_out is None else 2], self.cell.evaluation.n
        splits = [data.images[split].to(device) for split in names]
        labels = [data.labels[split] for split in names] if data.labels.keys() >= set(names) else None
        metadata: dict[str, str] = {}
        if yardstick.held_out is not None:
            together = torch.cat(labels) if labels else None
            yardstick = replace(yardstick, held_out=Examined(torch.cat(splits), extractor, together))
        if extractor is not None:
            accuracy = {} if extractor.accuracy is None else {"accuracy": str(extractor.accuracy)}
            metadata = {"extractor": extractor.name, "digest": extractor.digest, **accuracy}
        sets = _of_size(n, splits)
        if not sets:
            return finished_with({}, **metadata)
        if self.metric is None:
            return finished_with(yardstick.default_scores(sets), **metadata)
        own = _of_size(n, labels) if labels else None
        return finished_with(yardstick.scores([metric_of(self.metric)], sets, own), **metadata)


def _of_size(n: int | None, splits: list[Tensor]) -> list[Tensor]:
    """The sets of `n` images that the splits contain, or the splits themselves where sets may have any size."""
    return splits if n is None else [part for split in splits for part in torch.split(split, n) if len(part) == n]


def floor_content(cell: Cell, digest: str, extractor: str | None) -> dict[str, Any]:
    """Everything that scoring held-out images reads."""
    return {"stage": "floor", "digest": digest, "extractor": extractor} | sets_asked(cell.evaluation, "test")


def floor_of(cell: Cell, digest: str, extractor: str | None) -> FloorStage:
    """The stage that scores held-out images."""
    return FloorStage(content_hash(floor_content(cell, digest, extractor)), cell)


def metric_floor_of(
    cell: Cell, digest: str, extractor: str | None, metric: str, described: dict[str, Any]
) -> FloorStage:
    """The stage that scores them by one more metric, with this name and description."""
    content = floor_content(cell, digest, extractor) | {"metric": described}
    if metric_of(metric).reads_labels:
        content["labels"] = cell.data.described().labels_digest
    return FloorStage(content_hash(content), cell, metric)
