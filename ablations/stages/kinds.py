"""Cells to stages: content-addressed units of work, each needed once however many cells ask for it.

    [autoencoder] ▸ training ▸ [fit] ▸ bound on validation ▸ [samples] ▸ bound on test ▸ [samples] ▸ [reconstruction]

The autoencoder is that of latents, and its reconstructions of test images are judged at last; a chain of no steps has
no training, and a code without a likelihood no bound. The fit is of a fitted variance, and samples are drawn where the
split is judged. A search reads no test data, and may score a training on its way, at rungs. A stage's id is a hash of
what it reads, so cells share what they do not differ in:

    autoencoder   cells with one space
    training      cells that differ in how they are scored, and in σ² wherever training does not read it; a fitted σ²
                  is trained as β̃
    fit           the fitted variances of one training
    bound         cells that differ in the sampler alone
    samples       cells that differ in how the bound is taken, and in σ² where the sampler does not read it

What has diverged on validation never reads test data; an autoencoder, which more than one cell may read, is judged on
test images once it has not diverged itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from ablations.data import Data
from ablations.settings.cell import HELD_OUT, Cell, HeldOut, content_hash
from ablations.settings.registry import describe
from diffusion_core.precision import Precision
from diffusion_core.spaces import Latents


@dataclass(frozen=True)
class Parts:
    """The stages that hold what a cell learned; `training` is the autoencoder's where the chain has no steps."""

    training: str
    fit: str | None = None
    autoencoder: str | None = None


@dataclass(frozen=True)
class AutoencoderStage:
    """An autoencoder to be trained."""

    id: str
    cell: Cell
    needs: tuple[str, ...] = ()
    kind: Literal["autoencoder"] = "autoencoder"


@dataclass(frozen=True)
class TrainingStage:
    """A network to be trained, on the codes of an autoencoder if there is one."""

    id: str
    cell: Cell
    autoencoder: str | None = None
    needs: tuple[str, ...] = ()
    kind: Literal["training"] = "training"


@dataclass(frozen=True)
class RungStage:
    """A training up to a step, and its network's bound on validation images there, taken as a finished one's is: what a
    pruner reads.

    What it leaves of the training is a checkpoint, from which the training goes on.
    """

    id: str
    cell: Cell
    training: TrainingStage
    step: int
    needs: tuple[str, ...]
    kind: Literal["rung"] = "rung"


@dataclass(frozen=True)
class FitStage:
    """A trained network to be measured on training images, for a fitted variance."""

    id: str
    cell: Cell
    parts: Parts
    needs: tuple[str, ...]
    kind: Literal["fit"] = "fit"


@dataclass(frozen=True)
class BoundStage:
    """A trained network whose bound is taken on a held-out split."""

    id: str
    cell: Cell
    parts: Parts
    split: HeldOut
    needs: tuple[str, ...]
    kind: Literal["bound"] = "bound"


@dataclass(frozen=True)
class SamplesStage:
    """A trained network to be sampled, as many as a held-out split has images, and judged."""

    id: str
    cell: Cell
    parts: Parts
    split: HeldOut
    needs: tuple[str, ...]
    kind: Literal["samples"] = "samples"


@dataclass(frozen=True)
class ReconstructionStage:
    """An autoencoder whose reconstructions of test images are judged: what its code loses."""

    id: str
    cell: Cell
    autoencoder: str
    needs: tuple[str, ...]
    kind: Literal["reconstruction"] = "reconstruction"


@dataclass(frozen=True)
class FloorStage:
    """What held-out images score where generated ones will be judged: once per data set."""

    id: str
    cell: Cell
    needs: tuple[str, ...] = ()
    kind: Literal["floor"] = "floor"


Stage = (
    AutoencoderStage
    | TrainingStage
    | RungStage
    | FitStage
    | BoundStage
    | SamplesStage
    | ReconstructionStage
    | FloorStage
)


def stages_of(cell: Cell, digest: str, precision: Precision, extractor: str | None) -> list[Stage]:
    """The stages of a cell in order; `digest` is the data's, `extractor` its features' identity."""
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
    return stages


def validated(stages: Iterable[Stage]) -> list[Stage]:
    """Those of a cell's stages that its values on validation rest on: no test data is read."""
    return [
        stage
        for stage in stages
        if isinstance(stage, (AutoencoderStage, TrainingStage, FitStage))
        or (isinstance(stage, (BoundStage, SamplesStage)) and stage.split == "validation")
    ]


def rung_of(training: TrainingStage, step: int) -> RungStage:
    """The stage that takes a training to a step and scores it there."""
    content = bound_content(training.cell, Parts(training.id, None, training.autoencoder), "validation")
    return RungStage(
        content_hash(content | {"stage": "rung", "step": step}), training.cell, training, step, training.needs
    )


def _scores(cell: Cell, parts: Parts, split: HeldOut, needs: tuple[str, ...], extractor: str | None) -> list[Stage]:
    """The bound on a split where there is one, and the samples where it is judged."""
    stages: list[Stage] = []
    if cell.space.likelihood:
        bound = content_hash(bound_content(cell, parts, split))
        stages.append(BoundStage(bound, cell, parts, split, needs))
    if split in cell.evaluation.quality:
        read = parts if cell.sampler.reads_variance else replace(parts, fit=None)
        samples = content_hash(samples_content(cell, read, split, extractor))
        stages.append(SamplesStage(samples, cell, read, split, (*needs, *_ids(stages))))
    return stages


