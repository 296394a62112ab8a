"""Pictures of anyone's: what becomes of one of any size, and which split it goes to."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from torch import Tensor

from ablations.data.base import FEWEST, Split
from analysis.errors import InputError

Mode = Literal["grey", "colour"]
MODES: dict[Mode, str] = {"grey": "L", "colour": "RGB"}
SMALLEST, LARGEST = 4, 256
"""Sides in pixels that a picture can be scaled to."""
ENDS: dict[Split, float] = {"train": 0.8, "validation": 0.9, "test": 1.0}
"""The fraction of the hashes at which each split ends."""
TOLD = 3  # pictures that cannot be read, of which a message tells
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""The errors that `square` raises of a picture that cannot be read."""

MOST_PIXELS = 1 << 26
"""Pixels of a picture when its shorter side is scaled: one that is a line would else fill any memory."""

T = TypeVar("T")


def check_size(name: str, size: int) -> None:
    """ValueError for a side that pictures are not scaled to."""
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"{name} needs a size of {SMALLEST} to {LARGEST} pixels, got {size}")


def refuse_unreadable(messages: list[str]) -> None:
    """InputError where there are any: what each says of its picture, or the first of many."""
    if len(messages) > 1:
        more = f"; and {len(messages) - TOLD} more" if len(messages) > TOLD else ""
        raise InputError(f"{len(messages)} pictures cannot be read: {'; '.join(messages[:TOLD])}{more}")
    if messages:
        raise InputError(messages[0])


def split_of(key: str) -> Split:
    """The split of a picture whose file has the SHA-256 `key`, in hex digits."""
    fraction = int(key[:13], 16) / 16**13
    return next(split for split, end in ENDS.items() if fraction < end)


def shape_of(size: int, mode: Mode) -> tuple[int, int, int]:
    """The shape of a picture of that side."""
    return len(MODES[mode]), size, size


def square(source: Path | BinaryIO, size: int, mode: Mode) -> Tensor:
    """uint8 [1 or 3, size, size] of an image file: its shorter side scaled, the centre cut out, on white.

    One of `UNREADABLE` where that cannot be.
    """
    # Of so many pixels that Pillow would warn, which a few bytes can announce, nothing is unpacked.
    with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning), Image.open(source) as opened:
        _scaled(opened.size, size)
        _refuse_deep(opened)
        image = _on_white(ImageOps.exif_transpose(opened)).convert(MODES[mode])
    width, height = _scaled(image.size, size)
    left, top = (width - size) // 2, (height - size) // 2
    # Pillow widens the filter when it shrinks, so that nothing aliases.
    cut = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))
    return torch.from_numpy(np.array(cut).reshape(size, size, -1).transpose(2, 0, 1).copy())


def _scaled(sides: tuple[int, int], size: int) -> tuple[int, int]:
    """The sides of a picture whose shorter one is scaled to `size`; ValueError where that makes it huge."""
    scale = size / min(sides)
    width, height = (max(size, round(side * scale)) for side in sides)
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"it is {sides[0]} × {sides[1]}, and {width} × {height} with a shorter side of {size}: more than the "
            f"{MOST_PIXELS} pixels that one picture may take"
        )
    return width, height


def _refuse_deep(image: ImageFile) -> None:
    """ValueError for values of more than 8 bits, which Pillow would clip, or cut off in colour."""
    if any(_deep(codec, args) for codec, _, _, args in image.tile) or image.mode.startswith(("I", "F")):
        raise ValueError(f"its values have more than 8 bits, mode {image.mode}, of which 8 have to be chosen")


def _deep(codec: str, args: Any) -> bool:
    """True of a part of a file with more than 8 bits a channel: its raw mode says so, or the largest value of a PPM."""
    return ";16" in str(args) or (codec.startswith("ppm") and isinstance(args, tuple) and args[-1] > 255)


def _on_white(image: Image.Image) -> Image.Image:
    """The image on white."""
    if not image.has_transparency_data:
        return image
    above = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)


def alike(what: str, parts: dict[Split, list[T]]) -> dict[Split, list[T]]:
    """The same with equally many of validation and test, because FID compares only at one n.

    InputError, which begins with `what` gives them, where a split has too few.
    """
    if any(len(part) < FEWEST for part in parts.values()):
        counts = "/".join(str(len(part)) for part in parts.values())
        raise InputError(
            f"{what} gives {counts} images (train/validation/test), and each split needs {FEWEST}: "
            "add images (about 10 % go into each of the last two, so take 150 or more)"
        )
    held_out = min(len(parts["validation"]), len(parts["test"]))
    return {split: part if split == "train" else part[:held_out] for split, part in parts.items()}
