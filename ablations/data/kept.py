"""Pictures that are decoded once: into an array file, which every process maps into its memory and none reads whole.

    files, what becomes of them ─▶ CACHE/CHOICE-STATE/   images.npy  uint8 [N, C, H, W], split after split
                                                         known       counts, digest, labels, codes

CHOICE is a digest of a data set's fields, of the place of its files and of the version of the decoding; STATE one of
the files' names, sizes and times and of the names of classes that are read off their places, so that no picture is
opened to learn whether one has changed. Of a choice the state that was last seen is kept alone. The folder can be
deleted at any time.

The digest of all values is worked out as they are written, and remembered. It is believed as long as `known` is as it
was written and the array's file has the size and the time of change that `known` names: what is cut, overwritten or
copied here is decoded anew; a disk that alters bytes by itself is not noticed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

import numpy as np
import PIL
import torch
from torch import Tensor
from tqdm import tqdm

from ablations.data.base import SPLITS, Data, DataSet, Split, histogram_codes, image_data
from ablations.data.pictures import alike, refuse_unreadable
from analysis.errors import InputError
from diffusion_core.encodings import GreyLevels

CACHE = "DIFFUSION_ABLATIONS_CACHE"
"""The environment variable for another folder than `ablations` in the user's cache."""
VERSION = 1
"""Raised when a picture becomes something else, goes elsewhere, or is kept in another form."""
IN_MEMORY = 1 << 30
"""Bytes of decoded pictures that a process holds at most where they cannot be kept."""
IMAGES, KNOWN = "images.npy", "known"
LEVELS = 256

T = TypeVar("T")


@dataclass(frozen=True)
class Pictures(Generic[T]):
    """Pictures that are found and not decoded yet, in their order; `decode` gives one, uint8 of the `shape`.

    `what` names them in a refusal. `label` gives the class of one, and is None where there are no classes.
    """

    what: str
    listed: dict[Split, list[T]]
    shape: tuple[int, int, int]
    decode: Callable[[T], Tensor]
    label: Callable[[T], int] | None = None

    @cached_property
    def taken(self) -> dict[Split, list[T]]:
        """The images that are in the data; InputError where they are too few."""
        return alike(self.what, self.listed)

    @property
    def counts(self) -> list[int]:
        """The number in each split."""
        return [len(self.taken[split]) for split in SPLITS]

    @property
    def labels(self) -> dict[Split, list[int]]:
        """The class of each; empty where there are no classes."""
        label = self.label
        return {} if label is None else {split: [label(picture) for picture in self.taken[split]] for split in SPLITS}

    @property
    def size(self) -> int:
        """Bytes of them all."""
        return sum(self.counts) * math.prod(self.shape)

    def decoded(self) -> Iterator[Tensor]:
        """The images, split after split; at the end InputError that names those which cannot be read."""
        unreadable: list[str] = []
        with tqdm(total=sum(map(len, self.listed.values())), desc=self.what, delay=2, disable=None) as bar:
            for split in SPLITS:
                for place, picture in enumerate(self.listed[split]):
                    bar.update()
                    try:
                        image = self.decode(picture)
                    except InputError as error:
                        unreadable.append(str(error))
                        continue
                    # Those that are left over must be readable too: which these are, the others decide.
                    if place < len(self.taken[split]):
                        yield image
        refuse_unreadable(unreadable)


