"""What each stage reads, and so the id that it is known by: cells share what they do not differ in.

autoencoder   cells with one space
training      cells that differ in how they are scored, and in σ² wherever training does not read it; a fitted σ²
              is trained as β̃
fit           the fitted variances of one training; those of one σ² where the spacing of steps is fitted too
bound         cells that differ in the sampler alone
samples       cells that differ in how the bound is taken, and in σ² where the sampler does not read it
metric        the cells of one samples, whatever else they are asked for
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut
from ablations.settings.identity import content_hash, described
from ablations.settings.registry import describe
from ablations.stages.kinds import Parts
from diffusion_core.precision import Precision


def autoencoder_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that the training of an autoencoder reads."""
    content = {"stage": "autoencoder", "space": describe(cell.space), "threads": cell.threads, "digest": digest}
    return content | {"precision": precision, "seed": cell.seed}


def training_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that a training reads; its autoencoder's content is part of it."""
    unread = ("sampler", "spacing", "evaluation", "variance", "budget")
    read = {axis: value for axis, value in described(cell).items() if axis not in unread}
    learns_from_bound = cell.schedule.learned and not cell.choices.in_continuous_time
    if cell.objective.reads_variance or cell.variance.learned or learns_from_bound:
        read["variance"] = describe(cell.variance.trained_as)
    return {"stage": "training", **read, "digest": digest, "precision": precision, "seed": cell.seed}


def fit_of(cell: Cell, training: str) -> str | None:
    """The id of the stage that fits the cell's variance, or the spacing of its steps; None where neither is fitted."""
    spaced = any(_spaced_by_fit(cell, steps) for steps in (cell.sampler.steps, cell.evaluation.horizon))
    if not (cell.variance.fitted or spaced):
        return None
    plan = cell.evaluation
    content: dict[str, Any] = {"stage": "fit", "training": training, "draws": plan.fit, "clip": plan.clip}
    return content_hash(content | ({"terms": describe(cell.variance)} if spaced else {}))


def parts_of_bound(cell: Cell, parts: Parts) -> Parts:
    """The parts that the bound reads: its fit may be of another chain's spacing."""
    return parts if cell.variance.fitted or _spaced_by_fit(cell, cell.evaluation.horizon) else replace(parts, fit=None)


def parts_of_samples(cell: Cell, parts: Parts) -> Parts:
    """The parts that sampling reads, which may leave σ² unread."""
    fitted = cell.variance.fitted and cell.sampler.reads_variance
    return parts if fitted or _spaced_by_fit(cell, cell.sampler.steps) else replace(parts, fit=None)


def _is_strided(cell: Cell, steps: int | None) -> bool:
    """Whether a chain of `steps` steps (None: all) leaves times out, which its spacing then chooses."""
    return steps is not None and steps != cell.horizon


def _spaced_by_fit(cell: Cell, steps: int | None) -> bool:
    return cell.spacing.fitted and _is_strided(cell, steps)


def _chain_content(cell: Cell, parts: Parts, steps: int | None, *, reads_variance: bool) -> dict[str, Any]:
    """What a chain of `steps` steps reads beside the training; `parts` are those that it reads."""
    known = described(cell)
    read = {"variance": known["variance"]} if reads_variance else {}
    read |= {"spacing": known["spacing"]} if _is_strided(cell, steps) else {}
    return read | ({"fit": parts.fit} if parts.fit is not None else {})


def bound_content(cell: Cell, parts: Parts, split: HeldOut) -> dict[str, Any]:
    """All that a bound reads; `parts` are those of `parts_of_bound`."""
    known = described(cell)
    unread = ("quality", "sets", "fit", *([] if cell.evaluation.ode else ["ode_steps"]))
    read = {key: value for key, value in known["evaluation"].items() if key not in unread}
    content: dict[str, Any] = {"stage": "bound", "training": parts.training, "split": split, "evaluation": read}
    if cell.horizon == 0:
        return content | {"evaluation": {"seed": read["seed"]}}
    return content | _chain_content(cell, parts, cell.evaluation.horizon, reads_variance=True)


def samples_content(
    cell: Cell, parts: Parts, split: HeldOut, extractor: str | None, sets: int, first: int = 0
) -> dict[str, Any]:
    """All that sampling and judging so many sets read; `parts` are those of `parts_of_samples`."""
    known, plan = described(cell), cell.evaluation
    content: dict[str, Any] = {"stage": "samples", "training": parts.training, "split": split}
    content |= {"sets": sets, "extractor": extractor} | ({"first": first} if first else {})
    if cell.horizon == 0:
        return content | {"seed": cell.seed}
    content |= {"clip": plan.clip, "sampler": known["sampler"]}
    return content | _chain_content(cell, parts, cell.sampler.steps, reads_variance=cell.sampler.reads_variance)


def metric_content(samples: str, metric: dict[str, Any]) -> dict[str, Any]:
    """All that one more metric of samples reads, as it is described; what these are judged by is part of their id."""
    return {"stage": "metric", "samples": samples, "metric": metric}


def floor_content(digest: str, extractor: str | None) -> dict[str, Any]:
    """All that scoring held-out images reads."""
    return {"stage": "floor", "digest": digest, "extractor": extractor}
