"""What each stage reads, and so the id that it is known by: cells share what they do not differ in.

autoencoder   cells with one space
training      cells that differ in how they are scored, and in σ² wherever training does not read it; a fitted σ²
              is trained as β̃
fit           the fitted variances of one training
bound         cells that differ in the sampler alone
samples       cells that differ in how the bound is taken, and in σ² where the sampler does not read it
metric        the cells of one samples, whatever else they are asked for
"""

from __future__ import annotations

from typing import Any

from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut
from ablations.settings.identity import content_hash, identity
from ablations.settings.registry import describe
from ablations.stages.kinds import Parts
from diffusion_core.precision import Precision


def autoencoder_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that the training of an autoencoder reads."""
    content = {"stage": "autoencoder", "space": describe(cell.space), "threads": cell.threads, "digest": digest}
    return content | {"precision": precision, "seed": cell.seed}


def training_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that a training reads; its autoencoder's content is part of it."""
    unread = ("sampler", "evaluation", "variance", "budget")
    read = {axis: value for axis, value in identity(cell).items() if axis not in unread}
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
    known = identity(cell)
    unread = ("quality", "sets", "fit", *([] if cell.evaluation.ode else ["ode_steps"]))
    read = {key: value for key, value in known["evaluation"].items() if key not in unread}
    content: dict[str, Any] = {"stage": "bound", "training": parts.training, "split": split, "evaluation": read}
    if cell.horizon == 0:
        return content | {"evaluation": {"seed": read["seed"]}}
    return content | {"variance": known["variance"], "fit": parts.fit}


def samples_content(cell: Cell, parts: Parts, split: HeldOut, extractor: str | None) -> dict[str, Any]:
    """All that sampling and judging read."""
    known, plan = identity(cell), cell.evaluation
    content: dict[str, Any] = {"stage": "samples", "training": parts.training, "split": split}
    content |= {"sets": plan.sets, "extractor": extractor}
    if cell.horizon == 0:
        return content | {"seed": cell.seed}
    content |= {"clip": plan.clip, "sampler": known["sampler"]}
    if cell.sampler.reads_variance:
        content |= {"variance": known["variance"], "fit": parts.fit}
    return content


def metric_content(samples: str, metric: dict[str, Any]) -> dict[str, Any]:
    """All that one more metric of samples reads, as it is described; what these are judged by is part of their id."""
    return {"stage": "metric", "samples": samples, "metric": metric}


def floor_content(digest: str, extractor: str | None) -> dict[str, Any]:
    """All that scoring held-out images reads."""
    return {"stage": "floor", "digest": digest, "extractor": extractor}
