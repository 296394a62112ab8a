"""samples: weights, fit ─▶ generated sets and their scores.

It reads a training, the sampler, and its fit where the sampler reads σ² or the spacing of its steps is fitted. Cells
that differ only in how the bound is taken share it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.engine.stage import Bench, Progress
from ablations.metrics.judging import set_size, yardstick_of
from ablations.metrics.registry import DEFAULT
from ablations.settings.budget import sample_passes
from ablations.settings.cell import Cell
from ablations.settings.choices import choices_of
from ablations.settings.evaluation import Evaluation, HeldOut
from ablations.settings.guiding import guide_passes
from ablations.settings.identity import content_hash, described
from ablations.stages.artifacts import SAMPLES, SHOWN, write_artifact
from ablations.stages.fit import chain_content, spaced_by_fit
from ablations.stages.guide import Guided, flops_of_sample, guidance_content, load_guided, sampled, settled
from ablations.stages.restore import Model, Parts, labels_of_samples, remark_on_fit
from ablations.stages.stage import Stage, finished_with
from diffusion_core.precision import resolve_precision
from diffusion_core.vae import Vae


@dataclass(frozen=True)
class SamplesStage(Stage):
    """Samples of a trained network, judged: `sets` sets from number `first` on, each of the size that is asked for. A
    cell and seed have the same sets however many are drawn."""

    id: str
    cell: Cell
    parts: Parts
    split: HeldOut
    needs: tuple[str, ...]
    sets: int
    first: int = 0
    kind = "samples"
    passes = "sampling"
    doing = "drawing samples"

    @property
    def held_out(self) -> HeldOut:
        return self.split

    @property
    def drawn(self) -> int:
        return self.sets

    @property
    def shows(self) -> bool:
        return self.first == 0

    @property
    def judged(self) -> float:
        return float(self.sets)

    def work(self, data: Data) -> float:
        return float(self.sets * set_size(self.cell, self.split, data) * passes_of_sample(self.cell))

    def bytes_left(self, data: Data, parameters: int) -> int:
        return self.sets * set_size(self.cell, self.split, data) * math.prod(data.shape)

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """Draw, judge and keep the sets."""
        cell = settled(self.cell, bench.journal, self.parts)
        model = load_guided(cell, data, bench.journal, self.parts, device)
        began, n = time.monotonic(), set_size(cell, self.split, data)
        first = n * self.first
        samples = draw_samples(cell, model, n * self.sets, bench.progress, first=first)
        if samples is None:
            return Result("diverged", "the samples are not finite", {}, {}, {})
        seconds = time.monotonic() - began
        labels = labels_of_samples(cell, data, first + n * self.sets)
        kept_labels = {} if labels is None else {"labels": labels[first:]}
        write_artifact(bench.folder, SAMPLES, {"samples": samples, **kept_labels})
        metrics = yardstick_of(cell, self.split, data, samples.device).default_scores(torch.split(samples, n))
        costs = {"cost/sample_seconds": seconds, "cost/sample_flops": flops_of_sample(cell, model)}
        return finished_with({**costs, **metrics}, remark_on_fit(cell, bench.journal, self.parts))


def passes_of_sample(cell: Cell) -> int:
    """The passes that one sample takes, its guide's included."""
    return sample_passes(cell) + guide_passes(cell)


def deciding_scores(cell: Cell, model: Model, data: Data, folder: Path, progress: Progress) -> dict[str, float]:
    """The scores of a set of samples by the metrics that decide; none where samples are not finite. No test image is
    read: samples are compared with training images. The first samples are kept, to be looked at."""
    samples = draw_samples(cell, model, set_size(cell, "test", data), progress)
    if samples is None:
        return {}
    write_artifact(folder, SAMPLES, {"samples": samples[:SHOWN]})
    yardstick = yardstick_of(cell, "test", data, samples.device)
    metrics = [metric for metric in DEFAULT if metric.decides is not None and metric.extracts]
    return yardstick.scores(metrics, [samples], spread=lambda _: False)


def draw_samples(
    cell: Cell, model: Model | Guided, n: int, progress: Progress, first: int = 0, label: int | None = None
) -> Tensor | None:
    """Samples `first`..`first + n` as stored values, by the cell's sampler, seed and precision; None where they are
    not finite. Where the network is told labels, the samples are of all classes by their shares, or of the class
    `label`."""
    model = sampled(cell, model, labels_of_samples(cell, cell.data.load(), first + n, label))
    if isinstance(model, Vae):
        x = model.sample(n, seed=cell.seed, first=first)
    else:
        precision = resolve_precision(cell.training.precision, model.device)
        with model.network_in(precision, captured=cell.training.captured):
            x = cell.sampler.sample(model, n, seed=cell.seed, first=first, progress=progress)
    return model.encoding.decode(x) if bool(x.isfinite().all()) else None


def parts_of_samples(cell: Cell, parts: Parts) -> Parts:
    """The parts of a cell that sampling reads; it may not need σ²."""
    fitted = cell.variance.fitted and cell.sampler.reads_variance
    return parts if fitted or spaced_by_fit(cell, cell.sampler.steps) else replace(parts, fit=None)


def samples_content(
    cell: Cell, parts: Parts, split: HeldOut, extractor: str | None, sets: int, first: int = 0
) -> dict[str, Any]:
    """Everything that drawing and judging so many sets reads; `parts` are those of `parts_of_samples`."""
    description, plan = described(cell), cell.evaluation
    content: dict[str, Any] = {"stage": "samples", "training": parts.training, "split": split}
    content |= {"sets": sets, "extractor": extractor} | ({"first": first} if first else {}) | sets_asked(plan, split)
    if cell.horizon == 0:
        return content | {"seed": cell.seed}
    content |= {"clip": plan.clip, "sampler": description["sampler"]}
    if cell.sampler.between_times and not choices_of(cell).knows_between:
        # Before, its network was asked at times that it does not know.
        content["asked"] = "at known times"
    content |= guidance_content(cell, parts)
    return content | chain_content(cell, parts, cell.sampler.steps, reads_variance=cell.sampler.reads_variance)


def sets_asked(plan: Evaluation, split: HeldOut) -> dict[str, Any]:
    """The size of sets and their reference, where the cell asks for them."""
    reference = plan.reference if split == "test" else None
    return {name: value for name, value in (("n", plan.n), ("reference", reference)) if value is not None}


def more_sets(stages: Iterable[Stage], extractor: str | None, sets: int) -> list[SamplesStage]:
    """The stages that draw the sets missing up to `sets`, after the first sets; each doubles their number."""
    more = []
    for first in [stage for stage in stages if isinstance(stage, SamplesStage) and stage.first == 0]:
        drawn, needs = first.sets, (*first.needs, first.id)
        while drawn < sets:
            content = samples_content(first.cell, first.parts, first.split, extractor, drawn, drawn)
            more.append(replace(first, id=content_hash(content), needs=needs, sets=drawn, first=drawn))
            drawn *= 2
    return more
