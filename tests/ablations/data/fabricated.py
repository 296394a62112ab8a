"""Files in the genuine formats with made-up pixels, for sets that are not at hand."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image


def noise(n: int, *shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def idx_file(values: np.ndarray) -> bytes:
    """The idx format of bytes: two zeros, the type 8, the number of sizes, the sizes, the values."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def fashion(folder: Path, images: np.ndarray | None = None, compress: bool = True, **replaced: bytes) -> None:
    """The four files of Fashion-MNIST, 60 + 12 images; `replaced` gives files' content by name."""
    folder.mkdir(parents=True, exist_ok=True)
    train = noise(60, 28, 28, seed=1) if images is None else images
    contents = {
        "train-images-idx3-ubyte": idx_file(train),
        "train-labels-idx1-ubyte": idx_file((np.arange(len(train)) % 10).astype(np.uint8)),
        "t10k-images-idx3-ubyte": idx_file(noise(12, 28, 28, seed=2)),
        "t10k-labels-idx1-ubyte": idx_file((np.arange(12) % 10).astype(np.uint8)),
    }
    for name, content in (contents | {key.replace("_", "-"): value for key, value in replaced.items()}).items():
        (folder / f"{name}.gz" if compress else folder / name).write_bytes(
            gzip.compress(content) if compress else content
        )


class Python2Pickler(pickle._Pickler):
    """Writes as CIFAR's files were written: Python 2's strings, the old name of numpy's module, protocol 2."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value: bytes | str) -> None:
        text = value.encode() if isinstance(value, str) else value
        short = len(text) < 256
        self.write((b"U" + bytes([len(text)]) if short else b"T" + struct.pack("<i", len(text))) + text)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_string

    def save_global(self, obj: Any, name: str | None = None) -> None:
        self.write(f"c{obj.__module__.replace('_core', 'core')}\n{name or obj.__qualname__}\n".encode())
        self.memoize(obj)


def python2_pickle(content: Any) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue()


def batch(images: np.ndarray, labels: list[int], name: str = "batch 1") -> bytes:
    return python2_pickle(
        {
            b"batch_label": name.encode(),
            b"labels": labels,
            b"data": images,
            b"filenames": [f"picture_{i}.png".encode() for i in range(len(images))],
        }
    )


CIFAR = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


def cifar_batches() -> dict[str, tuple[np.ndarray, list[int]]]:
    """Five batches of 10 and a test batch of 8."""
    counts = [10] * 5 + [8]
    return {
        name: (noise(n, 3072, seed=i), [(i + k) % 10 for k in range(n)])
        for i, (name, n) in enumerate(zip(CIFAR, counts, strict=True))
    }


def cifar_pickles(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, (images, labels) in cifar_batches().items():
        (folder / name).write_bytes(batch(images, labels))


def cifar_archive() -> bytes:
    """The published archive's layout: the pickles in their folder, beside files that nobody reads."""
    beside = {"batches.meta": b"no batch", "readme.html": b"<html>"}
    pickles = {name: batch(images, labels) for name, (images, labels) in cifar_batches().items()}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in (pickles | beside).items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def cifar_binary(root: Path) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, (images, labels) in cifar_batches().items():
        records = np.concatenate([np.array(labels, np.uint8)[:, None], images], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())


def picture_file(number: int) -> bytes:
    """An image's file, not compressed, so that its bytes, and so its split, are alike on all machines."""
    file = io.BytesIO()
    Image.fromarray(noise(1, 40, 36, 3, seed=number)[0]).save(file, "bmp")
    return file.getvalue()


def saved_images(root: Path, counts: dict[str, int] | int = 120, first: int = 0) -> None:
    """A data set saved by Hugging Face's `datasets`: so many images a split, or of no splits, and of three classes."""
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features(
        {
            "picture": datasets.Image(),
            "number": datasets.Value("int64"),
            "kind": datasets.ClassLabel(names=["a", "b", "c"]),
        }
    )

    def table(numbers: range) -> Any:
        rows = [{"picture": {"bytes": picture_file(i), "path": None}, "number": i, "kind": i % 3} for i in numbers]
        return datasets.Dataset.from_list(rows, features=kinds)

    datasets.disable_progress_bars()
    if isinstance(counts, int):
        table(range(first, first + counts)).save_to_disk(root)
        return
    tables, start = datasets.DatasetDict(), first
    for split, count in counts.items():
        tables[split] = table(range(start, start + count))
        start += count
    tables.save_to_disk(root)


def pictures(root: Path, n: int = 60) -> None:
    """A folder of images in formats that are not compressed, whose bytes, and so splits, are alike on all machines."""
    for i in range(n):
        path = root / f"class {i % 3}" / f"{i}.{('ppm', 'bmp', 'tif')[i % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(1, 40, 36, 3, seed=i)[0]).save(path)
