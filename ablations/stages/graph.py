"""The stages of a cell at one seed, in order, each run once however many cells need it.

A training that diverged on validation never reads test data. An autoencoder is judged on test images unless it has
diverged itself. A rung is scored once its segment has ended, and reads no test data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ablations.settings import budget
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HELD_OUT
from ablations.settings.guiding import guiding_cell, rung_step
from ablations.settings.registry import content_hash
from ablations.stages.autoencoder import AutoencoderImport, AutoencoderStage, autoencoder_content, reconstruction_of
from ablations.stages.bound import BoundStage, FitStage
from ablations.stages.contents import bound_content, fit_of, parts_read, samples_content
from ablations.stages.samples import SamplesStage, guidance_of
from ablations.stages.shares import with_shares
from ablations.stages.stage import Parts, Stage, in_order
from ablations.stages.training import GuideStage, TrainingStage, linked, segment_of, segments_of
from diffusion_core.averages import Tracked
from diffusion_core.precision import Precision


def parts_of(cell: Cell, digest: str, precision: Precision) -> Parts:
    """The stages that hold what a cell learned, and what guides its samples but for a scale that is tuned; `digest` is
    the data's."""
    autoencoder = content_hash(autoencoder_content(cell, digest, precision)) if cell.space.encoded else None
    if not cell.horizon:
        return Parts(autoencoder or "", None, autoencoder)
    training, guide = segment_of(cell, digest, precision).id, None
    if cell.guidance.guides and cell.guidance.by == "cell":
        guide = segment_of(guiding_cell(cell), digest, precision).id
    if cell.guidance.guides and cell.guidance.by == "rung":
        guide = segment_of(cell, digest, precision, until=rung_step(cell)).id
    return Parts(training, fit_of(cell, training), autoencoder, guide)


def stages_of(
    cell: Cell,
    digest: str,
    precision: Precision,
    extractor: str | None,
    rungs: Sequence[int] | None = None,
    shares: int = 1,
) -> list[Stage]:
    """The stages of a cell in order; `digest` is the data's, `extractor` the identity of its features. The bound is
    taken at the steps `rungs`, or where the cell asks for it, and there samples may be judged too. At the end both are
    computed in so many `shares`."""
    parts, stages = parts_of(cell, digest, precision), list[Stage]()
    if parts.autoencoder is not None:
        kind = AutoencoderImport if cell.space.pretrained else AutoencoderStage
        stages.append(kind(parts.autoencoder, cell))
    scored, judged = (tuple(rungs), ()) if rungs is not None and cell.horizon else asked_rungs(cell, parts)
    kept = [rung_step(cell)] if cell.guidance.guides and cell.guidance.by == "rung" else []
    trains = cell.horizon and not cell.imported
    late = budget.checkpoints(cell.training, cell.evaluation.checkpoints) if trains else []
    steps = {*scored, *judged, *kept, *late}
    segments = segments_of(cell, digest, precision, parts.autoencoder, steps) if cell.horizon else []
    stages += segments
    ends_at = {segment.rung: segment.id for segment in segments}
    checkpoints = tuple(ends_at[step] for step in late)
    needs = tuple(dict.fromkeys(filter(None, (parts.autoencoder, parts.training))))
    if parts.fit is not None:
        stages.append(FitStage(parts.fit, cell, needs, parts=replace(parts, fit=None)))
        needs = (*needs, parts.fit)
    read, guides = parts_read(cell, parts, cell.sampler.steps, cell.sampler.reads_variance), list[Stage]()
    guiding = () if read.guide is None else (read.guide,)
    if guiding and cell.guidance.by == "cell":
        guides.append(GuideStage(**vars(segment_of(guiding_cell(cell), digest, precision, parts.autoencoder))))
    if cell.guidance.guides and cell.horizon and cell.guidance.scale == "auto":
        guides.append(guidance_of(cell, read, extractor, (*needs, *guiding)))
        read, guiding = replace(read, tuned=guides[-1].id), (*guiding, guides[-1].id)
    for split in HELD_OUT:
        if cell.space.likelihood:
            of_bound = parts_read(cell, parts, cell.evaluation.horizon)
            bound = content_hash(bound_content(cell, of_bound, split))
            stages += with_shares(BoundStage(bound, cell, needs, parts=of_bound, held_out=split), shares)
            needs = (*needs, bound)
        if split in cell.evaluation.quality:
            sets = cell.evaluation.drawn_sets
            content = samples_content(cell, read, split, extractor, sets)
            samples = content_hash(content | ({"checkpoints": checkpoints} if checkpoints else {}))
            own: dict[str, Any] = {"parts": read, "held_out": split, "sets": sets, "checkpoints": checkpoints}
            drawn = SamplesStage(samples, cell, (*needs, *guiding, *checkpoints), **own)
            stages += [*guides, *with_shares(drawn, shares)]
            guides, needs = [], (*needs, samples)
    if parts.autoencoder is not None:
        stages.append(reconstruction_of(cell, parts.autoencoder, extractor))
    # With `rate=wsd` finished trainings are scored, and not the trunk.
    ends = [segment for segment in segments if segment.on_the_way == (cell.training.rate != "wsd")]
    stages += [_at_rung(end, cell, parts, extractor, judged=False) for end in ends if end.rung in scored]
    return stages + [_at_rung(end, cell, parts, extractor, judged=True) for end in ends if end.rung in judged]


