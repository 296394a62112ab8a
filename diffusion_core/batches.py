"""The batches of a training: the stored examples of a step, and which of them are mirrored, by (seed, step) alone.

Each epoch visits all examples in an order of its own. A flip mirrors an image from left to right, with probability ½
and drawn anew at each step, for data whose mirror images are equally likely: so few data last longer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from diffusion_core.conditioning import check_labels
from diffusion_core.randomness import draw, send


class Labelled(NamedTuple):
    """Stored data [N, …] and the label of each, int64 [N]: its class 0..K − 1, or −1 where it has none."""

    values: Tensor
    labels: Tensor


Data = Tensor | Labelled
"""Stored data, with labels or without."""


def parts(data: Data, classes: int) -> tuple[Tensor, Tensor | None]:
    """Stored data [N, …], and their labels if K = `classes` > 0; ValueError where these are needed and missing."""
    values, labels = data if isinstance(data, Labelled) else (data, None)
    if not classes:
        return values, None
    if labels is None or len(labels) != len(values):
        actual = "none" if labels is None else f"{len(labels)} for {len(values)} examples"
        raise ValueError(f"a training with labels of {classes} classes takes Labelled(values, labels), got {actual}")
    check_labels(labels, classes)
    return values, labels


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, count: int) -> Tensor:
    """The order in which an epoch visits the data, int64 [count]."""
    return torch.randperm(count, generator=draw(seed, epoch, "batch"))


def batch_indices(seed: int, step: int, count: int, batch: int) -> Tensor:
    """Indices int64 [batch] of a step: epochs one after the other, each a permutation of its own."""
    start = step * batch
    epochs = range(start // count, (start + batch - 1) // count + 1)
    offset = start - epochs[0] * count
    # Most batches lie within one epoch, whose order may be long: it is not copied.
    orders = [permutation(seed, epoch, count) for epoch in epochs]
    return (torch.cat(orders) if len(orders) > 1 else orders[0])[offset : offset + batch]


def fetched(data: Tensor, indices: Tensor, device: torch.device) -> Tensor:
    """Rows of stored data [N, …] on a device, by their indices on the CPU."""
    return data[send(indices, device)] if data.device.type == device.type else send(data[indices], device)


def flips(seed: int, step: int, batch: int) -> Tensor:
    """The examples of a step's batch that are mirrored, bool [batch]."""
    return torch.rand(batch, generator=draw(seed, step, "flip")) < 0.5


def flipped(images: Tensor, mirrored: Tensor) -> Tensor:
    """Images [B, C, H, W], those that are `mirrored` [B] from left to right."""
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)
