"""Published files that come by themselves where a person asks for them, fetched once, verified and put in place whole;
and sets that were published as training and test images.

    published training images ─▶ fixed permutation ─▶ validation pool | training pool     published test images
                                                        first n          first m               first n

The pools stand whatever the budget is, so that no image moves from one split to another with it, and the two held-out
splits have equally many images, because FID compares only at one n.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ablations.data.base import FEWEST, SPLITS, DataSet, Split
from analysis.errors import InputError
from analysis.files import replace_file
from diffusion_core.refusing import choice_name

Labelled = tuple[Tensor, Tensor]
"""Images uint8 [N, …] and their classes int64 [N]."""

MIRROR = "DIFFUSION_ABLATIONS_MIRROR"
"""The environment variable for another place, http(s):// or file://, where all files lie under their own names."""


@dataclass(frozen=True)
class PublishedFile:
    """A file at its official address, and the digest, in hex, that tells it from any other."""

    url: str
    algorithm: Literal["md5", "sha256"]
    digest: str

    @property
    def name(self) -> str:
        """The name of the file, at its address and here."""
        return self.url.rpartition("/")[2]

    def is_at(self, path: Path) -> bool:
        """True where this very file lies there."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest() == self.digest


def fetch(file: PublishedFile, folder: Path) -> Path:
    """FOLDER/NAME, fetched unless that very file is there already; InputError where it cannot be had."""
    path, mirror = folder / file.name, os.environ.get(MIRROR)
    address = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url

    def receive(temporary: Path) -> None:
        torch.hub.download_url_to_file(address, str(temporary), progress=sys.stderr.isatty())
        if not file.is_at(temporary):
            raise ValueError(f"what came was cut, or is another file: its {file.algorithm} is not {file.digest}")

    try:
        if not file.is_at(path):
            replace_file(path, receive)
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(
            f"{address} cannot be fetched into {folder} ({error}): put it there, or name a mirror by {MIRROR}"
        ) from error
    return path


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
        taken = training[: self.train_images], validation[: self.held_out_images], torch.arange(self.held_out_images)
        chosen = list(zip(SPLITS, (train, train, test), taken, strict=True))
        images, labels = ({split: source[i][index] for split, source, index in chosen} for i in (0, 1))
        return images, labels
