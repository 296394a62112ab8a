"""Fashion-MNIST (Xiao et al. 2017): 70,000 grey pictures of clothes in ten classes, read from its idx files.

    idx file = 00 00 08 d │ d sizes, 4 bytes each, big-endian │ bytes

The pictures are padded to a side that halves down to one pixel, so that any U-Net takes them.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ablations.data.base import Data, DataSet, image_data
from ablations.data.sources import Labelled, budgeted, check_sizes
from analysis.errors import InputError

DEBIAN = "/usr/share/datasets/fashion-mnist"
VALIDATION = 6
"""One in so many of the published training images validates: 10,000 of 60,000, as many as test."""


@dataclass(frozen=True)
class FashionMnist(DataSet):
    """28×28 grey levels of 8 bits, padded with zeros to 32×32; `size` 16 is the mean over 2×2 of these, rounded.

    `root` holds the four idx files, gzipped or not, as Debian's package does, or torchvision's FashionMNIST/raw. From
    pools of 50,000 / 10,000 / 10,000 the first `train_images` and the first `held_out_images` of validation and of test
    are taken.
    """

    root: str = DEBIAN
    size: Literal[32, 16] = 16
    train_images: int = 10_000
    held_out_images: int = 1_000

    extractor: ClassVar[str | None] = "fashion-cnn"
    where: ClassVar[tuple[str, ...]] = ("root",)

    def __post_init__(self) -> None:
        check_sizes("fashion_mnist", self.train_images, self.held_out_images)

    def read(self) -> Data:
        folder = _folder(Path(self.root).expanduser())
        train, test = _labelled(folder, "train"), _labelled(folder, "t10k")
        validation = len(train[0]) // VALIDATION
        images, labels = budgeted("fashion_mnist", train, test, validation, self.train_images, self.held_out_images)
        shaped = {split: padded(part) if self.size == 32 else halved(padded(part)) for split, part in images.items()}
        return image_data(shaped, labels, levels=256)


def padded(images: Tensor) -> Tensor:
    """[N, 28, 28] → [N, 1, 32, 32], two zeros on every side."""
    return pad(images, (2, 2, 2, 2))[:, None]


def halved(images: Tensor) -> Tensor:
    """uint8 [N, 1, 2h, 2w] → [N, 1, h, w]: means over 2×2, rounded, halves up."""
    n, channels, height, width = images.shape
    blocks = images.view(n, channels, height // 2, 2, width // 2, 2)
    return ((blocks.sum((3, 5), dtype=torch.int16) + 2) // 4).to(torch.uint8)


def _folder(root: Path) -> Path:
    """The folder that has the files."""
    for folder in (root, root / "FashionMNIST" / "raw"):
        if all(_path(folder, split, kind) for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")):
            return folder
    raise InputError(
        f"fashion_mnist is not in data.root={root}: `apt install dataset-fashion-mnist` puts it into {DEBIAN}; "
        "or name torchvision's folder, the one that holds FashionMNIST/raw, with data.root=PATH"
    )


def _path(folder: Path, split: str, kind: str) -> Path | None:
    name = f"{split}-{kind}-ubyte"
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _labelled(folder: Path, split: str) -> Labelled:
    images, labels = (_read(folder, split, kind) for kind in ("images-idx3", "labels-idx1"))
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or int(labels.max(initial=0)) > 9:
        raise InputError(
            f"fashion_mnist: {folder} holds {split} images {list(images.shape)} and labels {list(labels.shape)}: "
            "expected [N, 28, 28] and [N], labels 0..9"
        )
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def _read(folder: Path, split: str, kind: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    path = _path(folder, split, kind)
    assert path is not None
    try:
        content = path.read_bytes()
        return idx(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"fashion_mnist: {path} is damaged ({error}): get it again") from error


def idx(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The array of bytes that an idx file holds; ValueError if it is none."""
    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError("it is no idx file of bytes")
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4).tolist()
    values = len(content) - 4 - 4 * content[3]
    if math.prod(shape) != values:
        raise ValueError(f"it announces {' × '.join(map(str, shape))} values and holds {values}")
    return np.frombuffer(content, np.uint8, offset=len(content) - values).reshape(shape).copy()
