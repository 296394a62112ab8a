"""The cell that guides another (`guidance.by=cell`), the rung that guides one (`by=rung`), and why guidance is refused.

A guide's x̂_0 is compared with the guided model's at the same noise level: the two may differ in the network, its
training and its loss, but x_t must be the same.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ablations.settings import grammar
from ablations.settings.budget import rungs, sample_passes
from ablations.settings.cell import WORDS, Cell
from ablations.settings.evaluation import Guidance
from ablations.settings.layers import check_key, fields_set, plain_value, values_of
from ablations.settings.registry import build, field_names
from analysis.errors import InputError
from diffusion_core.averages import Tracked
from diffusion_core.choices import Choices
from diffusion_core.conditioning import Class
from diffusion_core.refusing import choice_name

DIFFERS = (
    *("network", "training", "average", "conditioning", "parameterization", "objective"),
    *("variance", "timesteps", "coupling", "time_input"),
)
ALIKE = ("training.precision",)


def guiding_cell(cell: Cell) -> Cell:
    """The cell that guides another, at the same seed; it is itself unguided. InputError where its settings make no
    cell."""
    changes = dict(map(_setting, cell.guidance.guide))
    choices: dict[str, Any] = {}
    for axis in dict.fromkeys(key.partition(".")[0] for key in changes):
        if axis in WORDS:
            choices[axis] = plain_value(axis, changes[axis])
        elif axis in changes:
            choices[axis] = build(axis, values_of(axis, changes))
        else:
            choice = getattr(cell, axis)
            now = {name: getattr(choice, name) for name in field_names(type(choice))}
            choices[axis] = build(axis, {"name": choice_name(choice), **now, **fields_set(axis, changes)})
    guide = replace(cell, **choices, guidance=Guidance())
    # As of a cell that stands in a grid itself.
    snapshots = guide.training.snapshots or guide.average.snapshots
    return replace(guide, training=replace(guide.training, snapshots=snapshots))


def _setting(word: str) -> tuple[str, Any]:
    """The key and the value of a word of `guidance.guide`; InputError where a guide may not set it."""
    ((key, text),) = grammar.texts([word]).items()
    values = grammar.values(key, text)
    if not isinstance(values, list) or len(values) != 1:
        raise InputError(f"guidance.guide has {word}, and a guide is one cell: give {key} one value")
    check_key(key)
    if key.partition(".")[0] not in DIFFERS or key in ALIKE:
        raise InputError(
            f"guidance.guide sets {key}, in which a guide cannot differ: it is asked for the same data at the same "
            f"noise as the cell that it guides, and may have {', '.join(DIFFERS[:-1])} or {DIFFERS[-1]} of its own"
        )
    return key, values[0]


def rung_step(cell: Cell) -> int:
    """The step whose average guides a cell by a rung."""
    plan = cell.training
    return max(1, round(plan.steps / (1 << cell.guidance.rung) / plan.report_every)) * plan.report_every


def guide_passes(cell: Cell) -> int:
    """Passes of the guide for each sample, roughly: those within the interval; all of them where the times are only
    known after a training."""
    if not cell.guidance.guides:
        return 0
    guide = guiding_cell(cell) if cell.guidance.by == "cell" else cell
    return round(sample_passes(replace(cell, conditioning=guide.conditioning)) * _share(cell))


@torch.no_grad()
def _share(cell: Cell) -> float:
    """The share of a sampler's steps that are guided: those that begin at a noise level within the interval."""
    plan = cell.guidance
    times = None if plan.low == 0 and plan.high is None else _times(cell)
    if times is None or cell.schedule.learned:
        return 1.0
    begun = times[1 : cell.sampler.start(len(times) - 1) + 1]
    sigma = (cell.schedule.gamma(cell.horizon)(begun) / 2).exp()
    high = math.inf if plan.high is None else plan.high
    return float(((plan.low < sigma) & (sigma <= high)).double().mean())


def _times(cell: Cell) -> Tensor | None:
    """The times of a sampler's chain, 0 first; None where they are fitted to a trained network."""
    steps = cell.sampler.steps or cell.horizon
    if cell.spacing.fitted and steps != cell.horizon:
        return None
    return cell.spacing.times(cell.schedule.gamma(cell.horizon), steps, torch.empty(0, 0))


def guidance_refusal(cell: Cell) -> str | None:
    """The reason why a cell's samples cannot be guided as it asks, or None; the guiding cell is checked too."""
    plan, asked = cell.guidance, cell.guidance.asked
    if not plan.guides:
        return None
    if cell.horizon == 0:
        return f"{asked} guides the steps of a chain, and horizon=0 has none: leave it out, or take horizon=1000"
    if not cell.evaluation.quality:
        return f"{asked} guides samples, and evaluation.quality=[] draws none: leave one of them out"
    if not _share(cell):
        return (
            f"{asked} guides no step: none of the sampler's begins at a noise level above guidance.low={plan.low:g}"
            f"{'' if plan.high is None else f' and up to guidance.high={plan.high:g}'}: take a wider interval"
        )
    if plan.by == "class":
        if isinstance(cell.conditioning, Class) and cell.conditioning.dropout:
            return None
        return (
            f"{asked} with guidance.by=class goes away from what a network says without the label, which is learned "
            "beside labels alone: take conditioning=class with conditioning.dropout=0.1, or guidance.by=rung or cell"
        )
    if cell.schedule.learned:
        return (
            f"guidance.by={plan.by} compares two networks at the same noise, and each training of schedule="
            f"{choice_name(cell.schedule)} learns noise levels of its own: take a schedule that is fixed, or "
            "guidance.by=class"
        )
    return _rung_refusal(cell) if plan.by == "rung" else _guide_refusal(cell)


def _rung_refusal(cell: Cell) -> str | None:
    plan, rung, step = cell.training, cell.guidance.rung, rung_step(cell)
    asked = f"guidance.rung={rung} is the average at step {step} of {plan.steps}"
    if not isinstance(cell.average, Tracked):
        return f"{asked}, which is a tracked one: take average=tracked, or guidance.by=cell"
    if plan.rate == "wsd":
        return f"{asked}, and with training.rate=wsd a rung is a training of its own: take guidance.by=cell"
    if cell.evaluation.rungs < rung or step not in rungs(plan, cell.evaluation.rungs):
        return (
            f"{asked}, a rung that is not kept: take evaluation.rungs={rung} or more, a smaller guidance.rung, or more "
            f"training.steps beside training.warmup={plan.warmup}"
        )
    return None


def _guide_refusal(cell: Cell) -> str | None:
    guide, times = guiding_cell(cell), _times(cell)
    between = times is not None and times.is_floating_point() and Choices.of(cell).knows_between
    if between and not Choices.of(guide).knows_between:
        return (
            f"guidance.guide={list(cell.guidance.guide)} makes a guide that knows the times 1..T alone, and spacing="
            f"{choice_name(cell.spacing)} asks it between them: take spacing=uniform, or leave the guide its times"
        )
    return None


def at_scale(cell: Cell, scale: float) -> Cell:
    """The same cell, guided by this scale."""
    return replace(cell, guidance=replace(cell.guidance, scale=scale))
