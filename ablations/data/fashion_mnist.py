"""Fashion-MNIST (Xiao et al. 2017): 70,000 grey pictures of clothes in ten classes, read from its idx files.

    idx file = 00 00 08 d │ d sizes, 4 bytes each, big-endian │ bytes

The pictures are padded to a side that halves down to one pixel, so that any U-Net takes them.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ablations.data.base import SPLITS, Data, DataSet, image_data
from ablations.data.download import Published, fetch
from ablations.data.sources import Labelled, budgeted, check_sizes
from analysis.errors import InputError
from diffusion_core.encodings import GreyLevels

DEBIAN = "/usr/share/datasets/fashion-mnist"
RAW = Path("FashionMNIST") / "raw"
"""The folder of torchvision's root that has the files."""
HOME = "data"
"""The root that they are fetched to where none of the user's own is named: Debian's is no place for others to write."""
ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
LARGEST = 16 + 70_000 * 28 * 28
"""Bytes of an idx file with every picture there is; a file of a few kilobytes can be packed so that it unpacks to more
than any memory holds."""
DIGESTS = {
    (16, 10_000, 1_000, 256): ("5bd6c0d6a1b6", "70b870549704"),
    (16, 10_000, 1_000, 17): ("8913a85723d8", "70b870549704"),
    (32, 10_000, 1_000, 256): ("c2cc0673d4c0", "70b870549704"),
}
"""The digests of images and of labels, by size, training images, held-out images and levels: the default, what
committed grids read, and the larger side. What is asked of these needs no files as long as nothing is trained."""
CLASSES = 10
VALIDATION = 6
"""One in so many of the published training images validates: 10,000 of 60,000, as many as test."""


