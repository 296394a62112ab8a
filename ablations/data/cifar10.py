"""CIFAR-10 (Krizhevsky 2009): 60,000 colour pictures of ten classes, 32×32, from the files of its binary archive.

    cifar-10-batches-bin/data_batch_1.bin … data_batch_5.bin, test_batch.bin
    file = 10,000 records of a label and 3072 bytes: the red, the green, the blue plane, each row by row

The archive for Python holds the same pictures in the same order, as pickles. A pickle is a program: none is read.
"""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from ablations.data.base import Data, DataSet, image_data
from ablations.data.download import Published, fetch
from ablations.data.sources import Labelled, budgeted, check_sizes
from analysis.errors import InputError
from analysis.files import replace_file

FOLDER, PICKLES = "cifar-10-batches-bin", "cifar-10-batches-py"
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
"""Bytes of a label and a picture."""
LARGEST = 10_000 * RECORD
"""Bytes of a batch."""
TRAINING = [f"data_batch_{i}.bin" for i in range(1, 6)]
TEST = ["test_batch.bin"]
VALIDATION = 10
"""One in so many of the published training images validates: 5,000 of 50,000."""


@dataclass(frozen=True)
class Cifar10(DataSet):
    """32×32, three colours of 8 bits. `root` holds cifar-10-batches-bin.

    From pools of 45,000 / 5,000 / 10,000 the first `train_images` and the first `held_out_images` of validation and of
    test are taken. With `download` the files come by themselves where `root` lacks one.
    """

    root: str = "data"
    train_images: int = 10_000
    held_out_images: int = 1_000
    download: bool = field(default=False, compare=False)

    extractor: ClassVar[str | None] = "inception-v3-compat"
    where: ClassVar[tuple[str, ...]] = ("root",)
    mirrors = True
    unread: ClassVar[tuple[str, ...]] = ("download",)
    # Its page publishes an MD5, c32a1d4ab5d03f1284b67883e8d87530. This is the same file's digest as other libraries
    # check it (MLDatasets.jl, GoMLX), which cannot be forged.
    published: ClassVar[Published] = Published(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "sha256",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    )

    def __post_init__(self) -> None:
        check_sizes("cifar10", self.train_images, self.held_out_images)

    def read(self) -> Data:
        root = Path(self.root).expanduser()
        if self.download and not _is_complete(root):
            _unpack(fetch(self.published, root), root)
        folder = _folder(root)
        train, test = _labelled(folder, TRAINING), _labelled(folder, TEST)
        validation = len(train[0]) // VALIDATION
        images, labels = budgeted("cifar10", train, test, validation, self.train_images, self.held_out_images)
        return image_data(images, labels, levels=256)


def _is_complete(root: Path) -> bool:
    return all((root / FOLDER / name).is_file() for name in TRAINING + TEST)


def _folder(root: Path) -> Path:
    """The folder of the batches; InputError where they are not all there."""
    if not _is_complete(root):
        pickles = f"; its {PICKLES} is another form, which is not read" if (root / PICKLES).is_dir() else ""
        raise InputError(
            f"cifar10 is not in data.root={root}{pickles}: data.download=true fetches it; or unpack "
            "cifar-10-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html, and name the folder that holds "
            f"{FOLDER} with data.root=PATH"
        )
    return root / FOLDER


def _unpack(archive: Path, root: Path) -> None:
    """Unpack the batches of an archive, and nothing else that it may hold."""
    try:
        with tarfile.open(archive, "r:gz") as content:
            for batch in TRAINING + TEST:
                name = f"{FOLDER}/{batch}"
                if (member := content.extractfile(name)) is None:
                    raise KeyError(f"its {name} is no file")
                _check_length(content.getmember(name).size)
                replace_file(root / name, methodcaller("write_bytes", member.read()))
    except (OSError, EOFError, KeyError, ValueError, zlib.error, tarfile.TarError) as error:
        raise InputError(
            f"cifar10: {archive} cannot be unpacked ({error}): mend that, or unpack it yourself"
        ) from error


def _labelled(folder: Path, batches: list[str]) -> Labelled:
    records = np.concatenate([_records(folder / name) for name in batches])
    labels = torch.from_numpy(records[:, 0].astype(np.int64))
    return torch.from_numpy(records[:, 1:].reshape(-1, *SHAPE)), labels


def _records(path: Path) -> np.ndarray:
    """The records [N, 3073] of a file; InputError if it is no batch."""
    try:
        _check_length(path.stat().st_size)
        content = path.read_bytes()
        if not content or len(content) % RECORD:
            raise ValueError(f"{len(content)} bytes are no records of {RECORD}")
        records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
        if records[:, 0].max() > 9:
            raise ValueError("a label is none of 0..9")
    except (OSError, ValueError) as error:
        raise InputError(f"cifar10: {path} is no batch ({error}): get it again") from error
    return records


def _check_length(count: int) -> None:
    """ValueError for more bytes than a batch has."""
    if count > LARGEST:
        raise ValueError(f"it has {count} bytes, and a batch of 10,000 pictures {LARGEST}: none was read")
