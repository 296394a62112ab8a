"""CIFAR-10 (Krizhevsky 2009): 60,000 colour pictures of ten classes, 32×32, in either of its published forms.

    cifar-10-batches-py    pickles of {b"data": uint8 [N, 3072], b"labels": [N], …}, red, green, blue
    cifar-10-batches-bin   N records of a label and 3072 bytes

A pickle is a program. It is run by a reader in which numpy's names stand for classes of this file that only keep what
they are given, and which refuses every other name.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ablations.data.base import Data, DataSet, image_data
from ablations.data.download import Published, fetch, whole
from ablations.data.sources import Labelled, budgeted, check_sizes
from analysis.format.errors import InputError

PICKLES, BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"
SHAPE = (3, 32, 32)
PIXELS = 3072
TRAINING = [f"data_batch_{i}" for i in range(1, 6)]
TEST = ["test_batch"]
LARGEST = 2 * 10_000 * (PIXELS + 1)
"""Bytes of a batch, its pictures and twice as much for what a pickle holds besides."""
VALIDATION = 10
"""One in so many of the published training images validates: 5,000 of 50,000."""

Arrays = tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int]]


@dataclass(frozen=True)
class Cifar10(DataSet):
    """32×32, three colours of 8 bits. `root` holds cifar-10-batches-py (torchvision's) or cifar-10-batches-bin.

    From pools of 45,000 / 5,000 / 10,000 the first `train_images` and the first `held_out_images` of validation and of
    test are taken. With `download` the pickles come by themselves where `root` has neither form.
    """

    root: str = "data"
    train_images: int = 10_000
    held_out_images: int = 1_000
    download: bool = field(default=False, compare=False)

    extractor: ClassVar[str | None] = "inception-v3-compat"
    where: ClassVar[tuple[str, ...]] = ("root",)
    unread: ClassVar[tuple[str, ...]] = ("download",)
    published: ClassVar[Published] = Published(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "md5", "c58f30108f718f92721af3b95e74349a"
    )

    def __post_init__(self) -> None:
        check_sizes("cifar10", self.train_images, self.held_out_images)

    def read(self) -> Data:
        root = Path(self.root).expanduser()
        if self.download and _paths(root, TRAINING + TEST) is None:
            _unpack(fetch(self.published, root), root)
        train, test = _labelled(root, TRAINING), _labelled(root, TEST)
        validation = len(train[0]) // VALIDATION
        images, labels = budgeted("cifar10", train, test, validation, self.train_images, self.held_out_images)
        return image_data(images, labels, levels=256)

    def place(self) -> str:
        return str(_found(Path(self.root).expanduser(), TRAINING + TEST)[0].parent)


def _labelled(root: Path, batches: list[str]) -> Labelled:
    parts = [_read(path) for path in _found(root, batches)]
    images = np.concatenate([images for images, _ in parts]).reshape(-1, *SHAPE)
    labels = [label for _, labels in parts for label in labels]
    return torch.from_numpy(images), torch.tensor(labels, dtype=torch.int64)


def _found(root: Path, batches: list[str]) -> list[Path]:
    """Files of these batches; InputError where they are not all there."""
    paths = _paths(root, batches)
    if paths is None:
        raise InputError(
            f"cifar10 is not in data.root={root}: data.download=true fetches it; or unpack cifar-10-python.tar.gz or "
            "cifar-10-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html, and name the folder that holds "
            f"{PICKLES} or {BINARY} with data.root=PATH"
        )
    return paths


def _paths(root: Path, batches: list[str]) -> list[Path] | None:
    """Files of these batches in one of the two forms; None where neither has them all."""
    for folder, suffix in ((root / PICKLES, ""), (root / BINARY, ".bin")):
        paths = [folder / f"{batch}{suffix}" for batch in batches]
        if all(path.is_file() for path in paths):
            return paths
    return None


def _unpack(archive: Path, root: Path) -> None:
    """The batches of an archive, and nothing else that it may hold."""
    try:
        with tarfile.open(archive, "r:gz") as content:
            for batch in TRAINING + TEST:
                name = f"{PICKLES}/{batch}"
                if (member := content.extractfile(name)) is None:
                    raise KeyError(f"its {name} is no file")
                _check_length(content.getmember(name).size)
                with whole(root / name) as part:
                    part.write_bytes(member.read())
    except (OSError, EOFError, KeyError, ValueError, zlib.error, tarfile.TarError) as error:
        raise InputError(
            f"cifar10: {archive} cannot be unpacked ({error}): mend that, or unpack it yourself"
        ) from error


def _read(path: Path) -> Arrays:
    try:
        _check_length(path.stat().st_size)
        content = path.read_bytes()
        images, labels = binary_batch(content) if path.suffix == ".bin" else pickled_batch(content)
    except (OSError, ValueError) as error:
        raise InputError(f"cifar10: {path} is no batch ({error}): get it again") from error
    return images, labels


def _check_length(count: int) -> None:
    """ValueError for more bytes than a batch has in either form."""
    if count > LARGEST:
        raise ValueError(f"it has {count} bytes, and a batch of 10,000 pictures {LARGEST} at most: none was read")


def binary_batch(content: bytes) -> Arrays:
    """Pixels [N, 3072] and labels of a file of the binary form; ValueError if it is none."""
    if not content or len(content) % (PIXELS + 1):
        raise ValueError(f"{len(content)} bytes are no records of {PIXELS + 1}")
    records = np.frombuffer(content, np.uint8).reshape(-1, PIXELS + 1)
    return _checked(records[:, 1:], records[:, 0].tolist())


def pickled_batch(content: bytes) -> Arrays:
    """Pixels [N, 3072] and labels of a file of the pickled form, read without running it; ValueError if it is none."""
    try:
        batch = _Reader(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:
        # A damaged program fails in any way.
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(batch, dict):
        raise ValueError(f"it holds a {type(batch).__name__}, not a dictionary")
    data, labels = batch.get(b"data", batch.get("data")), batch.get(b"labels", batch.get("labels"))
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise ValueError("it holds no pixels and labels")
    return _checked(data.values(), labels)


def _checked(images: np.ndarray[Any, np.dtype[np.uint8]], labels: list[Any]) -> Arrays:
    if images.shape != (len(labels), PIXELS) or not len(labels):
        raise ValueError(f"pixels {list(images.shape)} beside {len(labels)} labels: expected [N, {PIXELS}] beside N")
    if not all(isinstance(label, int) and 0 <= label <= 9 for label in labels):
        raise ValueError("a label is none of 0..9")
    return images, labels


class _Dtype:
    """Stands for numpy.dtype. Like `_Array` it takes a state through a method, so that a pickle sets nothing else."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, of which bytes have none."""


class _Array:
    """Stands for numpy.ndarray and for the function that makes one."""

    state: tuple[Any, ...] = ()

    def __init__(self, *_: object) -> None:
        """Class, shape and type that the state will replace."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def values(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The array of bytes; ValueError if it is one of anything else."""
        try:
            _, shape, dtype, fortran, content = self.state
            if not isinstance(dtype, _Dtype) or dtype.code not in ("u1", b"u1"):
                raise ValueError("its pixels are no bytes")
            return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")
        except TypeError as error:
            raise ValueError(f"its pixels are no array: {error}") from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = {("numpy", "dtype"): _Dtype, ("numpy", "ndarray"): _Array}
        for package in ("numpy.core", "numpy._core"):
            known[f"{package}.multiarray", "_reconstruct"] = _Array
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR batch needs; nothing was run")
        return known[module, name]
