"""Objects rebuilt from what earlier stages left: encodings, diffusions with their averaged weights and their fit,
variational autoencoders; the labels that a network is told; and what guides samples:

    by=class    the same diffusion without its labels   nothing else is read
    by=rung     its own average at an earlier step      a segment of its training leaves that
    by=cell     another diffusion                       a training of its own, shared by the cells that ask for it

Both networks have one seed, and a guide that is told labels is told those of the samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ablations.data.base import Data, Split
from ablations.engine.journal import Journal
from ablations.metrics.measured import SCALE
from ablations.settings.budget import forward_flops, sample_flops
from ablations.settings.cell import Cell
from ablations.settings.choices import choices_of, classes_of
from ablations.settings.guiding import at_scale, guide_passes, guiding_cell, rung_step
from ablations.settings.identity import average_read, described
from ablations.stages.artifacts import FIT, MOMENTS, TERMS, WEIGHTS, read_artifact, snapshot_at
from diffusion_core.autoencoder import Autoencoder
from diffusion_core.conditioning import sample_labels
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Encoding, GreyLevels
from diffusion_core.guidance import guided
from diffusion_core.latents import LatentCode
from diffusion_core.learner import DiffusionLearner
from diffusion_core.spaces import Latents
from diffusion_core.trainer import part
from diffusion_core.vae import Vae
from diffusion_core.variances import Fitted, Moments

Model = Diffusion | Vae
M = TypeVar("M", Diffusion, Vae, Model)


@dataclass(frozen=True)
class Parts:
    """The stages that hold what a cell learned; `training` is the autoencoder's where the chain has no steps. For its
    samples there may also be the training of a `guide`, or a segment of its own, and the stage that `tuned` the
    guidance scale."""

    training: str
    fit: str | None = None
    autoencoder: str | None = None
    guide: str | None = None
    tuned: str | None = None


def autoencoder_of(cell: Cell, data: Data) -> Autoencoder:
    """The cell's autoencoder with its seed's initial weights, on the CPU."""
    space, levels = cell.space, data.encoding
    assert isinstance(space, Latents), "the data themselves need no autoencoder"
    assert isinstance(levels, GreyLevels), "images have grey levels"
    autoencoder = space.build(levels, data.shape)
    autoencoder.initialise(cell.seed)
    return autoencoder


def restore_autoencoder(cell: Cell, data: Data, average: dict[str, Tensor]) -> Autoencoder:
    """The same with averaged weights, without gradients."""
    autoencoder = autoencoder_of(cell, data)
    autoencoder.load_state_dict(average)
    return autoencoder.eval().requires_grad_(False)


def build(cell: Cell, encoding: Encoding, data: Data, device: torch.device) -> DiffusionLearner:
    """The cell's diffusion with the initial weights of its seed, ready for training."""
    learner = DiffusionLearner.of(choices_of(cell), encoding, encoding.shape_of(data.shape), classes_of(cell))
    learner.diffusion.clip = cell.evaluation.clip
    learner.diffusion.initialise(cell.seed)
    return learner.to(device)


def restore(cell: Cell, encoding: Encoding, data: Data, average: dict[str, Tensor]) -> DiffusionLearner:
    """The cell's learner with the averaged weights, loss included."""
    learner = build(cell, encoding, data, torch.device("cpu"))
    learner.load_state_dict(average)
    return learner.eval()


def load_encoding(cell: Cell, data: Data, journal: Journal, autoencoder: str | None, device: torch.device) -> Encoding:
    """The data's own encoding, or that of a finished autoencoder stage; Damaged where its file is."""
    if autoencoder is None:
        return data.encoding
    tensors, _ = read_artifact(journal.folder(autoencoder), WEIGHTS)
    module = restore_autoencoder(cell, data, part(tensors, "average")).to(device)
    scale, shape = part(tensors, "standard"), cell.space.shape_of(data.shape)
    return LatentCode(module, scale["mean"].to(device), scale["scale"].to(device), data.shape, shape)


def load(cell: Cell, data: Data, journal: Journal, parts: Parts, device: torch.device) -> Model:
    """The cell as its finished stages left it; Damaged where a file is missing or altered."""
    if cell.horizon == 0:
        encoding = load_encoding(cell, data, journal, parts.autoencoder, device)
        assert isinstance(encoding, LatentCode), "a chain of no steps is an autoencoder's"
        return Vae(encoding)
    return load_learner(cell, data, journal, parts, device).diffusion


