"""Pictures of anyone's: what becomes of one of any size, which split it goes to, and where it is kept once decoded.

    files' names, sizes and times ─▶ KEY        CACHE/KEY.npy    uint8 [N, C, H, W], split after split
                                                CACHE/KEY.json   counts, labels, digest and codes, written last

Processes map the array into memory, so that a set may be larger than that. The cache can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from ablations.data.base import FEWEST, SPLITS, Data, DataSet, Split, image_data
from analysis.errors import InputError
from analysis.files import replace_file
from diffusion_core.encodings import GreyLevels
from diffusion_core.named import choice_name

Mode = Literal["grey", "colour"]
MODES: dict[Mode, str] = {"grey": "L", "colour": "RGB"}
SMALLEST, LARGEST = 4, 256
"""Sides in pixels that a picture can be scaled to."""
ENDS: dict[Split, float] = {"train": 0.8, "validation": 0.9, "test": 1.0}
"""The fraction of the hashes at which each split ends."""
TOLD = 3  # pictures that cannot be read, of which a message tells
CACHE = "DIFFUSION_ABLATIONS_CACHE"
"""The environment variable for another folder than `ablations` in the user's cache."""
VERSION = 2
"""Raised when a picture becomes something else, goes elsewhere, or is kept in another form."""


@dataclass(frozen=True)
class Picture:
    """A picture by its file's SHA-256 in hex digits: its split, its class if there are classes, and how it is read.
    `name` is what refusals call it."""

    key: str
    split: Split
    label: int | None
    name: str
    content: Callable[[], bytes]


class Pictures(DataSet):
    """Every picture of a place, its shorter side scaled to `size`, the centre cut out; transparent parts are white."""

    size: int
    mode: Mode
    extractor = "inception-v3-compat"

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            name = choice_name(self)
            raise ValueError(f"{name} needs a size of {SMALLEST} to {LARGEST} pixels, got {self.size}")

    def decoded_once(self, root: Path, files: Iterable[Path], find: Callable[[], list[Picture]]) -> Data:
        """The data that `find` finds in files below `root`: mapped from the cache, decoded if it is not there."""
        # The second time tells when a file was last replaced, whatever the first was set to.
        status = [(str(file.relative_to(root)), file.stat()) for file in sorted(files)]
        states = [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in status]
        key = f"{VERSION} {PIL.__version__} {self!r} {root.resolve()} {states}".encode(errors="surrogateescape")
        user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablations"
        folder = Path(os.environ.get(CACHE) or user).expanduser()
        place = folder / f"{hashlib.sha256(key).hexdigest()[:24]}.npy"
        try:
            known = place.with_suffix(".json")
            return _mapped(place, json.loads(known.read_bytes())) if known.exists() else self._made(place, find())
        except OSError as error:
            raise InputError(
                f"{choice_name(self)}: decoded pictures cannot be kept in {folder} ({error.strerror}): make room "
                f"there, or name another folder by the environment variable {CACHE}"
            ) from error

    def _made(self, place: Path, found: list[Picture]) -> Data:
        """Decode pictures into an array file, one at a time, and note beside it what is known of them."""
        parts = _parted(choice_name(self), sorted(found, key=lambda picture: picture.key))
        pictures = [picture for split in SPLITS for picture in parts[split]]
        replace_file(place, lambda path: self._write(path, pictures))
        labels = {split: [picture.label for picture in part] for split, part in parts.items()}
        known: dict[str, Any] = {
            "counts": [len(parts[split]) for split in SPLITS],
            "labels": {} if pictures[0].label is None else labels,
        }
        data = _mapped(place, known)
        data = image_data(data.images, data.labels, levels=256)
        known |= {"codes": data.codes, "digest": data.digest}
        replace_file(place.with_suffix(".json"), lambda path: path.write_text(json.dumps(known)))
        return data

    def _write(self, path: Path, pictures: list[Picture]) -> None:
        """Write an array file; InputError that names the pictures which cannot be read, or the first of many."""
        shape, unreadable = (len(pictures), len(MODES[self.mode]), self.size, self.size), []
        # Into a file that is mapped, a full disk would end the process.
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for picture in tqdm(pictures, desc=choice_name(self), delay=2, disable=None):
                try:
                    file.write(square(picture.content(), self.size, self.mode).numpy().tobytes())
                except Exception as error:
                    # A damaged file fails in any way.
                    unreadable.append(f"{picture.name} ({' '.join(str(error).split()) or type(error).__name__})")
        if unreadable:
            more = f" and {len(unreadable) - TOLD} more" if len(unreadable) > TOLD else ""
            named = f"{', '.join(unreadable[:TOLD])}{more}"
            raise InputError(f"{choice_name(self)}: {named} cannot be read: mend that, or take it away")


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


def _parted(name: str, pictures: list[Picture]) -> dict[Split, list[Picture]]:
    """Pictures by split, equally many of validation and test, because FID compares only at one n; InputError where a
    split has too few."""
    parts = {split: [picture for picture in pictures if picture.split == split] for split in SPLITS}
    counts = [len(part) for part in parts.values()]
    if min(counts) < FEWEST:
        raise InputError(
            f"{name} gives {'/'.join(map(str, counts))} images (train/validation/test), of which "
            f"{len({picture.key for picture in pictures})} differ, and each split needs {FEWEST}: add images that "
            "differ (about 10 % go into each of the last two, so take 150 or more)"
        )
    return {split: part if split == "train" else part[: min(counts[1:])] for split, part in parts.items()}


def _mapped(place: Path, known: dict[str, Any]) -> Data:
    """The data in an array file, of which this is known."""
    with warnings.catch_warnings():
        # Tensors cannot say that they are not to be written to. Nobody writes to data; who did would end the process.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        values = torch.from_numpy(np.load(place, mmap_mode="r"))
    images = dict(zip(SPLITS, torch.split(values, known["counts"]), strict=True))
    labels: dict[Split, Tensor] = {split: torch.tensor(known["labels"][split]) for split in SPLITS if known["labels"]}
    data = Data(images, labels, GreyLevels(256), known.get("codes", {}))
    return data.remembering(digest=known["digest"]) if "digest" in known else data