def kept(
    choice: DataSet, root: Path, files: Iterable[Path], find: Callable[[], Pictures[T]], classes: Iterable[str] = ()
) -> Data:
    """The data that `find` finds in files below `root`, mapped from where it is kept, decoded if it is not there.

    `choice` says in its fields all that they depend on besides. Where nothing can be kept, the data is held in memory,
    with a warning, or refused with InputError where it is too large for that.
    """
    folder = cache()
    name = _digest([f"{VERSION} {PIL.__version__} {choice!r}".encode(), os.fsencode(root.resolve())])
    place = folder / f"{name}-{_digest([*sorted(_state(file, root) for file in files), *map(os.fsencode, classes)])}"
    if data := _mapped(place):
        return data
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A second process waits for the first, and finds what it made.
        with (folder / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return _mapped(place) or _made(place, find())
    except OSError as error:
        return _in_memory(find(), folder, error)


def cache() -> Path:
    """The folder that data sets are kept in."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(CACHE) or user / "ablations").expanduser()


def _state(file: Path, root: Path) -> bytes:
    """A file's name, size and times; the second tells when it was last replaced, whatever the first was set to."""
    status = file.stat()
    name = os.fsencode(file)[len(os.fsencode(root)) :]
    return b"%b\0%d %d %d" % (name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _digest(parts: Iterable[bytes]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part + b"\n")
    return sha.hexdigest()[:16]


def _mapped(place: Path) -> Data | None:
    """The data that is kept there; None where it is not, or not whole."""
    try:
        seal, text = (place / KNOWN).read_text(encoding="utf-8").split("\n", 1)
        if seal != hashlib.sha256(text.encode()).hexdigest():
            return None
        head = json.loads(text)
        if head["file"] != _stamp(place / IMAGES):
            return None
        images = _images(place / IMAGES, head["counts"])
    except (OSError, ValueError):
        return None
    labels = {split: torch.tensor(head["labels"][split]) for split in SPLITS if head["labels"]}
    return Data(images, labels, GreyLevels(LEVELS), head["codes"]).remembering(digest=head["digest"])


def _made(place: Path, pictures: Pictures[T]) -> Data:
    """Decode pictures into a folder beside `place`, one at a time, and move it there; OSError where that fails."""
    name = place.name.partition("-")[0]
    # What makers left that were killed, what is damaged, and what stands for files that have changed since.
    for old in (*place.parent.glob(f".{name}-*"), *place.parent.glob(f"{name}-*")):
        shutil.rmtree(old)
    if shutil.disk_usage(place.parent).free < pictures.size:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, {pictures.size / 1e9:.1f} GB are needed")
    with TemporaryDirectory(dir=place.parent, prefix=f".{name}-") as temporary:
        part = Path(temporary) / "set"
        part.mkdir()
        digest = _write(part / IMAGES, (sum(pictures.counts), *pictures.shape), pictures.decoded())
        images = _images(part / IMAGES, pictures.counts)
        head = {
            "file": _stamp(part / IMAGES),
            "counts": pictures.counts,
            "digest": digest[:12],
            "codes": histogram_codes(images["train"], images["test"], LEVELS),
            "labels": pictures.labels,
        }
        text = json.dumps(head)
        with (part / KNOWN).open("w", encoding="utf-8") as file:
            file.write(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    if data := _mapped(place):
        return data
    raise OSError(errno.EIO, "what was written there does not come back as it was")


def _write(path: Path, shape: tuple[int, ...], values: Iterable[Tensor]) -> str:
    """Write values one after another as an array of that shape; their SHA-256."""
    sha = hashlib.sha256()
    # Into a file that is mapped, a full disk would end the process.
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for value in values:
            content = value.numpy().tobytes()
            sha.update(content)
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return sha.hexdigest()


def _images(path: Path, counts: list[int]) -> dict[Split, Tensor]:
    """The splits of an array file, mapped; OSError or ValueError where there is none."""
    # For reading: a private mapping that could be written to is refused where it is larger than the memory.
    array = np.load(path, mmap_mode="r")
    with warnings.catch_warnings():
        # Tensors cannot say that they are not to be written to. Nobody writes to data; who did would end the process.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        images = torch.from_numpy(array)
    return dict(zip(SPLITS, torch.split(images, counts), strict=True))


def _stamp(path: Path) -> list[int]:
    """A file's size and time, which change with its content."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _in_memory(pictures: Pictures[T], folder: Path, error: OSError) -> Data:
    """The data in memory, with a warning; InputError where it is too large for that."""
    trouble = f"{pictures.what}: decoded pictures cannot be kept in {folder} ({error.strerror or error})"
    advice = f"make room there, or name another folder by the environment variable {CACHE}"
    if pictures.size > IN_MEMORY:
        raise InputError(f"{trouble}, and {pictures.size / 1e9:.1f} GB are too much for memory: {advice}") from error
    print(f"warning: {trouble}, so that each process decodes them for itself: {advice}", file=sys.stderr)
    values = torch.empty(sum(pictures.counts), *pictures.shape, dtype=torch.uint8)
    for place, value in enumerate(pictures.decoded()):
        values[place] = value
    images = dict(zip(SPLITS, torch.split(values, pictures.counts), strict=True))
    return image_data(images, {split: torch.tensor(classes) for split, classes in pictures.labels.items()}, LEVELS)
