"""A digest of a figure's content: the data of its lines, bars, areas and images, and all of its texts.

It does not depend on fonts, sizes and pixels, which differ between machines and versions of matplotlib. It serves to
check a figure in a file against the code that drew it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import ArrayLike, NDArray

KEY = "Digest"
"""The keyword of the PNG text that holds the digest."""
_SHARE, _ROUNDING = 1e-6, 1e-9
"""The shares of the largest number by which two numbers may differ and still count as the same: as they are shown, and
by their rounding, which differs between versions of Python and numpy."""


def digest_of(figure: Figure) -> str:
    """The digest of a figure's content, 16 hex digits."""
    above = [figure.get_suptitle(), figure.get_supxlabel(), figure.get_supylabel()]
    shown = [above, _said(figure.texts), [_said(legend.get_texts()) for legend in figure.legends]]
    content = [*shown, *(_of_axes(axes) for axes in figure.axes)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:16]


def _of_axes(axes: Axes) -> list[Any]:
    """The content of a panel."""
    titles = [axes.get_title(loc=side) for side in ("left", "center", "right")]
    legend = axes.get_legend()
    texts = [*axes.texts, *(legend.get_texts() if legend else [])]
    data = [list(_numbers(artist, axes)) for artist in (*axes.lines, *axes.collections, *axes.patches, *axes.images)]
    return [titles, *(_of_axis(axis) for axis in (axes.xaxis, axes.yaxis)), _said(texts), data]


def _of_axis(axis: Axis) -> list[str]:
    """The label of an axis, its scale, and the texts at its ticks if these are fixed."""
    places, words = axis.get_major_locator(), axis.get_major_formatter()
    parts = [axis.get_label_text(), axis.get_scale()]
    if isinstance(places, FixedLocator) and isinstance(words, FuncFormatter):
        parts += [words(at) for at in places.tick_values(0.0, 0.0)]
    return parts


def _said(texts: Sequence[Text]) -> list[str]:
    return [text.get_text() for text in texts]


def _numbers(artist: Artist, axes: Axes) -> Iterator[list[Any]]:
    """The numbers that an artist shows, by coordinate, without those that the layout sets."""
    match artist:
        case Line2D():
            of_data = artist.get_transform().contains_branch_seperately(axes.transData)
            coordinates = np.asarray(artist.get_xydata(), dtype=float).T
            # A line to a label ends where the layout found room for the label.
            yield from (_rounded(column) for column, shows in zip(coordinates, of_data, strict=True) if shows)
        case Collection():
            paths = [path.vertices for path in artist.get_paths()]
            values = artist.get_array()
            for array in (np.asarray(artist.get_offsets(), dtype=float), *paths, *([] if values is None else [values])):
                yield from map(_rounded, np.atleast_2d(array).T)
        case Patch():
            yield from map(_rounded, artist.get_patch_transform().transform(artist.get_path().vertices).T)
        case AxesImage():
            yield _rounded(artist.get_array())


def _rounded(values: ArrayLike | None) -> list[Any]:
    """Numbers in steps of a millionth of the power of ten at or below the largest, which may fall short of it by its
    rounding; nan and infinite ones as text."""
    flat: NDArray[np.float64] = np.asarray(np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)).ravel()
    finite = np.abs(flat[np.isfinite(flat)])
    largest = float(finite.max(initial=0.0))
    step = 10.0 ** np.floor(np.log10(largest * (1 + _ROUNDING))) * _SHARE if largest else 1.0
    return [step, *(round(value / step) if np.isfinite(value) else str(value) for value in flat.tolist())]
