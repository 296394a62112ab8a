"""The metrics that a cell's evaluation asks for by name, `evaluation.metrics`, beside those that every cell has.

They are part neither of a cell's id nor of the ids of its other stages: a finished grid that is asked for one more
metric is the same grid. Each is a stage of its own after the samples that it reads, and so is its floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ablations.metrics.extractors import architecture_of
from ablations.metrics.judging import against, set_size
from ablations.metrics.metric import Metric
from ablations.metrics.registry import DEFAULT, is_for, metric_of, refuse_foreign
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut
from ablations.settings.registry import describe
from ablations.stages.floor import FloorStage, metric_floor_of
from ablations.stages.metric import MetricStage, metric_of_samples
from ablations.stages.stage import Stage
from analysis.errors import InputError
from diffusion_core.named import choice_name


def check(cell: Cell) -> None:
    """InputError where samples cannot be judged as the cell asks.

    That is where images without features are to be judged; where a metric does not exist, does not fit the cell's data
    or its reference, or cannot score so few samples; or where samples during training would have to be judged on test
    data.
    """
    judged = cell.evaluation.quality or cell.evaluation.judged_rungs
    if judged and cell.data.extractor is None and cell.data.load().encoding.grey_levels:
        raise InputError(
            f"data={choice_name(cell.data)}: no features are known to judge these images by: take "
            "evaluation.quality=[] evaluation.judged_rungs=0, for the likelihood alone"
        )
    if cell.evaluation.judged_rungs and cell.data.extractor is None:
        raise InputError(
            f"evaluation.judged_rungs={cell.evaluation.judged_rungs}: samples of points are held against test points, "
            "which are read once, when a training is over: leave it out (evaluation.rungs=… takes the bound)"
        )
    for name in cell.evaluation.metrics:
        metric = metric_of(name)
        refuse_foreign(metric, name, cell.data.extractor)
        if not is_for(metric, cell.data.extractor, cell.evaluation.reference):
            raise InputError(
                f"{name} reads the test images beside the training images, and evaluation.reference=test holds samples "
                "against the test images themselves: leave one of them out"
            )
        _refuse_few(metric, name, cell)


def _refuse_few(metric: Metric, name: str, cell: Cell) -> None:
    """InputError where a cell's sets are too small for a metric, before they are drawn."""
    width = architecture_of(cell.data.extractor).width if cell.data.extractor else math.prod(cell.data.load().shape)
    least = metric.fewest(width)
    if least == 1:
        return
    size = min(set_size(cell, split, cell.data.load()) for split in cell.evaluation.quality)
    if size < least:
        raise InputError(
            f"{name} of {width} features needs sets of at least {least}, got {size}: take evaluation.n={least}"
        )


def check_labels(cells: Iterable[Cell]) -> None:
    """InputError where a metric that reads labels is asked for, and no cell has samples with labels."""
    cells = list(cells)
    wanted = {name for cell in cells for name in cell.evaluation.metrics if metric_of(name).reads_labels}
    for name in sorted(wanted.difference(*map(asked, cells))):
        raise InputError(f"{name} reads the labels of samples, and these have none: take conditioning=class")


def asked(cell: Cell) -> dict[str, Metric]:
    """The metrics asked for by name, without those that every cell has, and without those that read labels where
    samples have none."""
    metrics = {name: metric_of(name) for name in cell.evaluation.metrics}
    named = {name: metric for name, metric in metrics.items() if metric not in DEFAULT}
    return {name: metric for name, metric in named.items() if cell.told_labels or not metric.reads_labels}


def metric_stages(cell: Cell, stages: Iterable[Stage]) -> list[MetricStage]:
    """The stages of the metrics asked for, after those of a cell: one for each metric and each split whose samples are
    judged."""
    return [
        metric_of_samples(samples, name, describe(metric), _column(metric, samples.cell, samples.held_out))
        for samples in stages
        if samples.drawn and samples.held_out
        for name, metric in asked(cell).items()
        if samples.held_out == "test" or not metric.reads_held_out
    ]


def _column(metric: Metric, cell: Cell, split: HeldOut) -> str:
    return metric.column(against(cell, split), cell.data.extractor).name


def metric_floors(cells: Iterable[Cell], digest: str, extractor: str | None) -> list[FloorStage]:
    """The stages that score held-out data by the metrics that any of these cells asks for; the cells share one data
    set. `extractor` is the identity of its features."""
    wanted = {name: (metric, cell) for cell in cells for name, metric in asked(cell).items() if metric.has_floor}
    return [metric_floor_of(cell, digest, extractor, name, describe(metric)) for name, (metric, cell) in wanted.items()]
