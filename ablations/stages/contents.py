"""The content of a fit's, a bound's and a set of samples' address: everything that each of them reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ablations.settings.cell import Cell
from ablations.settings.evaluation import Evaluation, HeldOut
from ablations.settings.guiding import guiding_cell, rung_step
from ablations.settings.registry import average_read, content_hash, describe, described
from ablations.stages.stage import Parts
from diffusion_core.choices import Choices


def parts_read(cell: Cell, parts: Parts, steps: int | None, reads_variance: bool = True) -> Parts:
    """The parts of a cell that a chain of `steps` steps reads: a fit may be for the spacing of another one."""
    reads = (cell.variance.fitted and reads_variance) or spaced_by_fit(cell, steps)
    return parts if reads else replace(parts, fit=None)


def spaced_by_fit(cell: Cell, steps: int | None) -> bool:
    """True where a chain of `steps` steps (None: all) leaves out times, and a fit tells which."""
    return cell.spacing.fitted and steps not in (None, cell.horizon)


def chain_content(cell: Cell, parts: Parts, steps: int | None, *, reads_variance: bool) -> dict[str, Any]:
    """The content that a chain of `steps` steps reads beside the training; `parts` are the stages that it reads."""
    description = described(cell)
    read = average_read(cell) | ({"variance": description["variance"]} if reads_variance else {})
    read |= {"spacing": description["spacing"]} if steps not in (None, cell.horizon) else {}
    return read | ({"fit": parts.fit} if parts.fit is not None else {})


def fit_of(cell: Cell, training: str) -> str | None:
    """The id of the stage that fits the cell's variance, or the spacing of its steps; None where neither is fitted."""
    spaced = any(spaced_by_fit(cell, steps) for steps in (cell.sampler.steps, cell.evaluation.horizon))
    if not (cell.variance.fitted or spaced):
        return None
    plan = cell.evaluation
    content: dict[str, Any] = {"stage": "fit", "training": training, "draws": plan.fit, "clip": plan.clip}
    content |= average_read(cell) | own_seed(cell)
    return content_hash(content | ({"terms": describe(cell.variance)} if spaced else {}))


def own_seed(cell: Cell) -> dict[str, int]:
    """The part of an address for the seed, which is otherwise a training's: empty where there is one."""
    return {"seed": cell.seed} if cell.untrained else {}


def bound_content(cell: Cell, parts: Parts, split: HeldOut) -> dict[str, Any]:
    """Everything that a bound reads; `parts` are those of `parts_read`."""
    description = described(cell)
    unread = (
        "quality",
        "sets",
        "n",
        "reference",
        "checkpoints",
        "fit",
        *([] if cell.evaluation.ode else ["ode_steps"]),
    )
    read = {key: value for key, value in description["evaluation"].items() if key not in unread}
    content: dict[str, Any] = {"stage": "bound", "training": parts.training, "split": split, "evaluation": read}
    content |= own_seed(cell)
    if cell.horizon == 0:
        return content | {"evaluation": {name: read[name] for name in ("seed", "iwae") if name in read}}
    return content | chain_content(cell, parts, cell.evaluation.horizon, reads_variance=True)


def samples_content(cell: Cell, parts: Parts, split: HeldOut, extractor: str | None, sets: int) -> dict[str, Any]:
    """Everything that drawing and judging so many sets reads; `parts` are those of `parts_read`."""
    description, plan = described(cell), cell.evaluation
    content: dict[str, Any] = {"stage": "samples", "training": parts.training, "split": split}
    content |= {"sets": sets, "extractor": extractor} | sets_asked(plan, split) | own_seed(cell)
    if cell.horizon == 0:
        return content | {"seed": cell.seed}
    content |= {"clip": plan.clip, "sampler": description["sampler"]}
    if cell.sampler.between_times and not Choices.of(cell).knows_between:
        # Before, its network was asked at times that it does not know.
        content["asked"] = "at known times"
    content |= guidance_content(cell, parts)
    return content | chain_content(cell, parts, cell.sampler.steps, reads_variance=cell.sampler.reads_variance)


def guidance_content(cell: Cell, parts: Parts) -> dict[str, Any]:
    """Everything that guided samples read beside what others read; empty where they are not guided."""
    plan = cell.guidance
    if not plan.guides:
        return {}
    if parts.tuned is not None:
        return {"guidance": parts.tuned}
    own = {key: value for key, value in described(cell)["guidance"].items() if key not in ("name", "rung", "guide")}
    if plan.by == "rung":
        own["step"] = rung_step(cell)
    if plan.by == "cell":
        own |= {"guide": parts.guide, **average_read(guiding_cell(cell))}
    return {"guidance": own}


def sets_asked(plan: Evaluation, split: HeldOut) -> dict[str, Any]:
    """The size of sets and their reference, where the cell asks for them."""
    reference = plan.reference if split == "test" else None
    return {name: value for name, value in (("n", plan.n), ("reference", reference)) if value is not None}