def _ids(stages: Iterable[Stage]) -> tuple[str, ...]:
    return tuple(stage.id for stage in stages)


def once(stages: Iterable[Stage]) -> list[Stage]:
    """Every stage once, in order of first appearance; a shared one waits for what all its cells need alike."""
    found: dict[str, Stage] = {}
    for stage in stages:
        known = found.setdefault(stage.id, stage)
        found[stage.id] = replace(known, needs=tuple(need for need in known.needs if need in stage.needs))
    return list(found.values())


def autoencoder_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that the training of an autoencoder reads."""
    content = {"stage": "autoencoder", "space": describe(cell.space), "threads": cell.threads, "digest": digest}
    return content | {"precision": precision, "seed": cell.seed}


def training_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that a training reads; its autoencoder's content is part of it."""
    unread = ("sampler", "evaluation", "variance", "budget")
    read = {axis: value for axis, value in cell.identity().items() if axis not in unread}
    learns_from_bound = cell.schedule.learned and not cell.objective.continuous
    if cell.objective.reads_variance or cell.variance.learned or learns_from_bound:
        read["variance"] = describe(cell.variance.trained_as)
    return {"stage": "training", **read, "digest": digest, "precision": precision, "seed": cell.seed}


def fit_of(cell: Cell, training: str) -> str | None:
    """The id of the stage that fits the cell's variance; None where it is not a fitted one."""
    plan = cell.evaluation
    content = {"stage": "fit", "training": training, "draws": plan.fit, "clip": plan.clip, "seed": plan.seed}
    return content_hash(content) if cell.variance.fitted else None


def bound_content(cell: Cell, parts: Parts, split: HeldOut) -> dict[str, Any]:
    """All that a bound reads."""
    identity = cell.identity()
    unread = ("quality", "sets", "fit", *([] if cell.evaluation.ode else ["ode_steps"]))
    read = {key: value for key, value in identity["evaluation"].items() if key not in unread}
    content: dict[str, Any] = {"stage": "bound", "training": parts.training, "split": split, "evaluation": read}
    if cell.horizon == 0:
        return content | {"evaluation": {"seed": read["seed"]}}
    return content | {"variance": identity["variance"], "fit": parts.fit}


def samples_content(cell: Cell, parts: Parts, split: HeldOut, extractor: str | None) -> dict[str, Any]:
    """All that sampling and judging read."""
    identity, plan = cell.identity(), cell.evaluation
    content: dict[str, Any] = {"stage": "samples", "training": parts.training, "split": split}
    content |= {"sets": plan.sets, "extractor": extractor}
    if cell.horizon == 0:
        return content | {"seed": cell.seed}
    content |= {"clip": plan.clip, "sampler": identity["sampler"]}
    if cell.sampler.reads_variance:
        content |= {"variance": identity["variance"], "fit": parts.fit}
    return content


def floor_of(cell: Cell, digest: str, extractor: str | None) -> FloorStage:
    """The stage that scores held-out images."""
    return FloorStage(content_hash({"stage": "floor", "digest": digest, "extractor": extractor}), cell)


def training_passes(cell: Cell) -> int:
    """Forward passes of one example that a training step takes, a backward pass counting two."""
    groups = 1 if not cell.schedule.learned else 3 if cell.objective.continuous else 2
    return 1 + 2 * groups


def work(stage: Stage, data: Data) -> float:
    """Forward passes of one example that a stage takes, a backward pass counting two: the unit of time estimates."""
    cell, plan = stage.cell, stage.cell.evaluation
    if isinstance(stage, AutoencoderStage):
        assert isinstance(cell.space, Latents), "the data themselves need no autoencoder"
        return float(3 * cell.space.steps * cell.space.batch)
    if isinstance(stage, TrainingStage):
        return float(training_passes(cell) * cell.training.steps * cell.training.batch)
    if isinstance(stage, RungStage):
        return float(training_passes(cell) * stage.step * cell.training.batch)
    if isinstance(stage, FitStage):
        return float(cell.horizon * plan.fit)
    if isinstance(stage, (FloorStage, ReconstructionStage)):
        return 0.0
    held_out = len(data.images[stage.split])
    if isinstance(stage, BoundStage):
        return float(held_out * sum(bound_passes(cell)))
    return float(plan.sets * held_out * sample_passes(cell))


def sample_passes(cell: Cell) -> int:
    """Forward passes that a sample takes."""
    if cell.horizon == 0:
        return 0
    return cell.sampler.start(cell.sampler.steps or cell.horizon) * cell.sampler.evaluations


def bound_passes(cell: Cell) -> tuple[int, int, int]:
    """Forward passes per image of the bound with its estimates' variance, in continuous time, and of the flow."""
    plan = cell.evaluation
    if cell.horizon == 0:
        return 0, 0, 0
    terms = min(plan.horizon or cell.horizon, plan.exact + plan.strata)
    flow = 4 * plan.ode_steps * (1 + 2 * plan.ode) if plan.ode else 0
    return terms + plan.estimates, plan.continuous, flow
