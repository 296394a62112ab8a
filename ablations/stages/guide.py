"""Diffusions whose samples are guided, for each kind of guide.

    by=class    the same diffusion without its labels   nothing else is read
    by=rung     its own average at an earlier step      its training leaves that
    by=cell     another diffusion                       a training of its own, shared by the cells that ask for it

Both networks have one seed, and a guide that is told labels is told those of the samples.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.files import Damaged
from ablations.engine.journal import Journal
from ablations.metrics.measured import SCALE
from ablations.settings.budget import forward_flops, sample_flops
from ablations.settings.cell import Cell
from ablations.settings.guiding import at_scale, guide_passes, guiding_cell, rung_step
from ablations.settings.identity import average_read, described
from ablations.stages.artifacts import average_at, read_artifact
from ablations.stages.restore import Model, Parts, averaged_weights, given, load, restore
from analysis.errors import InputError
from diffusion_core.diffusion import Diffusion
from diffusion_core.guidance import guided
from diffusion_core.vae import Vae


class Guided(NamedTuple):
    """A diffusion, and the network that guides its samples."""

    model: Diffusion
    guide: Diffusion


def guidance_content(cell: Cell, parts: Parts) -> dict[str, Any]:
    """Everything that guided samples read beside what others read; empty where they are not guided."""
    plan = cell.guidance
    if not plan.guides:
        return {}
    if parts.tuned is not None:
        return {"guidance": parts.tuned}
    read = described(cell)["guidance"]
    own = {name: value for name, value in read.items() if name not in ("name", "rung", "guide")}
    if plan.by == "rung":
        own["step"] = rung_step(cell)
    if plan.by == "cell":
        own |= {"guide": parts.guide, **average_read(guiding_cell(cell))}
    return {"guidance": own}


def settled(cell: Cell, journal: Journal, parts: Parts) -> Cell:
    """A cell with the guidance scale that validation has chosen, if one was to be chosen."""
    if parts.tuned is None:
        return cell
    result = journal.result(parts.tuned)
    if result is None:
        raise Damaged(journal.folder(parts.tuned) / "result.json", "is missing")
    return at_scale(cell, result.metrics[SCALE])


def load_guided(cell: Cell, data: Data, journal: Journal, parts: Parts, device: torch.device) -> Model | Guided:
    """The model of a cell, with its guide where that is another network; InputError or Damaged as `load`."""
    model = load(cell, data, journal, parts, device)
    return with_guide(cell, data, model, guide_weights(cell, journal, parts))


def guide_weights(cell: Cell, journal: Journal, parts: Parts) -> dict[str, Tensor] | None:
    """The state of the learner whose network guides a cell's samples, None where no other network does; Damaged where
    it is missing, because its training left none at that step, say."""
    plan = cell.guidance
    if not plan.guides or plan.by == "class":
        return None
    if plan.by == "rung":
        return read_artifact(journal.folder(parts.training), average_at(rung_step(cell)))[0]
    assert parts.guide is not None, "a guiding cell is trained"
    return averaged_weights(guiding_cell(cell), journal.folder(parts.guide))


def with_guide(cell: Cell, data: Data, model: Model, weights: dict[str, Tensor] | None) -> Model | Guided:
    """A cell's model with a guide of these weights; InputError where they do not fit."""
    if weights is None or isinstance(model, Vae):
        return model
    guide = guiding_cell(cell) if cell.guidance.by == "cell" else cell
    try:
        return Guided(model, restore(guide, model.encoding, data, weights).to(model.device).diffusion)
    except ValueError as error:
        raise InputError(f"what was to guide this cell does not hold its guide's weights: {error}") from error


def sampled(cell: Cell, model: Model | Guided, labels: Tensor | None) -> Model:
    """The model that draws samples with these labels, guided as the cell asks for."""
    own, other = model if isinstance(model, Guided) else (model, None)
    plan, labelled = cell.guidance, given(own, labels)
    if not plan.guides or isinstance(labelled, Vae):
        return labelled
    assert plan.scale != "auto", "a scale is chosen before samples are drawn"
    guide = labelled.given(None) if other is None else given(other, labels)
    high = math.inf if plan.high is None else plan.high
    return guided(labelled, guide, scale=plan.scale, low=plan.low, high=high)


def flops_of_sample(cell: Cell, model: Model | Guided) -> float:
    """Operations of drawing one sample, its guide's included."""
    own, guide = model if isinstance(model, Guided) else (model, model)
    return sample_flops(cell, own) + (guide_passes(cell) * forward_flops(guide) if isinstance(guide, Diffusion) else 0)


def kept_for_guidance(cell: Cell) -> frozenset[int]:
    """The steps at which a cell's training leaves its average for guidance."""
    rung = cell.guidance.guides and cell.guidance.by == "rung"
    return frozenset({rung_step(cell)} if rung else ())
