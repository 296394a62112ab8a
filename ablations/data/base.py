"""Data sets with fixed splits and a digest that enters every identity.

Training images teach, validation images select and declare divergence, test images are read once. Of a set that was
published as training and test images

    published training images ─▶ fixed permutation ─▶ validation pool | training pool     published test images
                                                        first n          first m               first n

the pools stand whatever the budget is, so that no image moves from one split to another with it, and the two held-out
splits have equally many images, because FID compares only at one n.
"""

from __future__ import annotations

import hashlib
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from analysis.errors import InputError
from diffusion_core.encodings import Encoding, GreyLevels
from diffusion_core.refusing import choice_name, line_in

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Labelled = tuple[Tensor, Tensor]
"""Images uint8 [N, …] and their classes int64 [N]."""
CODE_BATCH = 1000
CODE_VALUES = CODE_BATCH * 3 * 32**2
"""Values that are counted at once, where fewer examples have as many."""
KEPT = 4
"""The number of sets that a process keeps in memory."""
FEWEST = 5
"""Images that each split needs: with fewer, precision and recall have no third neighbour."""

_LOADING = threading.RLock()


@dataclass(frozen=True, eq=False)
class Data:
    """Stored values [N, …] per split (uint8 images or float32 points), their labels, and how they are encoded.

    Labels, where there are some, are int64 [N] per split: classes 0..K − 1, and −1 where an example has none.
    `codes` are bits/dim on the test split of codes that need no network, by name. One process shares the tensors:
    they are read, never written to.
    """

    images: dict[Split, Tensor]
    labels: dict[Split, Tensor]
    encoding: Encoding
    codes: dict[str, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.images["train"].shape[1:])

    @cached_property
    def digest(self) -> str:
        return _digest(self.images[split] for split in SPLITS)

    @cached_property
    def labels_digest(self) -> str:
        return _digest(self.labels[split] for split in SPLITS)

    @cached_property
    def classes(self) -> int:
        """K, the number of classes; 0 where there are no labels, or none that a model could be told."""
        return 0 if self.unlabelled else 1 + int(self.labels["train"].max())

    @cached_property
    def unlabelled(self) -> str | None:
        """The reason why a model cannot be told its labels, in words that follow a data set's name; None if it can."""
        if not self.labels:
            return "has no labels (digits, fashion_mnist, cifar10, mixture2d and folders of classes have)"
        if wrong := self._mislabelled(SPLITS):
            return f"has wrong labels: {wrong}"
        taught, *others = (set(self.labels[split].tolist()) - {-1} for split in SPLITS)
        if not taught or taught.union(*others) != set(range(len(taught))):
            return f"has training examples of {len(taught)} classes: number them from 0, each with one (−1: no label)"
        return None

    @cached_property
    def unfit(self) -> str:
        """The reason why no stage can use it, with what is expected; "" if there is none."""
        if set(self.images) != set(SPLITS):
            return f"there must be the splits {', '.join(SPLITS)}, and there are {', '.join(self.images)}"
        for split, images in self.images.items():
            if images.shape[1:] != self.shape:
                return f"examples must be {list(self.shape)} as in train, and are {list(images.shape[1:])} in {split}"
            if not isinstance(self.encoding, GreyLevels):
                if not images.isfinite().all():
                    return f"points must be finite, and some are not in {split}"
            elif images.dtype != torch.uint8 or images.dim() != 4:
                return f"images must be uint8 [N, C, H, W], and are {images.dtype} {list(images.shape)} in {split}"
            elif images.numel() and int(images.max()) >= self.encoding.levels:
                return f"grey levels must lie in 0..{self.encoding.levels - 1}, and reach {images.max()} in {split}"
        return self._mislabelled(self.labels)

    def _mislabelled(self, splits: Iterable[Split]) -> str:
        """The first fault of these splits' labels, in words; "" where there is one int64 for each example."""
        for split in splits:
            labels, n = self.labels.get(split), len(self.images[split])
            if labels is None or labels.dtype != torch.int64 or labels.shape != (n,):
                actual = "none" if labels is None else f"{labels.dtype} {list(labels.shape)}"
                return f"labels must be int64 [{n}], one per example, and are {actual} in {split}"
        return ""


def _digest(tensors: Iterable[Tensor]) -> str:
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(np.ascontiguousarray(tensor.numpy()).data)
    return sha.hexdigest()[:12]


