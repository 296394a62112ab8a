"""What is wrong with the layout of a figure: texts on each other, on arrows or off the canvas, and panels that are the
same.
"""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.text import Text

DPI = 100
SLACK = 1.0
"""Dots by which boxes of texts may reach into each other: they are higher than what is written in them."""


def faults(figure):
    """A sentence for each fault of a figure."""
    figure.set_dpi(DPI)
    figure.canvas.draw()
    texts = [(text.get_text(), Text.get_window_extent(text)) for text in _texts(figure)]
    return [*_outside(figure, texts), *_overlaps(texts), *_on_arrows(figure, texts), *_same(figure)]


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


def _outside(figure, texts):
    width, height = figure.bbox.width, figure.bbox.height
    for said, box in texts:
        if min(box.x0, box.y0) < -SLACK or box.x1 > width + SLACK or box.y1 > height + SLACK:
            yield f"{said!r} is off the canvas"


def _overlaps(texts):
    for (said, a), (other, b) in itertools.combinations(texts, 2):
        across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > SLACK and down > SLACK:
            yield f"{said!r} and {other!r} lie on each other by {across:.0f} × {down:.0f} dots"


def _on_arrows(figure, texts):
    """Arrows at the edges of axes that a text lies on."""
    for line in (line for axes in figure.axes for line in axes.lines):
        if line.get_marker() in ("^", "v", "<", ">") and not line.get_clip_on():
            half = line.get_markersize() / 2 * figure.dpi / 72 - SLACK
            for x, y in line.get_transform().transform(line.get_xydata()):
                for said, box in texts:
                    if box.x0 - half < x < box.x1 + half and box.y0 - half < y < box.y1 + half:
                        yield f"{said!r} lies on an arrow"


def _same(figure):
    """Panels that are pixel for pixel equal, each drawn alone at one place; pictures may be, and words are no panel.

    The figure is of no use afterwards.
    """
    panels = [axes for axes in figure.axes if axes.has_data() and not axes.images]
    seen = {}
    figure.set_layout_engine("none")
    for i, axes in enumerate(panels if len(panels) > 1 else []):
        for other in figure.axes:
            other.set_visible(other is axes)
        axes.set_position((0.25, 0.25, 0.5, 0.5))
        figure.canvas.draw()
        box = axes.bbox
        pixels = np.asarray(figure.canvas.buffer_rgba())[::-1]
        panel = pixels[round(box.y0) : round(box.y1), round(box.x0) : round(box.x1)]
        seen.setdefault(panel.tobytes(), []).append(i)
    for alike in seen.values():
        if len(alike) > 1:
            yield f"panels {alike} are the same"
