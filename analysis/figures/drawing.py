"""The common parts of all figures: style, files with reproducible bytes, colours, axes and direct labels."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from analysis.figures.digest import KEY, digest_of
from analysis.figures.ticks import FittingLocator, plain, power
from analysis.files import replace_file
from analysis.findings.cells import CellRuns
from analysis.grid_json import Axis
from analysis.labels import mathtext
from analysis.schema import STATUSES, UNCOMPARED, UNSCORED

STYLE = Path(__file__).with_name("style.mplstyle")
Which = Literal["x", "y"]
Color = tuple[float, float, float]
Point = tuple[float, float]
WIDTH = 7.0
"""The width in inches of a page's text, or of two columns of it."""
GREY = "#6b6b6b"
ON_ANY = "#767676"
"""The colour of text that can be read on white and on black, in figures without a background of their own."""
COLORBLIND = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#7f4f24", "#4b2e83", "#2f2f2f", "#8a8500", "#3a9fd6"),
)
"""The first five of seaborn's palette of this name, and five equally dark ones, since names are written in them."""
_CONTRAST = 4.5
"""The least contrast with white at which text is easy to read (WCAG 2.1, 1.4.3)."""
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1), (5, 1, 1, 1), (3, 1, 1, 1, 1, 1))
MARKERS = "osD^vP*X<>"
_LINE, _GAP = 10.0, 1.5
"""The points of a line of a name, and between names."""
_LETTERS = 18
"""The letters per inch of text above a figure."""
_BOUND = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Look:
    """Colour, dashes and marker, which may be hollow; any one of them tells the levels apart."""

    color: Color
    dashes: tuple[float, ...]
    marker: str
    filled: bool = True

    @property
    def line(self) -> dict[str, Any]:
        """Colour and dashes, as `plot` takes them."""
        return {"color": self.color, "dashes": self.dashes or (None, None)}


def styled() -> AbstractContextManager[None]:
    """A context for drawing and saving, in which the user's own settings do not apply."""
    return matplotlib.style.context(["default", str(STYLE)])


def new_figure(width: float, height: float, *, clear: bool = False) -> Figure:
    """A figure of this size in inches, outside matplotlib's global state; a `clear` one has no background."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if clear:
        figure.patch.set_alpha(0.0)
    FigureCanvasAgg(figure)
    return figure


def panels(
    n: int, height: float, *, columns: int = 0, alone: float = 0.65, wspace: float | None = None, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of n panels, row by row in `columns` columns (0: all in a row), with axes `shared` as in `subplots`.

    It is as wide as a page; with a single column, the share `alone` of that.
    """
    across = columns or n
    figure = new_figure(WIDTH if across > 1 else alone * WIDTH, height)
    if wspace is not None:
        figure.set_layout_engine("constrained", wspace=wspace)
    subplots = list(figure.subplots(-(-n // across), across, squeeze=False, **shared).flat)
    for left_over in subplots[n:]:
        left_over.remove()
    return figure, subplots[:n]


def add_above(figure: Figure, text: str) -> None:
    """Write text in lines of its own above a figure, which grows by them."""
    width, height = (float(inches) for inches in figure.get_size_inches())
    lines = wrapped(text, int(_LETTERS * width))
    whole = height + 0.08 + 0.12 * (lines.count("\n") + 1)
    share = height / whole
    figure.set_size_inches(width, whole)
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, share))
    else:
        _lower(figure, share)
    figure.text(0.06 / width, 1 - 0.06 / whole, lines, color=GREY, fontsize=6.8, va="top")


def _lower(figure: Figure, share: float) -> None:
    """Move axes and texts into the lowest `share` of the height."""
    for axes in figure.axes:
        x, y, wide, high = axes.get_position().bounds
        axes.set_position((x, share * y, wide, share * high))
    for text in figure.texts:
        text.set_y(share * text.get_position()[1])


@dataclass(frozen=True)
class Drawn:
    """A figure as the bytes of a PNG, and its width and height in inches."""

    png: bytes
    inches: tuple[float, float]

    def _repr_png_(self) -> bytes:
        """The picture, as notebooks show it."""
        return self.png


def as_png(figure: Figure) -> Drawn:
    """A figure as PNG, with a digest of what it shows, and without dates and versions."""
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None, KEY: digest_of(figure)})
    width, height = figure.get_size_inches()
    return Drawn(data.getvalue(), (float(width), float(height)))