class DataSet(ABC):
    """A data set. `where` names the fields that say where files lie, or what is known of them: the digest stands for
    what they hold, so that these fields are no part of an identity. `mirrors` is True where the mirror image of each
    is as likely as itself: no letter, nothing that always points one way.
    """

    where: ClassVar[tuple[str, ...]] = ()
    mirrors: bool = False

    @property
    @abstractmethod
    def extractor(self) -> str | None:
        """The features that its images are judged by, by name; None for points, and for images that nothing judges.
        A class may say it as an attribute."""

    def load(self) -> Data:
        """The data, read or made once in a process; InputError that says how to get it where it is missing."""
        with _LOADING:
            return _loaded(self)

    def described(self) -> Data:
        """The data as plans and ids read them: their shape, counts, digests and classes, never a value. A set of which
        these are known needs no files for that; its tensors then have no values (device "meta")."""
        return self.load()

    @abstractmethod
    def read(self) -> Data:
        """Read or make it."""


class Published(DataSet):
    """A set of which the first `train_images` and `held_out_images` of its pools are taken."""

    root: str
    train_images: int
    held_out_images: int

    where: ClassVar[tuple[str, ...]] = ("root",)
    unread: ClassVar[tuple[str, ...]] = ("download",)

    def __post_init__(self) -> None:
        if min(self.train_images, self.held_out_images) < FEWEST:
            raise ValueError(f"{choice_name(self)} needs train_images and held_out_images of at least {FEWEST}")

    def split(self, train: Labelled, test: Labelled, one_in: int) -> tuple[dict[Split, Tensor], dict[Split, Tensor]]:
        """Images and labels per split, where one in so many training images validates; InputError where there are not
        as many as are asked for."""
        order = torch.randperm(len(train[0]), generator=torch.Generator().manual_seed(0))
        validation, training = torch.split(order, [pool := len(order) // one_in, len(order) - pool])
        for key, most in (("train_images", len(training)), ("held_out_images", min(pool, len(test[0])))):
            if (asked := getattr(self, key)) > most:
                name = choice_name(self)
                raise InputError(f"{name} has {most} images for data.{key}, got {asked}: ask for {most} or fewer")
        rows = training[: self.train_images], validation[: self.held_out_images], torch.arange(self.held_out_images)
        chosen = list(zip(SPLITS, (train, train, test), rows, strict=True))
        images, labels = ({split: source[i][index] for split, source, index in chosen} for i in (0, 1))
        return images, labels


@lru_cache(maxsize=KEPT)
def _loaded(choice: DataSet) -> Data:
    try:
        data = choice.read()
        if data.unfit:
            raise ValueError(data.unfit)
        return data
    except Exception as error:
        if isinstance(error, InputError) or type(choice).__module__.startswith(f"{__package__}."):
            raise
        # What a class from outside raises is told in one line, as every wrong choice is.
        reason = f"{type(error).__name__}: {error}{line_in(error, type(choice))}"
        raise InputError(f"the data set {type(choice).__qualname__} cannot be read ({reason})") from error


def image_data(images: dict[Split, Tensor], labels: dict[Split, Tensor], levels: int) -> Data:
    """Images of so many grey levels, with their histogram codes; ValueError for what are no such images."""
    data = Data(images, labels, GreyLevels(levels))
    if data.unfit:
        raise ValueError(data.unfit)
    return replace(data, codes=histogram_codes(images["train"], images["test"], levels))


def histogram_codes(train: Tensor, test: Tensor, levels: int) -> dict[str, float]:
    """bits/dim on `test` of a uniform code, one histogram of all pixels, one per pixel (counts of `train` plus one).

    A pixel is a position in a channel.
    """
    first = torch.arange(math.prod(train.shape[1:])) * levels
    counts = torch.zeros(len(first) * levels, dtype=torch.float64)
    for part in chunks(train):
        counts += torch.bincount((first + part).flatten(), minlength=len(counts))
    per_pixel = counts.view(-1, levels)
    everywhere = per_pixel.sum(0) + 1
    log_everywhere = torch.log2(everywhere / everywhere.sum())
    per_pixel += 1
    log_per_pixel = torch.log2(per_pixel / per_pixel.sum(-1, keepdim=True)).flatten()
    bits = {"one histogram": 0.0, "histogram per pixel": 0.0}
    for part in chunks(test):
        bits["one histogram"] -= float(log_everywhere[part.long()].sum())
        bits["histogram per pixel"] -= float(log_per_pixel[first + part].sum())
    return {"uniform code": math.log2(levels), **{name: total / test.numel() for name, total in bits.items()}}


def chunks(examples: Tensor) -> tuple[Tensor, ...]:
    """The examples, each flat, in runs that are counted at once: their places take eight times the memory."""
    flat = examples.flatten(1)
    return torch.split(flat, max(1, min(CODE_BATCH, CODE_VALUES // flat.shape[1])))
