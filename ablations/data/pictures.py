"""Pictures of anyone's: what becomes of one of any size, which split it goes to, and where it is kept once decoded; and
those of a folder of your own.

    files' names, sizes and times ─▶ KEY        CACHE/KEY.safetensors    uint8 [N, C, H, W] per split, labels, codes

The cache can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from abc import abstractmethod
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from ablations.data.base import FEWEST, SPLITS, Data, DataSet, Split, image_data
from ablations.data.tensors import read_tensors, write_tensors
from ablations.engine.journal import Damaged
from analysis.errors import InputError
from diffusion_core.encodings import GreyLevels
from diffusion_core.refusing import choice_name

Mode = Literal["grey", "colour"]
MODES: dict[Mode, str] = {"grey": "L", "colour": "RGB"}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
SMALLEST, LARGEST = 4, 256
ENDS: dict[Split, float] = {"train": 0.8, "validation": 0.9, "test": 1.0}
"""The fraction of the hashes at which each split ends."""
NAMED = 3
CACHE = "DIFFUSION_ABLATIONS_CACHE"
"""The environment variable for another folder than `ablations` in the user's cache."""
VERSION = 3
"""Raised when a picture becomes something else, goes elsewhere, or is kept in another form."""


@dataclass(frozen=True)
class Picture:
    """An image's file, called `name` in refusals: its content, its split as published, its class if there are any."""

    name: str
    content: bytes
    split: Split = "train"
    label: int | None = None


class Pictures(DataSet):
    """Every picture of a place, its shorter side scaled to `size`, the centre cut out; transparent parts are white."""

    size: int
    mode: Mode
    extractor = "inception-v3-compat"

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            name = choice_name(self)
            raise ValueError(f"{name} needs a size of {SMALLEST} to {LARGEST} pixels, got {self.size}")

    @abstractmethod
    def place(self) -> tuple[Path, list[Path]]:
        """The folder that holds the pictures, and every file in it that they are read from."""

    @abstractmethod
    def decode(self) -> Data:
        """The data, by `decoded`."""

    def read(self) -> Data:
        """The data from the cache, decoded where it is not there; where it cannot be kept, each process decodes."""
        path = self._cached(*self.place())
        with suppress(Damaged, OSError):
            tensors, words = read_tensors(path)
            images: dict[Split, Tensor] = {split: tensors.pop(split) for split in SPLITS}
            labels: dict[Split, Tensor] = {split: tensors[f"labels/{split}"] for split in SPLITS if tensors}
            return Data(images, labels, GreyLevels(256), json.loads(words["codes"]))
        data = self.decode()
        with suppress(OSError):
            tensors = dict[str, Tensor](data.images.items())
            tensors |= {f"labels/{split}": values for split, values in data.labels.items()}
            write_tensors(path, tensors, codes=json.dumps(data.codes))
        return data

    def _cached(self, root: Path, files: Iterable[Path]) -> Path:
        """The file in the cache for what is decoded of files below `root`, as they are now."""
        # The second time tells when a file was last replaced, whatever the first was set to.
        status = [(str(file.relative_to(root)), file.stat()) for file in sorted(files)]
        states = [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in status]
        key = f"{VERSION} {PIL.__version__} {self!r} {root.resolve()} {states}".encode(errors="surrogateescape")
        user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablations"
        folder = Path(os.environ.get(CACHE) or user).expanduser()
        return folder / f"{hashlib.sha256(key).hexdigest()[:24]}.safetensors"

    def decoded(self, pictures: Iterable[Picture], own: Collection[Split] = ()) -> Data:
        """The data of all pictures, where a training one goes by its hash unless a set brings that split of its `own`.
        One of two splits stays in that which comes first. InputError where some cannot be read, or are too few."""
        parts: dict[Split, list[tuple[str, int | None, Tensor]]] = {split: [] for split in SPLITS}
        home: dict[str, Split] = {}
        unreadable = []
        for picture in tqdm(pictures, desc=choice_name(self), delay=2, disable=None):
            key = hashlib.sha256(picture.content).hexdigest()
            split = split_of(key) if picture.split == "train" and split_of(key) not in own else picture.split
            try:
                if home.setdefault(key, split) == split:
                    parts[split].append((key, picture.label, square(picture.content, self.size, self.mode)))
            except Exception as error:
                # A damaged file fails in any way; Pillow names the object that it reads from.
                reason = re.sub(" <.*?>|\n", "", str(error)) or type(error).__name__
                unreadable.append(f"{picture.name} ({reason})")
        if unreadable:
            first = ", ".join(unreadable[:NAMED])
            raise InputError(f"{choice_name(self)}: {len(unreadable)} cannot be read: mend or take away {first} …")
        if min(map(len, parts.values())) < FEWEST:
            counts = "/".join(str(len(part)) for part in parts.values())
            raise InputError(
                f"{choice_name(self)} gives {counts} images (train/validation/test), of which {len(home)} differ, and "
                f"each split needs {FEWEST}: take 150 images that differ, or more"
            )
        # Equally many of validation and test, because FID compares only at one n.
        held_out = min(len(parts["validation"]), len(parts["test"]))
        images, labels = dict[Split, Tensor](), dict[Split, Tensor]()
        for split, part in parts.items():
            kept = sorted(part, key=lambda row: row[0])[: None if split == "train" else held_out]
            images[split] = torch.stack([values for _, _, values in kept])
            if kept[0][1] is not None:
                labels[split] = torch.tensor([label for _, label, _ in kept])
        return image_data(images, labels, levels=256)