def save(figure: Figure, path: Path, *, pdf: bool = True) -> Drawn:
    """Write <path>.png and <path>.pdf, without dates and versions, and return the PNG as written. Without `pdf`, an old
    file of that name is removed, since it would not match."""
    drawn = as_png(figure)
    replace_file(path.with_name(f"{path.name}.png"), lambda temporary: temporary.write_bytes(drawn.png))
    paper = path.with_name(f"{path.name}.pdf")
    if not pdf:
        paper.unlink(missing_ok=True)
        return drawn
    plain = {"CreationDate": None, "Producer": None, "Creator": None}
    replace_file(paper, lambda temporary: figure.savefig(temporary, format="pdf", metadata=plain))
    return drawn


def distinct_looks(n: int) -> list[Look]:
    """n looks: colours that stay apart for the colour-blind, dashes and markers in turn."""
    return [Look(color, DASHES[i % len(DASHES)], MARKERS[i % len(MARKERS)]) for i, color in enumerate(_palette(n))]


def _palette(n: int) -> Sequence[Color]:
    if n <= len(COLORBLIND):
        return [to_rgb(color) for color in COLORBLIND[:n]]
    from seaborn import color_palette  # It takes as long to import as a page takes to draw, and few grids need it.

    return [to_rgb(color) for color in color_palette("husl", n)]


def ink(color: Color | str) -> Color:
    """The colour, darkened until text in it can be read on white."""
    red, green, blue = to_rgb(color)
    while _contrast((red, green, blue)) < _CONTRAST:
        red, green, blue = 0.96 * red, 0.96 * green, 0.96 * blue
    return red, green, blue


def _contrast(color: Color) -> float:
    """The contrast with white, from 1 to 21."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color]
    return 1.05 / (0.05 + sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))


def looks(axes: Sequence[Axis]) -> dict[str, Look]:
    """A look per level of a grid's first axis; one look for all if there are no axes."""
    names = [level.name for level in axes[0].levels] if axes else [""]
    return dict(zip(names, distinct_looks(len(names)), strict=True))


def cell_looks(axes: Sequence[Axis], cells: Sequence[tuple[str, ...]]) -> list[Look]:
    """A look per cell, given by its levels; on a single axis, that of its level, so that all figures agree."""
    if len(axes) != 1:
        return distinct_looks(len(cells))
    of_level = looks(axes)
    return [of_level[level] for (level,) in cells]


def first_level(cell: CellRuns) -> str:
    """The level that determines a cell's look."""
    return cell.levels[0] if cell.levels else ""


def status_word(cell: CellRuns, metric: str = "") -> str:
    """The way in which a cell without results, or without this metric, ended; "none" if it finished without them."""
    if metric and not cell.comparable(metric):
        return UNCOMPARED
    ended = [status for status in (*STATUSES[1:], UNSCORED) if (cell.runs["status"] == status).any()]
    return ", ".join(ended) or "none"


