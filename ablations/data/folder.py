"""Your own images: any folder, split by what the files hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ablations.data.base import FEWEST, SPLITS, Data, DataSet, Split, image_data
from analysis.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
ENDS = {"train": 0.8, "validation": 0.9, "test": 1.0}
"""The fraction of the hashes at which each split ends."""
MODES = {"grey": "L", "colour": "RGB"}


@dataclass(frozen=True)
class Folder(DataSet):
    """Every image below `root`: its shorter side scaled to `size`, the centre cut out; transparent parts are white.

    The SHA-256 of a file decides its split, 80 / 10 / 10 in the mean: it stays where it is when others come, wherever
    it is moved, and equal files are never on both sides. Of validation and test the one with more images loses the
    last of them, by hash, because FID compares only at one n.
    """

    root: str = ""
    size: int = 32
    mode: Literal["grey", "colour"] = "colour"

    extractor: ClassVar[str | None] = "inception-v3-compat"
    where: ClassVar[tuple[str, ...]] = ("root",)

    def __post_init__(self) -> None:
        if not 4 <= self.size <= 256:
            raise ValueError(f"folder needs a size of 4 to 256 pixels, got {self.size}")

    def read(self) -> Data:
        if not self.root:
            raise InputError("folder needs the place of its images: data.root=PATH")
        root = Path(self.root).expanduser()
        parts: dict[Split, list[Tensor]] = {split: [] for split in SPLITS}
        for key, path in sorted((hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in image_files(root)):
            parts[split_of(key)].append(picture(path, self.size, self.mode))
        counts = "/".join(str(len(images)) for images in parts.values())
        if any(len(images) < FEWEST for images in parts.values()):
            raise InputError(
                f"folder: {root} gives {counts} images (train/validation/test), and each split needs {FEWEST}: "
                "add images (about 10 % go into each of the last two)"
            )
        held_out = min(len(parts["validation"]), len(parts["test"]))
        kept = {split: images if split == "train" else images[:held_out] for split, images in parts.items()}
        return image_data({split: torch.stack(images) for split, images in kept.items()}, {}, levels=256)


def image_files(root: Path) -> list[Path]:
    """The images below a folder, hidden ones left out; InputError where there are none."""
    if not root.is_dir():
        raise InputError(f"folder: data.root={root} is no folder: name the one that holds your images")
    found = [path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    visible = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    if not visible:
        raise InputError(f"folder: there are no images below data.root={root} ({', '.join(SUFFIXES)})")
    return visible


def split_of(key: str) -> Split:
    """The split of a file whose SHA-256 is `key`, in hex digits."""
    fraction = int(key[:13], 16) / 16**13
    return next(split for split in SPLITS if fraction < ENDS[split])


def picture(path: Path, size: int, mode: Literal["grey", "colour"]) -> Tensor:
    """uint8 [1 or 3, size, size] of an image file; InputError that names it where it cannot be read."""
    try:
        with Image.open(path) as opened:
            image = _eight_bits(ImageOps.exif_transpose(opened)).convert(MODES[mode])
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"folder: {path} cannot be read ({error}): mend it, or take it away") from error
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    # Pillow widens the filter when it shrinks, so that nothing aliases.
    cut = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))
    return torch.from_numpy(np.array(cut).reshape(size, size, -1).transpose(2, 0, 1).copy())


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image on white; ValueError for values that a conversion to 8 bits would clip."""
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"its values have more than 8 bits, mode {image.mode}")
    if not image.has_transparency_data:
        return image
    above = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
