"""Which stages a cell has, in order, each needed once however many cells ask for it.

What has diverged on validation never reads test data; an autoencoder, which more than one cell may read, is judged on
test images once it has not diverged itself. A search reads no test data, and may score a training on its way, at rungs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ablations.data.base import Data
from ablations.settings.budget import bound_passes, rungs, sample_passes, training_passes
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HELD_OUT, HeldOut
from ablations.settings.identity import content_hash
from ablations.stages.contents import (
    autoencoder_content,
    bound_content,
    fit_of,
    floor_content,
    metric_content,
    parts_of_bound,
    parts_of_samples,
    samples_content,
    training_content,
)
from ablations.stages.kinds import (
    AutoencoderStage,
    BoundStage,
    FitStage,
    FloorStage,
    MetricStage,
    Parts,
    ReconstructionStage,
    RungStage,
    SamplesStage,
    Stage,
    TrainingStage,
)
from diffusion_core.precision import Precision
from diffusion_core.spaces import Latents


def stages_of(
    cell: Cell, digest: str, precision: Precision, extractor: str | None, *, early: bool = False
) -> list[Stage]:
    """The stages of a cell in order; `digest` is the data's, `extractor` its features' identity.

    It is judged `early`, at its first rung without being asked to, where the first answer rests on it.
    """
    stages: list[Stage] = []
    parts = Parts("")
    if cell.space.encoded:
        parts = Parts(autoencoder := content_hash(autoencoder_content(cell, digest, precision)), None, autoencoder)
        stages.append(AutoencoderStage(autoencoder, cell))
    if cell.horizon:
        training = content_hash(training_content(cell, digest, precision))
        parts = replace(parts, training=training, fit=fit_of(cell, training))
        stages.append(TrainingStage(training, cell, parts.autoencoder, _ids(stages)))
    if parts.fit is not None:
        stages.append(FitStage(parts.fit, cell, replace(parts, fit=None), _ids(stages)))
    for split in HELD_OUT:
        stages += _scores(cell, parts, split, _ids(stages), extractor)
    if parts.autoencoder is not None:
        judge = extractor if "test" in cell.evaluation.quality else None
        content = {"stage": "reconstruction", "autoencoder": parts.autoencoder, "extractor": judge}
        stages.append(ReconstructionStage(content_hash(content), cell, parts.autoencoder, (parts.autoencoder,)))
    on_the_way = _rungs(cell, parts, stages, extractor, early=early)
    scored = tuple(on_the_way)
    return [*(replace(one, scored=scored) if isinstance(one, TrainingStage) else one for one in stages), *on_the_way]


def _rungs(cell: Cell, parts: Parts, stages: Iterable[Stage], extractor: str | None, *, early: bool) -> list[RungStage]:
    """The rungs of a cell's training; none of what reads a fit, which is of the whole training."""
    training = next((stage for stage in stages if isinstance(stage, TrainingStage)), None)
    if training is None:
        return []
    steps = rungs(cell.training, cell.evaluation.rungs)
    scored = cell.space.likelihood and parts_of_bound(cell, parts).fit is None
    found = [rung_of(training, step) for step in steps if scored]
    judges = cell.data.extractor is not None and "test" in cell.evaluation.quality
    if judges and parts_of_samples(cell, parts).fit is None:
        asked = steps[-cell.evaluation.judged_rungs :] if cell.evaluation.judged_rungs else []
        judged = {*(steps[:1] if early else ()), *asked}
        found += [_judged_rung(training, parts, step, extractor) for step in sorted(judged)]
    # Those that the training did not score on its way come after it, unless it has diverged.
    ended = [stage for stage in stages if isinstance(stage, BoundStage) and stage.split == "validation"]
    return [replace(rung, needs=(*rung.needs, training.id, *_ids(ended))) for rung in found]


def _judged_rung(training: TrainingStage, parts: Parts, step: int, extractor: str | None) -> RungStage:
    """The stage that judges a set of samples of a training's network at a step."""
    content = samples_content(training.cell, replace(parts, fit=None), "test", extractor, 1)
    known = content_hash(content | {"stage": "rung", "step": step})
    return RungStage(known, training.cell, training, step, training.needs, "samples")


def validated(stages: Iterable[Stage]) -> list[Stage]:
    """Those of a cell's stages that its values on validation rest on: no test data is read."""
    return [
        stage
        for stage in stages
        if isinstance(stage, (AutoencoderStage, TrainingStage, FitStage))
        or (isinstance(stage, (BoundStage, SamplesStage, MetricStage)) and stage.split == "validation")
    ]