def log_scale(axes: Axes, which: Which, low: float, high: float) -> None:
    """Make an axis logarithmic, with several ticks that are plain numbers."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_locator(FittingLocator(7, log=True))
    written = plain if low >= 1e-3 and high < 1e5 else power
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def moved_apart(places: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """The middles in [0, 1] of labels of these sizes: near their places, in the same order, without overlaps."""
    clusters: list[list[int]] = []
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        clusters.append([i])
        while len(clusters) > 1 and _overlap(places, sizes, clusters[-2], clusters[-1]):
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    moved = list(places)
    for cluster in clusters:
        at = _start(places, sizes, cluster)
        for i in cluster:
            moved[i] = at + sizes[i] / 2
            at += sizes[i]
    return moved


def _start(places: Sequence[float], sizes: Sequence[float], cluster: list[int]) -> float:
    """The place where touching labels begin: centred on their places, and inside [0, 1] if they fit."""
    total = sum(sizes[i] for i in cluster)
    start = sum(places[i] for i in cluster) / len(cluster) - total / 2
    return max(0.0, min(start, 1 - total))


def _overlap(places: Sequence[float], sizes: Sequence[float], below: list[int], above: list[int]) -> bool:
    return _start(places, sizes, below) + sum(sizes[i] for i in below) > _start(places, sizes, above)


def mean_line(axes: Axes, table: pd.DataFrame, look: Look) -> Point:
    """Draw the curves [x, seed], thin where seeds differ, and their mean; return the mean's last point."""
    mean = table.mean(axis=1)
    if table.nunique(axis=1).gt(1).any():
        axes.plot(table.index, table, color=look.color, linewidth=0.5, alpha=0.4)
    # A line of a single point would not be seen.
    axes.plot(mean.index, mean, "-" if len(mean) > 1 else "o", **look.line)
    return float(mean.index[-1]), float(mean.iloc[-1])


def label_heights(axes: Axes, names: Sequence[str], gap: float) -> list[float]:
    """The share of the axes' height that each name takes, with a gap in points."""
    points = axes.get_window_extent().height / axes.figure.dpi * 72
    return [(_LINE * (name.count("\n") + 1) + gap) / points for name in names]


def room_for(names: Iterable[str], chars: int) -> float:
    """The inches of a panel's height that give these names room at its side, below its title and above its axis."""
    return 0.55 + sum(_LINE * (wrapped(name, chars).count("\n") + 1) + _GAP for name in names) / 72


def label_ends(axes: Axes, ends: Sequence[tuple[Point, str, Color]], chars: int, fontsize: float | None = None) -> None:
    """Write names at the right of their points, moved apart to be readable, each with a thin line to its point."""
    names = [wrapped(name, chars) for _, name, _ in ends]
    places = [min(max(place_of(axes, point)[1], 0.0), 1.0) for point, _, _ in ends]
    heights = moved_apart(places, label_heights(axes, names, _GAP))
    for (point, _, color), name, height in zip(ends, names, heights, strict=True):
        if name:
            lead = {"arrowstyle": "-", "color": color, "lw": 0.5, "alpha": 0.6, "shrinkA": 1, "shrinkB": 0}
            style: dict[str, Any] = {"color": ink(color), "va": "center", "linespacing": 1.15, "fontsize": fontsize}
            at: dict[str, Any] = {"xytext": (1.05, height), "textcoords": "axes fraction", "annotation_clip": False}
            axes.annotate(name, point, arrowprops=lead | {"relpos": (0, 0.5)}, **at, **style)


def place_of(axes: Axes, point: Point) -> Point:
    """The place of a point as shares of the axes, which their layout does not change."""
    corners = zip(axes.get_xlim(), axes.get_ylim(), strict=True)
    (left, low), (right, high), (x, y) = (axes.transScale.transform(at) for at in (*corners, point))
    return float((x - left) / (right - left)), float((y - low) / (high - low))


def wrapped(text: str, chars: int) -> str:
    """Text for matplotlib in lines of at most `chars` characters; its own line breaks stay, and no number is parted
    from its sign: "T = 250", "10 %"."""
    bound = re.sub(r" ([=≤<≥>]) | (?=%)", lambda gap: gap[0].replace(" ", _BOUND), text)
    lines = [textwrap.wrap(line, chars, break_long_words=False, break_on_hyphens=False) for line in bound.split("\n")]
    return "\n".join(mathtext(piece.replace(_BOUND, " ")) for line in lines for piece in line)