def split_of(key: str) -> Split:
    """The split of a picture whose file has the SHA-256 `key`, in hex digits."""
    fraction = int(key[:13], 16) / 16**13
    return next(split for split, end in ENDS.items() if fraction < end)


def square(content: bytes, size: int, mode: Mode) -> Tensor:
    """uint8 [1 or 3, size, size] of an image file: its shorter side scaled, the centre cut out, on white."""
    with Image.open(io.BytesIO(content)) as opened:
        # Of PNG and TIFF the raw mode says so, of PPM its largest value.
        parts: list[tuple[Any, ...]] = list(opened.tile)
        deep = any(";16" in str(args) or (codec.startswith("ppm") and args[-1] > 255) for codec, _, _, args in parts)
        if deep or opened.mode.startswith(("I", "F")):
            raise ValueError("its values have more than 8 bits, of which 8 have to be chosen")
        image = ImageOps.exif_transpose(opened)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    width, height = (max(size, round(side * size / min(image.size))) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    # Pillow widens the filter when it shrinks, so that nothing aliases.
    scaled = image.convert(MODES[mode]).resize((width, height), Image.Resampling.BICUBIC)
    cut = np.array(scaled.crop((left, top, left + size, top + size)))
    return torch.from_numpy(cut.reshape(size, size, -1).transpose(2, 0, 1).copy())


@dataclass(frozen=True)
class Folder(Pictures):
    """Every image below `root`: its shorter side scaled to `size`, the centre cut out; transparent parts are white.

    The SHA-256 of a file decides its split, 80 / 10 / 10 in the mean: it stays where it is when others come, wherever
    it is moved, and equal files are never on both sides. Of validation and test the one with more images loses the
    last of them, by hash, because FID compares only at one n.

    Where every image lies in a subfolder of `root`, and they lie in two or more, these are the classes, in the order of
    their names; folders in them are not. Of a file that lies in two, each copy is an example of its own folder's class,
    in one split. Links to folders are not followed. With `mirrors` the mirror image of each is declared to be
    as likely as itself, so that `training.flips` may be asked for.
    """

    root: str = ""
    size: int = 32
    mode: Mode = "colour"
    mirrors: bool = field(default=False, compare=False, repr=False)

    where: ClassVar[tuple[str, ...]] = ("root", "mirrors")

    def place(self) -> tuple[Path, list[Path]]:
        root, pictures = Path(self.root).expanduser(), list[Path]()
        if not self.root or not root.is_dir():
            raise InputError(f"folder: data.root={self.root} is no folder: name the one that holds your images")
        for place, folders, names in os.walk(root, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            paths = [Path(place, name) for name in names if not name.startswith(".")]
            pictures += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not pictures:
            raise InputError(f"folder: there are no images below data.root={root} ({', '.join(SUFFIXES)})")
        return root, sorted(pictures)

    def decode(self) -> Data:
        root, files = self.place()
        places = [path.relative_to(root).parts[:-1] for path in files]
        names = sorted({place[0] for place in places if place})
        classes = {name: number for number, name in enumerate(names)} if all(places) and len(names) > 1 else {}
        labels = [classes.get(place[0]) if place else None for place in places]
        return self.decoded(
            Picture(str(path), _content(path), label=label) for path, label in zip(files, labels, strict=True)
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    """Refuse what cannot be read: without its pictures the rest would be another data set."""
    raise InputError(f"folder: {error.filename} cannot be read ({error.strerror}): mend it, or take it away") from error