@dataclass(frozen=True)
class FashionMnist(DataSet):
    """28×28 grey levels of 8 bits, padded with zeros to 32×32; `size` 16 is the mean over 2×2 of these, rounded.

    With `levels` below 256 the same pictures have so few grey levels, so that they are dequantised as digits are;
    nothing judges these (their `extractor` is None). `root` holds the four idx files, gzipped or not, as Debian's
    package does, or torchvision's FashionMNIST/raw. From pools of 50,000 / 10,000 / 10,000 the first `train_images`
    and the first `held_out_images` of validation and of test are taken. With `download` they come by themselves where
    `root` has none: into its FashionMNIST/raw, or data's.
    """

    root: str = DEBIAN
    size: Literal[32, 16] = 16
    train_images: int = 10_000
    held_out_images: int = 1_000
    levels: int = 256
    download: bool = field(default=False, compare=False)

    younger: ClassVar[tuple[str, ...]] = ("levels",)
    where: ClassVar[tuple[str, ...]] = ("root",)
    unread: ClassVar[tuple[str, ...]] = ("download",)
    published: ClassVar[tuple[Published, ...]] = (
        Published(f"{ADDRESS}/train-images-idx3-ubyte.gz", "md5", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Published(f"{ADDRESS}/train-labels-idx1-ubyte.gz", "md5", "25c81989df183df01b3e8a0aad5dffbe"),
        Published(f"{ADDRESS}/t10k-images-idx3-ubyte.gz", "md5", "bef4ecab320f06d8554ea6380940ec79"),
        Published(f"{ADDRESS}/t10k-labels-idx1-ubyte.gz", "md5", "bb300cfdad3c16e7a12a480ee83cd310"),
    )

    def __post_init__(self) -> None:
        check_sizes("fashion_mnist", self.train_images, self.held_out_images)
        if not 2 <= self.levels <= 256:
            raise ValueError(f"fashion_mnist needs levels of 2 to 256, got {self.levels}")
        left_over = 256 % self.levels
        if left_over >= 256 // self.levels:
            raise ValueError(
                f"fashion_mnist has no {self.levels} levels of one width: {left_over} of its 256 are left over; "
                "take 16, 17, 32 or 64, say"
            )

    @property
    def extractor(self) -> str | None:
        """The classifier of clothes, which knows 256 grey levels."""
        return "fashion-cnn" if self.levels == 256 else None

    def described(self) -> Data:
        known = DIGESTS.get((self.size, self.train_images, self.held_out_images, self.levels))
        if known is None or _complete(Path(self.root).expanduser()):
            return self.load()
        counts = (self.train_images, self.held_out_images, self.held_out_images)
        shells = [torch.empty(n, 1, self.size, self.size, dtype=torch.uint8, device="meta") for n in counts]
        data = Data(dict(zip(SPLITS, shells, strict=True)), {}, GreyLevels(self.levels))
        return data.remembering(digest=known[0], labels_digest=known[1], classes=CLASSES, unlabelled=None)

    def read(self) -> Data:
        folder = self._folder()
        train, test = _labelled(folder, "train"), _labelled(folder, "t10k")
        validation = len(train[0]) // VALIDATION
        images, labels = budgeted("fashion_mnist", train, test, validation, self.train_images, self.held_out_images)
        shaped = {split: padded(part) if self.size == 32 else halved(padded(part)) for split, part in images.items()}
        coarse = {split: levelled(part, self.levels) for split, part in shaped.items()}
        return image_data(coarse, labels, self.levels)

    def _folder(self) -> Path:
        """The folder that has the files, fetched to where that is asked for."""
        root = Path(self.root).expanduser()
        if complete := _complete(root):
            return complete
        if not self.download:
            raise InputError(
                f"fashion_mnist is not in data.root={root}: data.download=true fetches it; or `apt install "
                f"dataset-fashion-mnist` puts it into {DEBIAN}; or name torchvision's folder, the one that holds "
                f"{RAW}, with data.root=PATH"
            )
        home = Path(HOME) if self.root == DEBIAN else root
        if complete := _complete(home):
            return complete
        for file in self.published:
            fetch(file, home / RAW)
        return home / RAW


def padded(images: Tensor) -> Tensor:
    """[N, 28, 28] → [N, 1, 32, 32], two zeros on every side."""
    return pad(images, (2, 2, 2, 2))[:, None]


def halved(images: Tensor) -> Tensor:
    """uint8 [N, 1, 2h, 2w] → [N, 1, h, w]: means over 2×2, rounded, halves up."""
    n, channels, height, width = images.shape
    blocks = images.view(n, channels, height // 2, 2, width // 2, 2)
    return ((blocks.sum((3, 5), dtype=torch.int16) + 2) // 4).to(torch.uint8)


def levelled(images: Tensor, levels: int) -> Tensor:
    """8 bits → levels 0..`levels` − 1 of equal width; the brightest takes what is left over."""
    return (images // (256 // levels)).clamp(max=levels - 1)


def _complete(root: Path) -> Path | None:
    """The folder of a root that has all four files; None where there is none."""
    for folder in (root, root / RAW):
        if all(_path(folder, split, kind) for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")):
            return folder
    return None


def _path(folder: Path, split: str, kind: str) -> Path | None:
    name = f"{split}-{kind}-ubyte"
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _labelled(folder: Path, split: str) -> Labelled:
    images, labels = (_read(folder, split, kind) for kind in ("images-idx3", "labels-idx1"))
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or int(labels.max(initial=0)) >= CLASSES:
        raise InputError(
            f"fashion_mnist: {folder} holds {split} images {list(images.shape)} and labels {list(labels.shape)}: "
            "expected [N, 28, 28] and [N], labels 0..9"
        )
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def _read(folder: Path, split: str, kind: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    path = _path(folder, split, kind)
    assert path is not None
    try:
        return idx(_content(path))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"fashion_mnist: {path} is damaged ({error}): get it again") from error


def _content(path: Path) -> bytes:
    """The content of a file, unpacked; ValueError where that is more than any file of this set has."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it holds more than {LARGEST} bytes, those of 70,000 pictures: nothing more was unpacked")
    return content


def idx(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The array of bytes that an idx file holds; ValueError if it is none."""
    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError("it is no idx file of bytes")
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4).tolist()
    values = len(content) - 4 - 4 * content[3]
    if math.prod(shape) != values:
        raise ValueError(f"it announces {' × '.join(map(str, shape))} values and holds {values}")
    return np.frombuffer(content, np.uint8, offset=len(content) - values).reshape(shape).copy()