def averaged_weights(cell: Cell, folder: Path) -> dict[str, Tensor]:
    """The weights that the cell evaluates, averaged as it says, as a state of its learner, from the folder."""
    own = partial(part, read_artifact(folder, WEIGHTS)[0])
    return cell.average.weights(own, lambda step: read_artifact(folder, snapshot_at(step))[0], cell.training)


def load_learner(cell: Cell, data: Data, journal: Journal, parts: Parts, device: torch.device) -> DiffusionLearner:
    """The cell's learner, with loss and diffusion, as its finished stages left it; Damaged as `load`."""
    encoding = load_encoding(cell, data, journal, parts.autoencoder, device)
    learner = restore(cell, encoding, data, averaged_weights(cell, journal.folder(parts.training)))
    if parts.fit is not None:
        fitted, _ = read_artifact(journal.folder(parts.fit), FIT)
        if isinstance(cell.variance, Fitted):
            learner.diffusion.fit(cell.variance.x0_variance(_moments(fitted)))
        if TERMS in fitted:
            learner.diffusion.fit_terms(fitted[TERMS])
    return learner.to(device)


def diverged_before(journal: Journal, parts: Parts) -> str:
    """The reason why the training, or its segment, has diverged; "" where it has not."""
    result = journal.result(parts.training)
    return "" if result is None else result.reason


def remark_on_fit(cell: Cell, journal: Journal, parts: Parts) -> str:
    """The remark of a cell's fitted variance on its fit; "" without one."""
    if parts.fit is None or not isinstance(cell.variance, Fitted):
        return ""
    return cell.variance.remark(_moments(read_artifact(journal.folder(parts.fit), FIT)[0]))


def _moments(fitted: dict[str, Tensor]) -> Moments:
    return Moments(**{name: fitted[name] for name in MOMENTS})


def labels_of(cell: Cell, data: Data, split: Split) -> Tensor | None:
    """The labels int64 [N] of a split, −1 where an image has none; None where the network is told none."""
    return data.labels[split] if classes_of(cell) else None


def labels_of_samples(cell: Cell, data: Data, count: int, label: int | None = None) -> Tensor | None:
    """The labels int64 [count] of the first samples of a cell's seed, in the shares of the training data, or `label`
    for all of them; None where the network is told none."""
    taught = labels_of(cell, data, "train")
    if taught is None:
        return None
    shares = torch.bincount(taught[taught >= 0]).double()
    return sample_labels(shares, count, cell.seed) if label is None else torch.full((count,), label)


def given(model: M, labels: Tensor | None) -> M:
    """The model of data with these labels; the same model where it is told none."""
    return model if labels is None or not isinstance(model, Diffusion) else model.given(labels)


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
    own = {key: value for key, value in described(cell)["guidance"].items() if key not in ("name", "rung", "guide")}
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
    assert result is not None, "a scale is chosen before samples are drawn"
    return at_scale(cell, result.metrics[SCALE])


def load_guided(cell: Cell, data: Data, journal: Journal, parts: Parts, device: torch.device) -> Model | Guided:
    """The model of a cell, with its guide where that is another network; Damaged as `load`."""
    return with_guide(cell, data, load(cell, data, journal, parts, device), guide_weights(cell, journal, parts))


def guide_weights(cell: Cell, journal: Journal, parts: Parts) -> dict[str, Tensor] | None:
    """The state of the learner whose network guides a cell's samples, None where no other network does."""
    if parts.guide is None or not cell.guidance.guides:
        return None
    return averaged_weights(_guide_of(cell), journal.folder(parts.guide))


def _guide_of(cell: Cell) -> Cell:
    """The cell whose network guides a cell's samples; it is itself where that is of an earlier step."""
    return guiding_cell(cell) if cell.guidance.by == "cell" else cell


def with_guide(cell: Cell, data: Data, model: Model, weights: dict[str, Tensor] | None) -> Model | Guided:
    """A cell's model with a guide of these weights."""
    if weights is None or isinstance(model, Vae):
        return model
    return Guided(model, restore(_guide_of(cell), model.encoding, data, weights).to(model.device).diffusion)


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