def rung_of(training: TrainingStage, step: int) -> RungStage:
    """The stage that scores a training at a step, and takes it there where it has not been."""
    cell = replace(training.cell, evaluation=training.cell.evaluation.at_rung)
    content = bound_content(cell, Parts(training.id, None, training.autoencoder), "validation")
    return RungStage(
        content_hash(content | {"stage": "rung", "step": step}), training.cell, training, step, training.needs
    )


def _scores(cell: Cell, parts: Parts, split: HeldOut, needs: tuple[str, ...], extractor: str | None) -> list[Stage]:
    """The bound on a split where there is one, and the samples where it is judged."""
    stages: list[Stage] = []
    if cell.space.likelihood:
        read = parts_of_bound(cell, parts)
        bound = content_hash(bound_content(cell, read, split))
        stages.append(BoundStage(bound, cell, read, split, needs))
    if split in cell.evaluation.quality:
        read, sets = parts_of_samples(cell, parts), cell.evaluation.first_sets
        samples = content_hash(samples_content(cell, read, split, extractor, sets))
        stages.append(SamplesStage(samples, cell, read, split, (*needs, *_ids(stages)), sets))
    return stages


def more_sets(stages: Iterable[Stage], extractor: str | None, sets: int) -> list[SamplesStage]:
    """The stages that draw what a cell lacks to so many sets, twice as many by each, after the first sets."""
    found = []
    for first in [stage for stage in stages if isinstance(stage, SamplesStage) and stage.first == 0]:
        drawn, needs = first.sets, (*first.needs, first.id)
        while drawn < sets:
            content = samples_content(first.cell, first.parts, first.split, extractor, drawn, drawn)
            found.append(replace(first, id=content_hash(content), needs=needs, sets=drawn, first=drawn))
            drawn *= 2
    return found


def _ids(stages: Iterable[Stage]) -> tuple[str, ...]:
    return tuple(stage.id for stage in stages)


def once(stages: Iterable[Stage]) -> list[Stage]:
    """Every stage once, in order of first appearance; a shared one waits for what all its cells need alike, and a
    training has all of their rungs scored."""
    found: dict[str, Stage] = {}
    for stage in stages:
        known = found.setdefault(stage.id, stage)
        merged = replace(known, needs=tuple(need for need in known.needs if need in stage.needs))
        if isinstance(merged, TrainingStage) and isinstance(stage, TrainingStage):
            scored = {rung.id: rung for rung in (*merged.scored, *stage.scored)}
            merged = replace(merged, scored=tuple(scored.values()))
        found[stage.id] = merged
    return list(found.values())


def floor_of(cell: Cell, digest: str, extractor: str | None) -> FloorStage:
    """The stage that scores held-out images."""
    return FloorStage(content_hash(floor_content(digest, extractor)), cell)


def metric_floor_of(
    cell: Cell, digest: str, extractor: str | None, metric: str, described: dict[str, Any]
) -> FloorStage:
    """The stage that scores them by one more metric, which is called so and described so."""
    return FloorStage(content_hash(floor_content(digest, extractor) | {"metric": described}), cell, metric)


def metric_of_samples(samples: SamplesStage, metric: str, described: dict[str, Any], column: str) -> MetricStage:
    """The stage that judges samples by one more metric.

    It needs all that they need, so that it is left out with them.
    """
    return MetricStage(
        content_hash(metric_content(samples.id, described)),
        samples.cell,
        samples.id,
        metric,
        column,
        samples.split,
        (*samples.needs, samples.id),
    )


def work(stage: Stage, data: Data) -> float:
    """Forward passes of one example that a stage takes, a backward pass counting two: the unit of time estimates."""
    cell, plan = stage.cell, stage.cell.evaluation
    if isinstance(stage, AutoencoderStage):
        assert isinstance(cell.space, Latents), "the data themselves need no autoencoder"
        return float(3 * cell.space.steps * cell.space.batch)
    if isinstance(stage, TrainingStage):
        return float(training_passes(cell) * cell.training.steps * cell.training.batch)
    if isinstance(stage, RungStage) and stage.leads:
        return float(training_passes(cell) * stage.step * cell.training.batch)
    if isinstance(stage, FitStage):
        return float(cell.horizon * plan.fit)
    if isinstance(stage, (FloorStage, ReconstructionStage, MetricStage)):
        return 0.0
    if isinstance(stage, RungStage):
        if stage.scores == "bound":
            scored = replace(cell, evaluation=plan.at_rung)
            return float(len(data.images["validation"]) * bound_passes(scored)[0])
        return float(len(data.images["test"]) * sample_passes(cell))
    held_out = len(data.images[stage.split])
    if isinstance(stage, BoundStage):
        return float(held_out * sum(bound_passes(cell)))
    return float(stage.sets * held_out * sample_passes(cell))
