"""Figures as tests draw them, what is in them, and what is wrong with their layout."""

import itertools

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.text import Text

from analysis.answers import Analysis, read
from analysis.figures import FIGURES, function_of
from analysis.figures.style import STYLE

SLACK = 1.5
"""Dots by which boxes of texts may reach into each other: they are higher than what is written in them."""


def drawn(name, of):
    """A figure of an analysis or a search, or of a results folder, in the project's style."""
    subject = of if isinstance(of, Analysis) or FIGURES[name] == "search" else read(of)
    with matplotlib.style.context(STYLE):
        return function_of(name)(subject)


def panels_of(figure):
    """Title → the lines of a panel by their labels, as points [n, 2]."""
    return {title(axes): labelled(axes) for axes in figure.axes}


def title(axes):
    """The title of a panel, which stands at its left."""
    return axes.get_title(loc="left")


def labelled(axes):
    """The lines of a panel by their labels; those without one are left out."""
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    return {line.get_label(): np.asarray(line.get_xydata(), dtype=float) for line in lines}


def legend_of(figure):
    """The names in a figure's legend."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def texts(axes):
    """The texts in a panel."""
    return [text.get_text().strip() for text in axes.texts]


def faults(figure):
    """A sentence for each text of a figure that is off the canvas, or lies on another."""
    with matplotlib.style.context(STYLE):
        figure.set_dpi(100)
        figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in _texts(figure)]
    width, height = figure.bbox.width, figure.bbox.height
    for said, box in boxes:
        if min(box.x0, box.y0) < -SLACK or box.x1 > width + SLACK or box.y1 > height + SLACK:
            yield f"{said!r} is off the canvas"
    for (said, a), (other, b) in itertools.combinations(boxes, 2):
        across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > SLACK and down > SLACK:
            yield f"{said!r} and {other!r} lie on each other by {across:.0f} × {down:.0f} dots"


def _texts(artist):
    """The texts that are drawn of an artist: ticks that are out of view are not."""
    if not artist.get_visible():
        return
    if isinstance(artist, Text):
        if artist.get_text().strip():
            yield artist
        return
    children = artist.get_children()
    if isinstance(artist, Axis):
        ticks = itertools.chain.from_iterable((tick.label1, tick.label2) for tick in artist._update_ticks())
        children = [*ticks, artist.label, artist.offsetText]
    elif isinstance(artist, Axes) and not artist.axison:
        children = [child for child in children if not isinstance(child, Axis)]
    for child in children:
        yield from _texts(child)
