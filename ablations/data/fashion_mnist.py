"""Fashion-MNIST (Xiao et al. 2017): 70,000 grey pictures of clothes in ten classes, read from its idx files.

    idx file = 00 00 08 d │ d sizes, 4 bytes each, big-endian │ bytes

The pictures are padded to a side that halves down to one pixel, so that any U-Net takes them.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from ablations.data.base import SPLITS, Data, Labelled, Published, image_data
from ablations.data.download import PublishedFile, fetch
from analysis.errors import InputError
from diffusion_core.encodings import GreyLevels

DEBIAN = "/usr/share/datasets/fashion-mnist"
RAW = Path("FashionMNIST") / "raw"
"""The folder of torchvision's root that has the files."""
ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
PUBLISHED = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}
DIGESTS = {
    (16, 10_000, 1_000, 256): ("5bd6c0d6a1b6", "70b870549704"),
    (16, 10_000, 1_000, 17): ("8913a85723d8", "70b870549704"),
    (32, 10_000, 1_000, 256): ("c2cc0673d4c0", "70b870549704"),
}
"""The digests of images and of labels, by size, training images, held-out images and levels: the default, what
committed grids read, and the larger side. What is asked of these needs no files as long as nothing is trained."""
CLASSES = 10


@dataclass(frozen=True)
class FashionMnist(Published):
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
    published: ClassVar[tuple[PublishedFile, ...]] = tuple(
        PublishedFile(f"{ADDRESS}/{name}.gz", "md5", digest) for name, digest in PUBLISHED.items()
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.levels <= 256 or 256 % self.levels >= 256 // self.levels:
            raise ValueError(f"fashion_mnist has no {self.levels} levels of one width: take 16, 17, 32, 64 or 256, say")

    @property
    def extractor(self) -> str | None:
        """The classifier of clothes, which knows 256 grey levels."""
        return "fashion-cnn" if self.levels == 256 else None

    def described(self) -> Data:
        digests = DIGESTS.get((self.size, self.train_images, self.held_out_images, self.levels))
        if digests is None or self._folder() is not None:
            return self.load()
        counts = (self.train_images, self.held_out_images, self.held_out_images)
        shells = [torch.empty(n, 1, self.size, self.size, dtype=torch.uint8, device="meta") for n in counts]
        data = Data(dict(zip(SPLITS, shells, strict=True)), {}, GreyLevels(self.levels))
        # Where `cached_property` keeps what is worked out.
        vars(data).update(digest=digests[0], labels_digest=digests[1], classes=CLASSES, unlabelled=None)
        return data

    def read(self) -> Data:
        if (folder := self._folder()) is None:
            if not self.download:
                raise InputError(
                    f"fashion_mnist is not in data.root={self.root}: data.download=true fetches it; or `apt install "
                    f"dataset-fashion-mnist` puts it into {DEBIAN}; or name torchvision's folder, the one that holds "
                    f"{RAW}, with data.root=PATH"
                )
            folder = self._home()
            for file in self.published:
                fetch(file, folder)
        train, test = (_labelled(folder, name) for name in ("train", "t10k"))
        # One in six of the published training images validates: 10,000 of 60,000, as many as test.
        images, labels = self.split(train, test, one_in=6)
        shaped = {split: padded(part) if self.size == 32 else halved(padded(part)) for split, part in images.items()}
        return image_data({split: levelled(part, self.levels) for split, part in shaped.items()}, labels, self.levels)

    def _folder(self) -> Path | None:
        """The folder that has all files, gzipped or not; None where there is none."""
        root = Path(self.root).expanduser()
        for folder in (root, root / RAW, self._home()):
            if all((folder / name).is_file() or (folder / f"{name}.gz").is_file() for name in PUBLISHED):
                return folder
        return None

    def _home(self) -> Path:
        """The folder that files are fetched to: none of Debian's, which is no place for others to write."""
        return (Path("data") if self.root == DEBIAN else Path(self.root).expanduser()) / RAW


def padded(images: Tensor) -> Tensor:
    """[N, 28, 28] → [N, 1, 32, 32], two zeros on every side."""
    return pad(images, (2, 2, 2, 2))[:, None]


def halved(images: Tensor) -> Tensor:
    """uint8 [N, 1, 2h, 2w] → [N, 1, h, w]: means over 2×2, rounded, halves up."""
    return (avg_pool2d(images.float(), 2) + 0.5).floor().to(torch.uint8)


def levelled(images: Tensor, levels: int) -> Tensor:
    """8 bits → levels 0..`levels` − 1 of equal width; the brightest takes what is left over."""
    return (images // (256 // levels)).clamp(max=levels - 1)


def _labelled(folder: Path, part: str) -> Labelled:
    images, labels = (_read(folder, name) for name in PUBLISHED if name.startswith(part))
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or int(labels.max()) >= CLASSES:
        raise InputError(
            f"fashion_mnist: {folder} holds {part} images {list(images.shape)} and labels {list(labels.shape)}: "
            "expected [N, 28, 28] and [N], labels 0..9"
        )
    return images, labels.long()


def _read(folder: Path, name: str) -> Tensor:
    """The values of an idx file; InputError that names it where it is damaged."""
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        content = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
        if content[:3] != b"\0\0\x08" or len(content) < 4:
            raise ValueError("it is no idx file of bytes")
        shape = np.frombuffer(content, ">u4", count=content[3], offset=4).tolist()
        return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape).copy())
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"fashion_mnist: {folder} has a damaged {name} ({error}): get it again") from error
