"""floor: held-out images ─▶ what real images score where generated ones are judged, once per data set.

A score depends on n, the size of a set: where a held-out split has fewer, there is no floor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.engine.stage import Bench
from ablations.metrics.judging import extractor_of, yardstick_of
from ablations.metrics.registry import metric_of
from ablations.metrics.sets import Examined
from ablations.settings.cell import Cell
from ablations.settings.identity import content_hash
from ablations.stages.samples import sets_asked
from ablations.stages.stage import Stage, finished_with


@dataclass(frozen=True)
class FloorStage(Stage):
    """The scores of held-out images where generated ones will be judged: once per data set, and per `metric` that is
    asked for besides."""

    id: str
    cell: Cell
    metric: str | None = None
    needs: tuple[str, ...] = ()
    kind = "floor"
    of_cell = False

    @property
    def judged(self) -> float:
        """Two sets: it knows no other's features."""
        return 2.0

    @property
    def doing(self) -> str:
        return "real images judged"

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        extractor = extractor_of(self.cell)
        yardstick = yardstick_of(self.cell, "test", data, device)
        splits, n = [data.images["validation"].to(device)], self.cell.evaluation.n
        metadata: dict[str, str] = {}
        if yardstick.held_out is not None:
            splits.append(data.images["test"].to(device))
            yardstick = replace(yardstick, held_out=Examined(torch.cat(splits), extractor))
        if extractor is not None:
            accuracy = {} if extractor.accuracy is None else {"accuracy": str(extractor.accuracy)}
            metadata = {"extractor": extractor.name, "digest": extractor.digest, **accuracy}
        sets = splits if n is None else [part for images in splits for part in torch.split(images, n) if len(part) == n]
        if not sets:
            return finished_with({}, **metadata)
        metric = self.metric
        scores = yardstick.default_scores(sets) if metric is None else yardstick.scores([metric_of(metric)], sets)
        return finished_with(scores, **metadata)


def floor_content(cell: Cell, digest: str, extractor: str | None) -> dict[str, Any]:
    """All that scoring held-out images reads."""
    return {"stage": "floor", "digest": digest, "extractor": extractor} | sets_asked(cell.evaluation, "test")


def floor_of(cell: Cell, digest: str, extractor: str | None) -> FloorStage:
    """The stage that scores held-out images."""
    return FloorStage(content_hash(floor_content(cell, digest, extractor)), cell)


def metric_floor_of(
    cell: Cell, digest: str, extractor: str | None, metric: str, described: dict[str, Any]
) -> FloorStage:
    """The stage that scores them by one more metric, which is called so and described so."""
    return FloorStage(content_hash(floor_content(cell, digest, extractor) | {"metric": described}), cell, metric)
