"""Objects rebuilt from what earlier stages left: encodings, diffusions, variational autoencoders. An encoding is the
data's own, or an autoencoder's with its scale; a diffusion has its weights, averaged as the cell says, and its fit.

Also labels as a network is told them: those of the data, and those of samples, whose classes have the same shares as in
the training data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ablations.data.base import Data, Split
from ablations.engine.files import Damaged
from ablations.engine.journal import Journal
from ablations.settings.cell import Cell
from ablations.settings.choices import choices_of, classes_of
from ablations.stages.artifacts import FIT, MOMENTS, TERMS, WEIGHTS, read_artifact, snapshot_at
from analysis.errors import InputError
from diffusion_core.autoencoder import Autoencoder
from diffusion_core.batches import Labelled
from diffusion_core.conditioning import sample_labels
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Encoding, GreyLevels
from diffusion_core.latents import LatentCode
from diffusion_core.learner import DiffusionLearner
from diffusion_core.spaces import Latents
from diffusion_core.trainer import part
from diffusion_core.vae import Vae
from diffusion_core.variances import Fitted, Moments

Model = Diffusion | Vae


@dataclass(frozen=True)
class Parts:
    """The stages that hold what a cell learned; `training` is the autoencoder's where the chain has no steps. For its
    samples there may also be the training of a `guide`, and the stage that `tuned` the guidance scale."""

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
    """The cell's autoencoder with averaged weights, without gradients; ValueError where they do not fit."""
    autoencoder = autoencoder_of(cell, data)
    _load(autoencoder, average)
    return autoencoder.eval().requires_grad_(False)


def build(cell: Cell, encoding: Encoding, data: Data, device: torch.device) -> DiffusionLearner:
    """The cell's diffusion with the initial weights of its seed, ready for training."""
    learner = _learner(cell, encoding, data)
    learner.diffusion.initialise(cell.seed)
    return learner.to(device)


def restore(cell: Cell, encoding: Encoding, data: Data, average: dict[str, Tensor]) -> DiffusionLearner:
    """The cell's learner with the averaged weights, loss included; ValueError where they do not fit this cell."""
    learner = _learner(cell, encoding, data)
    _load(learner, average)
    return learner.eval()


def _learner(cell: Cell, encoding: Encoding, data: Data) -> DiffusionLearner:
    learner = DiffusionLearner.of(choices_of(cell), encoding, encoding.shape_of(data.shape), classes_of(cell))
    learner.diffusion.clip = cell.evaluation.clip
    return learner


def _load(module: torch.nn.Module, average: dict[str, Tensor]) -> None:
    try:
        module.load_state_dict(average)
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from error


def load_encoding(cell: Cell, data: Data, journal: Journal, autoencoder: str | None, device: torch.device) -> Encoding:
    """The data's own encoding, or that of a finished autoencoder stage; InputError where its file does not fit."""
    if autoencoder is None:
        return data.encoding
    folder = journal.folder(autoencoder)
    tensors, _ = read_artifact(folder, WEIGHTS)
    try:
        module = restore_autoencoder(cell, data, part(tensors, "average")).to(device)
        scale = part(tensors, "standard")
        shape = cell.space.shape_of(data.shape)
        return LatentCode(module, scale["mean"].to(device), scale["scale"].to(device), data.shape, shape)
    except (ValueError, KeyError) as error:
        raise InputError(f"{folder / WEIGHTS} does not hold the autoencoder of this cell: {error}") from error


def load(cell: Cell, data: Data, journal: Journal, parts: Parts, device: torch.device) -> Model:
    """The cell as its finished stages left it; InputError where a file is missing or does not fit."""
    if cell.horizon == 0:
        encoding = load_encoding(cell, data, journal, parts.autoencoder, device)
        assert isinstance(encoding, LatentCode), "a chain of no steps is an autoencoder's"
        return Vae(encoding)
    return load_learner(cell, data, journal, parts, device).diffusion


def averaged_weights(cell: Cell, folder: Path) -> dict[str, Tensor]:
    """The weights that the cell evaluates, averaged as it says, as a state of its learner, from its training's files;
    ValueError where they cannot be that."""
    tensors, _ = read_artifact(folder, WEIGHTS)
    return cell.average.weights(
        partial(part, tensors), lambda step: read_artifact(folder, snapshot_at(step))[0], cell.training
    )


def load_learner(cell: Cell, data: Data, journal: Journal, parts: Parts, device: torch.device) -> DiffusionLearner:
    """The cell's learner, with loss and diffusion, as its finished stages left it; InputError as `load`."""
    encoding = load_encoding(cell, data, journal, parts.autoencoder, device)
    folder = journal.folder(parts.training)
    try:
        learner = restore(cell, encoding, data, averaged_weights(cell, folder))
    except Damaged:
        raise
    except ValueError as error:
        raise InputError(f"{folder / WEIGHTS} does not hold the weights of this cell: {error}") from error
    if parts.fit is not None:
        fitted, _ = read_artifact(journal.folder(parts.fit), FIT)
        if isinstance(cell.variance, Fitted):
            learner.diffusion.fit(cell.variance.x0_variance(moments_of(fitted)))
        if TERMS in fitted:
            learner.diffusion.fit_terms(fitted[TERMS])
    return learner.to(device)


def moments_of(fitted: dict[str, Tensor]) -> Moments:
    """The moments in the file of a fit."""
    return Moments(**{name: fitted[name] for name in MOMENTS})


def remark_on_fit(cell: Cell, journal: Journal, parts: Parts) -> str:
    """The remark of a cell's fitted variance on its fit; "" without one."""
    if parts.fit is None or not isinstance(cell.variance, Fitted):
        return ""
    return cell.variance.remark(moments_of(read_artifact(journal.folder(parts.fit), FIT)[0]))


M = TypeVar("M", Diffusion, Vae, Model)


def labels_of(cell: Cell, data: Data, split: Split) -> Tensor | None:
    """The labels int64 [N] of a split, −1 where an image has none; None where the cell's network is told none."""
    return data.labels[split] if classes_of(cell) else None


def with_labels(cell: Cell, data: Data, values: Tensor) -> Tensor | Labelled:
    """Values [N, …] of the training split, with their labels where the cell's network is told them."""
    labels = labels_of(cell, data, "train")
    return values if labels is None else Labelled(values, labels)


def labels_of_samples(cell: Cell, data: Data, count: int, label: int | None = None) -> Tensor | None:
    """The labels int64 [count] of the first samples of a cell's seed, or `label` for all of them; None where the
    network is told none."""
    taught = labels_of(cell, data, "train")
    if taught is None:
        return None
    if label is not None:
        return torch.full((count,), label)
    return sample_labels(torch.bincount(taught[taught >= 0]).double(), count, cell.seed)


def given(model: M, labels: Tensor | None) -> M:
    """The model of data with these labels; the same model where it is told none."""
    return model if labels is None or not isinstance(model, Diffusion) else model.given(labels)
