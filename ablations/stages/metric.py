"""metric: generated sets ─▶ their scores by one more metric."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.engine.stage import Bench
from ablations.metrics.judging import set_size, yardstick_of
from ablations.metrics.registry import metric_of
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut
from ablations.settings.identity import content_hash
from ablations.stages.artifacts import SAMPLES, read_artifact
from ablations.stages.stage import Stage, finished_with


@dataclass(frozen=True)
class MetricStage(Stage):
    """Generated sets judged by one more metric, whose values fill this `column`."""

    id: str
    cell: Cell
    samples: str
    metric: str
    column: str
    split: HeldOut
    needs: tuple[str, ...]
    kind = "metric"
    besides = True

    @property
    def judged(self) -> float:
        return float(self.cell.evaluation.first_sets)

    @property
    def held_out(self) -> HeldOut:
        return self.split

    @property
    def fills(self) -> str:
        return self.column

    @property
    def measures(self) -> str:
        return self.column

    @property
    def doing(self) -> str:
        return f"judged by {self.metric}"

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        tensors, _ = read_artifact(bench.journal.folder(self.samples), SAMPLES)
        size, metric = set_size(self.cell, self.split, data), metric_of(self.metric)
        sets = torch.split(tensors["samples"].to(device), size)
        labels = torch.split(tensors["labels"], size) if "labels" in tensors else None
        yardstick = yardstick_of(self.cell, self.split, data, device)
        result = finished_with(yardstick.scores([metric], sets, labels))
        by_class = yardstick.by_class(metric, sets, labels) if labels else {}
        curve = list(map(float, by_class)), list(by_class.values())
        return replace(result, curves={f"{self.column}/by_class": curve} if by_class else {})


def metric_content(samples: str, metric: dict[str, Any]) -> dict[str, Any]:
    """Everything that one more metric of samples reads, with its description; the extractor is part of the samples'
    id."""
    return {"stage": "metric", "samples": samples, "metric": metric}


def metric_of_samples(samples: Stage, metric: str, described: dict[str, Any], column: str) -> MetricStage:
    """The stage that judges samples by one more metric. It needs all that they need, so that it is left out with
    them."""
    assert samples.held_out is not None, "samples are judged on a split"
    return MetricStage(
        content_hash(metric_content(samples.id, described)),
        samples.cell,
        samples.id,
        metric,
        column,
        samples.held_out,
        (*samples.needs, samples.id),
    )
