"""CIFAR-10 (Krizhevsky 2009): 60,000 colour pictures of ten classes, 32×32, from the files of its binary archive.

    cifar-10-batches-bin/data_batch_1.bin … data_batch_5.bin, test_batch.bin
    file = 10,000 records of a label and 3072 bytes: the red, the green, the blue plane, each row by row

The archive for Python holds the same pictures in the same order, as pickles. A pickle is a program: none is read.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from ablations.data.base import Data, Labelled, Published, image_data
from ablations.data.download import PublishedFile, fetch
from analysis.errors import InputError

FOLDER = "cifar-10-batches-bin"
RECORD = 1 + 3 * 32 * 32
TRAINING, TEST = [f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"]


@dataclass(frozen=True)
class Cifar10(Published):
    """32×32, three colours of 8 bits. `root` holds cifar-10-batches-bin.

    From pools of 45,000 / 5,000 / 10,000 the first `train_images` and the first `held_out_images` of validation and of
    test are taken. With `download` the files come by themselves where `root` lacks one.
    """

    root: str = "data"
    train_images: int = 10_000
    held_out_images: int = 1_000
    download: bool = field(default=False, compare=False)

    extractor: ClassVar[str | None] = "inception-v3-compat"
    mirrors = True
    # Its page publishes an MD5, c32a1d4ab5d03f1284b67883e8d87530. This is the same file's digest as other libraries
    # check it (MLDatasets.jl, GoMLX), which cannot be forged.
    published: ClassVar[PublishedFile] = PublishedFile(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "sha256",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    )

    def read(self) -> Data:
        root = Path(self.root).expanduser()
        folder = root / FOLDER
        if not all((folder / name).is_file() for name in TRAINING + TEST):
            if not self.download:
                raise InputError(
                    f"cifar10 is not in data.root={root}: data.download=true fetches it; or unpack "
                    f"{self.published.name} (not the one of pickles) of https://www.cs.toronto.edu/~kriz/cifar.html, "
                    f"and name the folder that holds {FOLDER} with data.root=PATH"
                )
            with tarfile.open(fetch(self.published, root)) as archive:
                batches = [archive.getmember(f"{FOLDER}/{name}") for name in TRAINING + TEST]
                archive.extractall(root, batches, filter="data")
        # One in ten of the published training images validates: 5,000 of 50,000.
        images, labels = self.split(_labelled(folder, TRAINING), _labelled(folder, TEST), one_in=10)
        return image_data(images, labels, levels=256)


def _labelled(folder: Path, batches: list[str]) -> Labelled:
    """The pictures [N, 3, 32, 32] and classes [N] of some batches; InputError if one is no batch."""
    contents = {name: (folder / name).read_bytes() for name in batches}
    for name, content in contents.items():
        if not content or len(content) % RECORD or max(content[::RECORD]) > 9:
            raise InputError(f"cifar10: {folder / name} is no batch of records of a label 0..9 and 3072 bytes")
    records = torch.from_numpy(np.frombuffer(b"".join(contents.values()), np.uint8).reshape(-1, RECORD).copy())
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long()
