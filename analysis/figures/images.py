"""Images in figures, pixel by pixel: each pixel is a whole number of printed dots wide."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray
from PIL import Image

from analysis.errors import InputError

DPI = 300
"""The dots per printed inch."""
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning)
_MOST, _LEAST = 8, 4
"""The most images side by side on a sheet, and the fewest pixels of an image."""
WIDEST, TALLEST = 50, 4
"""The largest ratio of a sheet's width to its height, as a strip is a row of squares; and of height to width."""
_CHAR = 0.075
"""The width in inches of a letter at the side of images."""


def read_image(path: Path) -> NDArray[np.float64]:
    """The pixels of a file, [H, W] or [H, W, 3] in [0, 1]; InputError where it is no picture, has sides that no sheet
    has, or has so many pixels that Pillow warns, before any are unpacked."""
    try:
        # Matplotlib opens a PNG past Pillow's own check.
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning), Image.open(path) as file:
            _check_sides(*file.size)
            return np.asarray(imread(path), dtype=np.float64)
    except UNREADABLE as error:
        raise InputError(f"{path} is no picture that can be shown ({error}): run its grid again") from error


def _check_sides(width: int, height: int) -> None:
    """ValueError where a picture is too narrow: drawn at the width of a panel, it would be longer than memory holds."""
    if width > WIDEST * height or height > TALLEST * width:
        raise ValueError(f"{width} × {height} pixels are no sheet of images")


def first_images(sheet: NDArray[np.float64], across: int, down: int) -> NDArray[np.float64]:
    """The first images of a sheet, up to `across` per row and `down` rows."""
    high, wide = tile(sheet)
    return sheet[: down * high + 1, : across * wide + 1]


def tile(sheet: NDArray[np.float64]) -> tuple[int, int]:
    """The height and width in pixels of an image on a sheet with white lines; without such lines, of the sheet."""
    lines = sheet.min(axis=2) if sheet.ndim == 3 else sheet
    return _period(lines.min(axis=1)), _period(lines.min(axis=0))


def _period(darkest: NDArray[np.float64]) -> int:
    """The distance of white lines that divide a sheet into the most images, from the darkest pixel of each line."""
    last = len(darkest) - 1
    counts = (n for n in range(_MOST, 0, -1) if last % n == 0 and last // n > _LEAST)
    return next((last // n for n in counts if (darkest[:: last // n] == 1.0).all()), last + 1)


def squares(path: Path) -> NDArray[np.float64]:
    """The images of a file, a row of squares; InputError where it is higher than wide."""
    pixels = read_image(path)
    size = len(pixels)
    if pixels.shape[1] < size:
        raise InputError(f"{path} is no row of square images, but higher than wide: run its grid again")
    return np.stack([pixels[:, i * size : (i + 1) * size] for i in range(pixels.shape[1] // size)])


def dots(pixels: int, room: float) -> int:
    """The number of printed dots per pixel with which `pixels` pixels fit into `room` inches; at least 1."""
    return max(1, int(room * DPI / pixels))


def show_image(axes: Axes, image: NDArray[np.float64]) -> None:
    """Draw an image over the whole of the axes."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")


def add_image(figure: Figure, image: NDArray[np.float64], left: float, bottom: float, side: float) -> None:
    """Add an image of this side in inches, `left` inches from the left edge, at the share `bottom` of the height."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom, side / width, side / height))
    show_image(axes, image)
    axes.set_axis_off()


def side_lines(text: str, chars: int) -> list[str]:
    """A text at the side of images, in lines of at most `chars` characters; no word is broken."""
    return textwrap.wrap(text, chars, break_on_hyphens=False, break_long_words=False)


def side_width(texts: Iterable[Iterable[str]]) -> float:
    """The width in inches of texts in lines at the side."""
    return 0.1 + _CHAR * max(len(line) for lines in texts for line in lines)
