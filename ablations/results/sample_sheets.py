"""Samples as pictures: images side by side on a sheet, points as a table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ablations.data.base import Data
from ablations.metrics.memorisation import nearest_of
from analysis.files import replace_file, write_text
from diffusion_core.encodings import GreyLevels

SHEET_IMAGES, SHEET_COLUMNS = 32, 8
POINTS = 1000


def write_sheet(path: Path, samples: Tensor, data: Data, limit: int = SHEET_IMAGES, scale: int = 1) -> Path:
    """The first images as <path>.png, or points as <path>.csv."""
    if isinstance(data.encoding, GreyLevels):
        target = path.with_name(f"{path.name.removesuffix('.png')}.png")
        image = sheet(samples[:limit], data.encoding.levels, scale)
        replace_file(target, lambda temporary: image.save(temporary, format="png"))
        return target
    target = path.with_name(f"{path.name.removesuffix('.csv')}.csv")
    rows = [[f"{value:.5g}" for value in point] for point in samples[:POINTS].tolist()]
    names = ",".join(f"x{i}" for i in range(data.shape[0]))
    write_text(target, "\n".join([names, *(",".join(row) for row in rows)]) + "\n")
    return target


def write_nearest(path: Path, samples: Tensor, data: Data) -> Path:
    """The training image nearest to each of the first images, in pixels, laid out as their sheet; as <path>.png."""
    training = data.images["train"]
    return write_sheet(path, training[nearest_of(samples[:SHEET_IMAGES], training)], data)


def sheet(images: Tensor, levels: int, scale: int) -> Image.Image:
    """Stored images uint8 [N, C, H, W] of so many grey levels side by side, a pixel apart, as 8-bit grey or colour."""
    values = eight_bit(images, levels)
    n, channels, height, width = values.shape
    columns = min(n, SHEET_COLUMNS)
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 255, np.uint8)
    for i, value in enumerate(values):
        top, left = 1 + (i // columns) * (height + 1), 1 + (i % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = value.transpose(1, 2, 0)
    picture = Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def write_strip(path: Path, images: Tensor, data: Data) -> Path:
    """Images in one row as a PNG; its path."""
    assert isinstance(data.encoding, GreyLevels), "images have grey levels"
    image = strip(images, data.encoding.levels)
    replace_file(path, lambda temporary: image.save(temporary, format="png"))
    return path


def strip(images: Tensor, levels: int) -> Image.Image:
    """Stored images uint8 [N, C, H, W] in one row, edge to edge."""
    row = np.concatenate(list(eight_bit(images, levels)), axis=2).transpose(1, 2, 0)
    return Image.fromarray(row[:, :, 0] if row.shape[2] == 1 else row)


def eight_bit(images: Tensor, levels: int) -> NDArray[np.uint8]:
    """Stored values of so many grey levels on the scale 0..255."""
    return (images.numpy().astype(np.float64) * 255 / (levels - 1)).round().astype(np.uint8)
