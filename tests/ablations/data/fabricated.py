"""Files in the genuine formats with made-up pixels, for sets that are not at hand."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Sequence
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


def fashion(folder: Path, compress: bool = True, **replaced: bytes) -> None:
    """The four files of Fashion-MNIST, 60 + 12 images of classes i % 10; `replaced` gives files' content by name."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {}
    for name, count, seed in (("train", 60, 1), ("t10k", 12, 2)):
        contents[f"{name}-images-idx3-ubyte"] = idx_file(noise(count, 28, 28, seed=seed))
        contents[f"{name}-labels-idx1-ubyte"] = idx_file((np.arange(count) % 10).astype(np.uint8))
    for name, content in (contents | {key.replace("_", "-"): value for key, value in replaced.items()}).items():
        path, whole = (folder / f"{name}.gz", gzip.compress(content)) if compress else (folder / name, content)
        path.write_bytes(whole)


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
    """The published archive's layout: the batches in their folder, beside a file that nobody reads."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in (cifar_files() | {"readme.html": b"<html>"}).items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def picture_file(number: int, format: str = "bmp") -> bytes:
    """An image's file, not compressed, so that its bytes, and so its split, are alike on all machines."""
    file = io.BytesIO()
    Image.fromarray(noise(1, 40, 36, 3, seed=number)[0]).save(file, format)
    return file.getvalue()


def pictures(root: Path, n: int = 60, classes: Sequence[str] = ("class 0", "class 1", "class 2")) -> list[Path]:
    """A folder of images, dealt to subfolders."""
    files = []
    for i in range(n):
        path = root / classes[i % len(classes)] / f"{i}.{('ppm', 'bmp', 'tif')[i % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_file(i, ("ppm", "bmp", "tiff")[i % 3]))
        files.append(path)
    return files


def saved_images(root: Path, counts: dict[str, int] | int = 120, first: int = 0) -> None:
    """A data set saved by Hugging Face's `datasets`: so many images a split, or of no splits, and of three classes."""
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features(
        picture=datasets.Image(),
        number=datasets.Value("int64"),
        kind=datasets.ClassLabel(names=["a", "b", "c"]),
    )

    def table(start: int, count: int) -> Any:
        numbers = range(start, start + count)
        rows = [{"picture": {"bytes": picture_file(i), "path": None}, "number": i, "kind": i % 3} for i in numbers]
        return datasets.Dataset.from_list(rows, features=kinds)

    datasets.disable_progress_bars()
    if isinstance(counts, int):
        table(first, counts).save_to_disk(root)
        return
    tables, start = datasets.DatasetDict(), first
    for split, count in counts.items():
        tables[split] = table(start, count)
        start += count
    tables.save_to_disk(root)
