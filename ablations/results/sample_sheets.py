"""Samples as pictures: images side by side on a sheet, points as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ablations.data.base import Data
from ablations.metrics.neighbours import nearest_of
from analysis.files import replace_file, write_text
from diffusion_core.encodings import GreyLevels

SHEET_IMAGES, SHEET_COLUMNS = 32, 8
POINTS = 1000


def write_sheet(path: Path, samples: Tensor, data: Data, limit: int = SHEET_IMAGES, scale: int = 1) -> Path:
    """The first images as <path>.png, or points as <path>.csv."""
    if isinstance(data.encoding, GreyLevels):
        image = sheet(samples[:limit], data.encoding.levels, scale)
        return _saved(image, path.with_name(f"{path.name.removesuffix('.png')}.png"))
    target = path.with_name(f"{path.name.removesuffix('.csv')}.csv")
    rows = [[f"x{i}" for i in range(data.shape[0])]]
    rows += [[f"{value:.5g}" for value in point] for point in samples[:POINTS].tolist()]
    write_text(target, "".join(",".join(row) + "\n" for row in rows))
    return target


def write_nearest(path: Path, samples: Tensor, data: Data) -> Path:
    """The training image nearest to each of the first images, in pixels, laid out as their sheet; as <path>.png."""
    training = data.images["train"]
    return write_sheet(path, training[nearest_of(samples[:SHEET_IMAGES], training)], data)


def write_strip(path: Path, images: Tensor, data: Data) -> Path:
    """Images in one row, edge to edge, as a PNG; its path."""
    assert isinstance(data.encoding, GreyLevels), "images have grey levels"
    return _saved(sheet(images, data.encoding.levels, columns=len(images), gap=0), path)


def sheet(images: Tensor, levels: int, scale: int = 1, columns: int = SHEET_COLUMNS, gap: int = 1) -> Image.Image:
    """Stored images uint8 [N, C, H, W] of so many grey levels side by side, `gap` pixels apart, in 8 bits."""
    values = (images.numpy().astype(np.float64) * 255 / (levels - 1)).round().astype(np.uint8)
    columns = min(len(values), columns)
    missing = -len(values) % columns
    padded = np.pad(values, ((0, missing), (0, 0), (0, gap), (0, gap)), constant_values=255)
    _, channels, height, width = padded.shape
    tiled = padded.reshape(-1, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    canvas = np.pad(tiled.reshape(-1, columns * width, channels), ((gap, 0), (gap, 0), (0, 0)), constant_values=255)
    picture = Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _saved(image: Image.Image, path: Path) -> Path:
    replace_file(path, lambda temporary: image.save(temporary, format="png"))
    return path