def asked_rungs(cell: Cell, parts: Parts) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The steps at which a cell asks for the bound, and for samples. There are none where that reads a fit, which
    belongs to the whole training, nor where the cell evaluates other weights than the average that is tracked."""
    plan = cell.evaluation
    if not cell.horizon or not isinstance(cell.average, Tracked) or cell.imported:
        return (), ()
    steps = tuple(budget.rungs(cell.training, plan.rungs))
    scored = cell.space.likelihood and parts_read(cell, parts, plan.horizon).fit is None
    # Test images, where samples are held against them, are read once, when a training is over.
    judged = cell.data.extractor is not None and "test" in plan.quality and plan.reference != "test"
    # Nor is a guide there yet, but for the network itself without its label.
    guided = cell.guidance.guides and (cell.guidance.by != "class" or cell.guidance.scale == "auto")
    fitted = parts_read(cell, parts, cell.sampler.steps, cell.sampler.reads_variance).fit is not None
    judged = judged and not guided and not fitted
    return steps if scored else (), steps[-plan.judged_rungs :] if judged and plan.judged_rungs else ()


def _at_rung(segment: TrainingStage, cell: Cell, parts: Parts, extractor: str | None, judged: bool) -> Stage:
    """The score at a rung: of samples where they are judged, else the bound, of fewer draws and of the average that is
    tracked."""
    read, needs = Parts(parts.training if segment.on_the_way else segment.id), (parts.autoencoder, segment.id)
    own: dict[str, Any] = {"needs": tuple(filter(None, needs)), "rung": segment.rung}
    own["parts"], mark = Parts(segment.id, None, parts.autoencoder), {"stage": "rung", "step": segment.rung}
    if judged:
        content = samples_content(cell, read, "test", extractor, 1) | mark
        return SamplesStage(content_hash(content), cell, held_out="test", sets=1, **own)
    scored = replace(cell, evaluation=cell.evaluation.at_rung, average=Tracked())
    content = bound_content(scored, read, "validation") | mark
    return BoundStage(content_hash(content), scored, held_out="validation", **own)


def unique(stages: Iterable[Stage]) -> list[Stage]:
    """Every stage once, each after those that it needs. A shared stage waits only for what all its cells need; the
    segments of a training that cells cut differently are one chain."""
    by_id: dict[str, Stage] = {}
    for stage in stages:
        earlier = by_id.setdefault(stage.id, stage)
        needs = tuple(need for need in earlier.needs if need in stage.needs)
        by_id[stage.id] = replace(earlier, needs=needs, rung=min(earlier.rung, stage.rung))
    trainings = [stage for stage in by_id.values() if isinstance(stage, TrainingStage)]
    by_id |= {stage.id: stage for stage in linked(trainings)}
    return in_order(by_id.values(), by_id.values())
