"""Files in the genuine formats with made-up pixels, for sets that are not at hand."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

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


CIFAR = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


def cifar_batches() -> dict[str, tuple[np.ndarray, list[int]]]:
    """Five batches of 10 and a test batch of 8."""
    counts = [10] * 5 + [8]
    return {
        name: (noise(n, 3072, seed=i), [(i + k) % 10 for k in range(n)])
        for i, (name, n) in enumerate(zip(CIFAR, counts, strict=True))
    }


def cifar_files() -> dict[str, bytes]:
    """Each batch's file: records of a label and the three planes."""
    return {
        f"{name}.bin": np.concatenate([np.array(labels, np.uint8)[:, None], images], axis=1).tobytes()
        for name, (images, labels) in cifar_batches().items()
    }


def cifar(root: Path) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, content in cifar_files().items():
        (folder / name).write_bytes(content)


def cifar_archive() -> bytes:
    """The published archive's layout: the batches in their folder, beside files that nobody reads."""
    beside = {"batches.meta.txt": b"airplane", "readme.html": b"<html>"}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in (cifar_files() | beside).items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


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
