"""Objects rebuilt from what earlier stages left: encodings, diffusions with their averaged weights and their fit,
variational autoencoders; and the labels that a network is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ablations.data.base import Data, Split
from ablations.engine.journal import Journal
from ablations.settings.cell import Cell
from ablations.stages.artifacts import FIT, MOMENTS, TERMS, WEIGHTS, read_artifact, snapshot_at
from ablations.stages.stage import Parts
from diffusion_core.autoencoder import Autoencoder
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Encoding, GreyLevels
from diffusion_core.latents import LatentCode
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import Vae
from diffusion_core.spaces import Latents
from diffusion_core.trainer import part
from diffusion_core.variances import Fitted, Moments

Model = Diffusion | Vae
M = TypeVar("M", Diffusion, Vae, Model)


def autoencoder_of(cell: Cell, data: Data) -> Autoencoder:
    """The cell's autoencoder with its seed's initial weights, on the CPU."""
    space, levels = cell.space, data.encoding
    assert isinstance(space, Latents), "the data themselves need no autoencoder"
    assert isinstance(levels, GreyLevels), "images have grey levels"
    autoencoder = space.build(levels, data.shape)
    if not space.pretrained:
        autoencoder.initialise(cell.seed)
    return autoencoder


def restore_autoencoder(cell: Cell, data: Data, average: dict[str, Tensor]) -> Autoencoder:
    """The same with averaged weights, without gradients; of a published one that is log s² alone."""
    autoencoder = autoencoder_of(cell, data)
    autoencoder.load_state_dict(average, strict=not cell.space.pretrained)
    return autoencoder.eval().requires_grad_(False)


def build(cell: Cell, encoding: Encoding, data: Data, device: torch.device) -> DiffusionLearner:
    """The cell's diffusion with the initial weights of its seed, ready for training."""
    learner = DiffusionLearner.of(Choices.of(cell), encoding, encoding.shape_of(data.shape), cell.classes)
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
    if cell.imported:
        learner = build(cell, encoding, data, torch.device("cpu")).eval()
    else:
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
    return data.labels[split] if cell.classes else None


def with_labels(model: M, labels: Tensor | None) -> M:
    """The model of data with these labels; the same model where it is told none."""
    return model if labels is None or not isinstance(model, Diffusion) else model.with_labels(labels)
