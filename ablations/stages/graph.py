"""The stages of a cell, in order, each run once however many cells need it.

A training that diverged on validation never reads test data. An autoencoder, which several cells may read, is judged on
test images unless it has diverged itself. A search reads no test data, and may score a training on its way, at rungs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from ablations.settings.budget import rungs
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HELD_OUT, HeldOut
from ablations.settings.guiding import guiding_cell
from ablations.settings.identity import content_hash
from ablations.stages.autoencoder import AutoencoderStage, autoencoder_content
from ablations.stages.bound import BoundStage, bound_content, parts_of_bound
from ablations.stages.branch import with_kin
from ablations.stages.fit import FitStage, fit_of
from ablations.stages.guidance import guidance_of
from ablations.stages.guide import kept_for_guidance
from ablations.stages.reconstruction import reconstruction_of
from ablations.stages.restore import Parts
from ablations.stages.rung import RungStage, judged_rung, rung_of
from ablations.stages.samples import SamplesStage, parts_of_samples, samples_content
from ablations.stages.stage import Stage
from ablations.stages.training import GuideStage, TrainingStage, training_content
from diffusion_core.averages import Tracked
from diffusion_core.precision import Precision

S = TypeVar("S", bound=Stage)


def stages_of(
    cell: Cell, digest: str, precision: Precision, extractor: str | None, *, early: bool = False
) -> list[Stage]:
    """The stages of a cell in order; `digest` is the data's, `extractor` the identity of its features. With `early`,
    samples are judged at the first rung even if the cell asks for none there: the first answer rests on them."""
    stages: list[Stage] = []
    parts = Parts("")
    if cell.space.encoded:
        parts = Parts(autoencoder := content_hash(autoencoder_content(cell, digest, precision)), None, autoencoder)
        stages.append(AutoencoderStage(autoencoder, cell))
    if cell.horizon:
        training = content_hash(training_content(cell, digest, precision))
        parts = replace(parts, training=training, fit=fit_of(cell, training))
        stage = TrainingStage(training, cell, parts.autoencoder, _ids(stages), kept=kept_for_guidance(cell))
        stages.append(with_kin(stage, digest, precision) if cell.training.rate == "wsd" else stage)
    if parts.fit is not None:
        stages.append(FitStage(parts.fit, cell, replace(parts, fit=None), _ids(stages)))
    guides, read = _guides(cell, parts, stages, (digest, precision, extractor))
    for split in HELD_OUT:
        stages += _scores(cell, parts, read, split, _ids(stages), extractor)
    stages = _after_guides(stages, guides)
    if parts.autoencoder is not None:
        stages.append(reconstruction_of(cell, parts.autoencoder, extractor))
    on_the_way = _rungs(cell, parts, stages, extractor, early=early)
    scored = tuple(rung for rung in on_the_way if not rung.before)
    branches = once(branch for rung in on_the_way for branch in rung.before)
    forks = frozenset(step for branch in branches for step in branch.forks)
    own = training_of(stages)
    leaving = (replace(own, scored=scored, forks=forks) if own and stage is own else stage for stage in stages)
    return [*leaving, *branches, *on_the_way]


def training_of(stages: Iterable[Stage]) -> TrainingStage | None:
    """The training among a cell's stages, which comes before its guide's; None for a chain of no steps."""
    return next((stage for stage in stages if isinstance(stage, TrainingStage)), None)


def _rungs(cell: Cell, parts: Parts, stages: Iterable[Stage], extractor: str | None, *, early: bool) -> list[RungStage]:
    """The rungs of a cell's training. There are none that read a fit, which belongs to the whole training, and none
    where the cell evaluates other weights than the average that is tracked during training."""
    training = training_of(stages)
    if training is None or not isinstance(cell.average, Tracked):
        return []
    plan = cell.evaluation
    steps = rungs(cell.training, plan.rungs)
    scored = cell.space.likelihood and parts_of_bound(cell, parts).fit is None
    rung_stages = [rung_of(training, step) for step in steps if scored]
    # Test images, where samples are held against them, are read once, when a training is over.
    judges = cell.data.extractor is not None and "test" in plan.quality and plan.reference != "test"
    # Nor is a guide there yet, but for the network itself without its label.
    guided = cell.guidance.guides and (cell.guidance.by != "class" or cell.guidance.scale == "auto")
    if judges and not guided and parts_of_samples(cell, parts).fit is None:
        asked = steps[-plan.judged_rungs :] if plan.judged_rungs else []
        judged = {*(steps[:1] if early else ()), *asked}
        rung_stages += [judged_rung(training, parts, step, extractor) for step in sorted(judged)]
    # Those that the training did not score on its way come after it, unless it has diverged.
    ended = [stage for stage in stages if stage.kind == "bound" and stage.validates]
    after = (*training.needs, training.id, *_ids(ended))
    return [rung.waiting_for(after) for rung in rung_stages]


def validated(stages: Iterable[Stage]) -> list[Stage]:
    """The stages of a cell that its values on validation rest on; they read no test data."""
    return [stage for stage in stages if stage.validates]


def _guides(
    cell: Cell, parts: Parts, before: list[Stage], here: tuple[str, Precision, str | None]
) -> tuple[list[Stage], Parts]:
    """The stages that a cell's samples wait for where they are guided, and what they read; `here` is as in
    `stages_of`."""
    read, stages, (digest, precision, extractor) = parts_of_samples(cell, parts), list[Stage](), here
    if not (cell.guidance.guides and cell.horizon):
        return stages, read
    if cell.guidance.by == "cell":
        guide = guiding_cell(cell)
        read = replace(read, guide=content_hash(training_content(guide, digest, precision)))
        stage = GuideStage(
            read.guide or "", guide, parts.autoencoder, _ids(s for s in before if s.kind == "autoencoder")
        )
        stages.append(with_kin(stage, digest, precision) if guide.training.rate == "wsd" else stage)
    if cell.guidance.scale == "auto":
        tuning = guidance_of(cell, read, extractor, _ids([*before, *stages]))
        read = replace(read, tuned=tuning.id)
        stages.append(tuning)
    return stages, read


def _after_guides(stages: list[Stage], guides: list[Stage]) -> list[Stage]:
    """The stages of a cell, with its samples after the stages that guide them; nothing else waits for those."""
    first = next((i for i, stage in enumerate(stages) if stage.kind == "samples"), len(stages))
    waiting = [s.needing((*s.needs, *_ids(guides))) if s.kind == "samples" else s for s in stages[first:]]
    return [*stages[:first], *guides, *waiting]


def _scores(
    cell: Cell, parts: Parts, read: Parts, split: HeldOut, needs: tuple[str, ...], extractor: str | None
) -> list[Stage]:
    """The bound on a split, where there is one, and the samples, where it is judged; samples `read` other parts."""
    stages: list[Stage] = []
    if cell.space.likelihood:
        of_bound = parts_of_bound(cell, parts)
        bound = content_hash(bound_content(cell, of_bound, split))
        stages.append(BoundStage(bound, cell, of_bound, split, needs))
    if split in cell.evaluation.quality:
        sets = cell.evaluation.first_sets
        samples = content_hash(samples_content(cell, read, split, extractor, sets))
        stages.append(SamplesStage(samples, cell, read, split, (*needs, *_ids(stages)), sets))
    return stages


def _ids(stages: Iterable[Stage]) -> tuple[str, ...]:
    return tuple(stage.id for stage in stages)


def once(stages: Iterable[S]) -> list[S]:
    """Every stage once, in order of first appearance. A shared stage waits only for what all its cells need; a training
    has the rungs of all its cells scored, and leaves all their forks."""
    by_id: dict[str, S] = {}
    for stage in stages:
        earlier = by_id.setdefault(stage.id, stage)
        merged = earlier.needing(tuple(need for need in earlier.needs if need in stage.needs))
        if isinstance(merged, TrainingStage) and isinstance(stage, TrainingStage):
            scored = {rung.id: rung for rung in (*merged.scored, *stage.scored)}
            kin = tuple(dict.fromkeys((*merged.kin, *stage.kin)))
            forks, kept = merged.forks | stage.forks, merged.kept | stage.kept
            merged = replace(merged, scored=tuple(scored.values()), kin=kin, forks=forks, kept=kept)
        by_id[stage.id] = merged
    return list(by_id.values())
