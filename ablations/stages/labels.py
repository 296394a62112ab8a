"""Labels as a cell's network is told them: those of its data, and those of samples, which have the classes of the
training data in the same shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from ablations.data.base import Data, Split
from ablations.settings.cell import Cell
from ablations.settings.choices import classes_of
from diffusion_core.batches import Labelled
from diffusion_core.conditioning import sample_labels
from diffusion_core.diffusion import Diffusion

if TYPE_CHECKING:
    from diffusion_core.vae import Vae

M = TypeVar("M", "Diffusion", "Vae", "Diffusion | Vae")


def labels_of(cell: Cell, data: Data, split: Split) -> Tensor | None:
    """The labels int64 [N] of a split, −1 where there is none; None where the cell's network is told none."""
    return data.labels[split] if classes_of(cell) else None


def with_labels(cell: Cell, data: Data, split: Split, values: Tensor) -> Tensor | Labelled:
    """Values [N, …] of a split with their labels, where the cell's network is told them."""
    labels = labels_of(cell, data, split)
    return values if labels is None else Labelled(values, labels)


def labels_of_samples(cell: Cell, data: Data, count: int, label: int | None = None) -> Tensor | None:
    """The labels int64 [count] of the first samples of a cell's seed, or all of them `label`; None where the network is
    told none."""
    taught = labels_of(cell, data, "train")
    if taught is None:
        return None
    if label is not None:
        return torch.full((count,), label)
    return sample_labels(torch.bincount(taught[taught >= 0]).double(), count, cell.seed)


def given(model: M, labels: Tensor | None) -> M:
    """The model of data with these labels; itself where it is told none."""
    return model if labels is None or not isinstance(model, Diffusion) else model.given(labels)
