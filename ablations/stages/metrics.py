"""metric: generated sets ─▶ their scores by one more metric.        floor: held-out images ─▶ the score of real images.

Metrics that a cell's evaluation asks for by name, `evaluation.metrics`, are part neither of its id nor of the ids of
its other stages: a finished grid that is asked for one more metric is the same grid. Each is a stage of its own after
the samples that it reads, and so is its floor; the metrics that every cell has share a floor, once per data set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.engine.stage import Bench
from ablations.metrics.metric import FeatureSet, Metric
from ablations.metrics.registry import DEFAULT, is_for, metric_of, refuse_foreign
from ablations.metrics.scoring import against, reference_of, set_size
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HELD_OUT, HeldOut
from ablations.settings.registry import content_hash, describe
from ablations.stages.artifacts import SAMPLES, read_artifact
from ablations.stages.contents import sets_asked
from ablations.stages.stage import Stage, scores_of
from analysis.errors import InputError
from diffusion_core.refusing import choice_name


@dataclass(frozen=True, kw_only=True)
class MetricStage(Stage):
    """Generated sets judged by one more metric, whose values fill the column `fills`."""

    samples: str
    metric: str
    held_out: HeldOut
    fills: str
    kind = "metric"
    work = "samples judged"

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        tensors, _ = read_artifact(bench.journal.folder(self.samples), SAMPLES)
        size, metric = set_size(self.cell, self.held_out), metric_of(self.metric)
        sets = torch.split(tensors["samples"].to(device), size)
        labels = torch.split(tensors["labels"], size) if "labels" in tensors else None
        reference = reference_of(self.cell, self.held_out, data, device)
        return scores_of(reference.values([metric], sets, labels))


@dataclass(frozen=True, kw_only=True)
class FloorStage(Stage):
    """The scores of held-out images by the metrics that every cell has, or by one more `metric`.

    A score depends on n, the size of a set: where a held-out split has fewer images, there is no floor.
    """

    metric: str | None = None
    kind = "floor"
    work = "real images judged"

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        reference, n = reference_of(self.cell, "test", data, device), self.cell.evaluation.n
        extractor, names = reference.real.extractor, HELD_OUT[: 1 if reference.held_out is None else 2]
        splits = [data.images[split].to(device) for split in names]
        labels = [data.labels[split] for split in names] if data.labels.keys() >= set(names) else None
        if reference.held_out is not None:
            together = torch.cat(labels) if labels else None
            reference = replace(reference, held_out=FeatureSet(torch.cat(splits), extractor, together))
        sets, own = _of_size(n, splits), _of_size(n, labels) if labels else None
        metrics = reference.default if self.metric is None else [metric_of(self.metric)]
        values = reference.values(metrics, sets, own) if sets else {}
        accuracy = None if extractor is None else extractor.accuracy
        return scores_of(values, metadata={} if accuracy is None else {"accuracy": str(accuracy)})


def _of_size(n: int | None, splits: list[Tensor]) -> list[Tensor]:
    """The sets of `n` images that the splits contain, or the splits themselves where sets may have any size."""
    return splits if n is None else [part for split in splits for part in torch.split(split, n) if len(part) == n]


def floor_of(cell: Cell, digest: str, extractor: str | None, metric: str | None = None) -> FloorStage:
    """The stage that scores held-out images, by one more metric if it is named; `digest` is the data's, `extractor` the
    identity of its features."""
    content = {"stage": "floor", "digest": digest, "extractor": extractor} | sets_asked(cell.evaluation, "test")
    if metric is not None:
        content["metric"] = describe(metric_of(metric))
        if metric_of(metric).info.reads_labels:
            content["labels"] = cell.data.described().labels_digest
    return FloorStage(content_hash(content), cell, metric=metric)


def metric_floors(cells: Iterable[Cell], digest: str, extractor: str | None) -> list[FloorStage]:
    """The floors of the metrics that any of these cells, which share one data set, asks for."""
    wanted = {name: cell for cell in cells for name, metric in requested_metrics(cell).items() if metric.info.has_floor}
    return [floor_of(cell, digest, extractor, name) for name, cell in wanted.items()]


def metric_stages(cell: Cell, stages: Iterable[Stage]) -> list[MetricStage]:
    """The stages of the metrics that a cell asks for, after its own: one for each split whose samples are judged. Each
    needs all that the samples need, so that it is left out with them."""
    made, extractor = list[MetricStage](), cell.data.extractor
    for samples in (stage for stage in stages if stage.sets and not stage.rung):
        split = cast("HeldOut", samples.held_out)
        needs = (*samples.needs, samples.id)
        for name, metric in requested_metrics(cell).items():
            if split == "test" or not metric.info.reads_held_out:
                # The extractor is part of the samples' id.
                own = content_hash({"stage": "metric", "samples": samples.id, "metric": describe(metric)})
                n = samples.sets * set_size(cell, split)
                fills = metric.column(against(cell, split), extractor, n).name
                made.append(MetricStage(own, cell, needs, samples=needs[-1], metric=name, held_out=split, fills=fills))
    return made


def requested_metrics(cell: Cell) -> dict[str, Metric]:
    """The metrics asked for by name, without those that every cell has, and without those that read labels where
    samples have none."""
    metrics = {name: metric_of(name) for name in cell.evaluation.metrics}
    named = {name: metric for name, metric in metrics.items() if metric not in DEFAULT}
    return {name: metric for name, metric in named.items() if cell.told_labels or not metric.info.reads_labels}


def check(cells: Iterable[Cell]) -> None:
    """InputError where samples cannot be judged as cells ask: images without features, by a metric that does not exist
    or does not fit, or by labels where no cell has samples with some."""
    cells = list(cells)
    for cell in cells:
        plan, extractor = cell.evaluation, cell.data.extractor
        if plan.quality and extractor is None and cell.data.load().encoding.grey_levels:
            raise InputError(f"data={choice_name(cell.data)}: no features judge these: take evaluation.quality=[]")
        if plan.judged_rungs and extractor is None:
            raise InputError(
                f"evaluation.judged_rungs={plan.judged_rungs}: test points are read once, at the end: leave it out"
            )
        for name in plan.metrics:
            metric = metric_of(name)
            refuse_foreign(metric, name, extractor)
            if not is_for(metric, extractor, plan.reference):
                raise InputError(
                    f"{name} reads the test images, and evaluation.reference=test compares with them: leave one out"
                )
    for name in sorted({name for cell in cells for name in cell.evaluation.metrics}):
        if metric_of(name).info.reads_labels and not any(cell.told_labels for cell in cells):
            raise InputError(f"{name} reads the labels of samples, and these have none: take conditioning=class")
