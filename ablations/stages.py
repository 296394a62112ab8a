"""Cells to stages: content-addressed units of work, each needed once however many cells ask for it.

    training ▸ [fit] ▸ bound on validation ▸ [samples] ▸ bound on test ▸ [samples]

The fit is of a fitted variance, and samples are drawn where the split is judged. A stage's id is a hash of what it
reads, so cells share what they do not differ in:

    training   cells that differ in how they are scored, and in σ² wherever training does not read it; a fitted σ² is
               trained as β̃
    fit        the fitted variances of one training
    bound      cells that differ in the sampler alone
    samples    cells that differ in how the bound is taken, and in σ² where the sampler does not read it

What has diverged on validation never reads test data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from ablations.cell import HELD_OUT, Cell, HeldOut, content_hash
from ablations.choices import describe
from ablations.data import Data
from diffusion_core.precision import Precision


@dataclass(frozen=True)
class TrainingStage:
    """A network to be trained."""

    id: str
    cell: Cell
    needs: tuple[str, ...] = ()
    kind: Literal["training"] = "training"


@dataclass(frozen=True)
class FitStage:
    """A trained network to be measured on training images, for a fitted variance."""

    id: str
    cell: Cell
    training: str
    needs: tuple[str, ...]
    kind: Literal["fit"] = "fit"


@dataclass(frozen=True)
class BoundStage:
    """A trained network whose bound is taken on a held-out split; `fit` is the stage of its fitted variance."""

    id: str
    cell: Cell
    training: str
    fit: str | None
    split: HeldOut
    needs: tuple[str, ...]
    kind: Literal["bound"] = "bound"


@dataclass(frozen=True)
class SamplesStage:
    """A trained network to be sampled, as many as a held-out split has images, and judged."""

    id: str
    cell: Cell
    training: str
    fit: str | None
    split: HeldOut
    needs: tuple[str, ...]
    kind: Literal["samples"] = "samples"


@dataclass(frozen=True)
class FloorStage:
    """What held-out images score where generated ones will be judged: once per data set."""

    id: str
    cell: Cell
    needs: tuple[str, ...] = ()
    kind: Literal["floor"] = "floor"


Stage = TrainingStage | FitStage | BoundStage | SamplesStage | FloorStage


def stages_of(cell: Cell, digest: str, precision: Precision, extractor: str | None) -> list[Stage]:
    """The stages of a cell in order; `digest` is the data's, `extractor` its features' identity."""
    training = TrainingStage(content_hash(training_content(cell, digest, precision)), cell)
    stages: list[Stage] = [training]
    fit = fit_of(cell, training.id)
    if fit is not None:
        stages.append(FitStage(fit, cell, training.id, (training.id,)))
    for split in HELD_OUT:
        needs = tuple(stage.id for stage in stages)
        bound = content_hash(bound_content(cell, training.id, fit, split))
        stages.append(BoundStage(bound, cell, training.id, fit, split, needs))
        if split in cell.evaluation.quality:
            read = fit if cell.sampler.reads_variance else None
            samples = content_hash(samples_content(cell, training.id, read, split, extractor))
            stages.append(SamplesStage(samples, cell, training.id, read, split, (*needs, bound)))
    return stages


def once(stages: Iterable[Stage]) -> list[Stage]:
    """Every stage once, in order of first appearance; a shared one waits for what all its cells need alike."""
    found: dict[str, Stage] = {}
    for stage in stages:
        known = found.setdefault(stage.id, stage)
        found[stage.id] = replace(known, needs=tuple(need for need in known.needs if need in stage.needs))
    return list(found.values())


def training_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that a training reads."""
    read = {axis: value for axis, value in cell.identity().items() if axis not in ("sampler", "evaluation", "variance")}
    learns_from_bound = cell.schedule.learned and not cell.objective.continuous
    if cell.objective.reads_variance or cell.variance.learned or learns_from_bound:
        read["variance"] = describe(cell.variance.trained_as)
    return {"stage": "training", **read, "digest": digest, "precision": precision, "seed": cell.seed}


def fit_of(cell: Cell, training: str) -> str | None:
    """The id of the stage that fits the cell's variance; None where it is not a fitted one."""
    plan = cell.evaluation
    content = {"stage": "fit", "training": training, "draws": plan.fit, "clip": plan.clip, "seed": plan.seed}
    return content_hash(content) if cell.variance.fitted else None


def bound_content(cell: Cell, training: str, fit: str | None, split: HeldOut) -> dict[str, Any]:
    """All that a bound reads."""
    identity = cell.identity()
    unread = ("quality", "sets", "fit", *([] if cell.evaluation.ode else ["ode_steps"]))
    read = {key: value for key, value in identity["evaluation"].items() if key not in unread}
    content = {"stage": "bound", "training": training, "split": split, "evaluation": read}
    return content | {"variance": identity["variance"], "fit": fit}


def samples_content(
    cell: Cell, training: str, fit: str | None, split: HeldOut, extractor: str | None
) -> dict[str, Any]:
    """All that sampling and judging read."""
    identity, plan = cell.identity(), cell.evaluation
    content = {"stage": "samples", "training": training, "split": split, "sampler": identity["sampler"]}
    content |= {"clip": plan.clip, "sets": plan.sets, "extractor": extractor}
    if cell.sampler.reads_variance:
        content |= {"variance": identity["variance"], "fit": fit}
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
    if isinstance(stage, TrainingStage):
        return float(training_passes(cell) * cell.training.steps * cell.training.batch)
    if isinstance(stage, FitStage):
        return float(cell.horizon * plan.fit)
    if isinstance(stage, FloorStage):
        return 0.0
    held_out = len(data.images[stage.split])
    if isinstance(stage, BoundStage):
        return float(held_out * sum(bound_passes(cell)))
    sampler = cell.sampler
    return float(plan.sets * held_out * sampler.start(sampler.steps or cell.horizon) * sampler.evaluations)


def bound_passes(cell: Cell) -> tuple[int, int, int]:
    """Forward passes per image of the bound with its estimates' variance, in continuous time, and of the flow."""
    plan = cell.evaluation
    terms = min(plan.horizon or cell.horizon, plan.exact + plan.strata)
    flow = 4 * plan.ode_steps * (1 + 2 * plan.ode) if plan.ode else 0
    return terms + plan.estimates, plan.continuous, flow
