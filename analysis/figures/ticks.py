"""Ticks with enough room: as many round numbers as fit the length of an axis, which is known only when it is drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import Locator, MaxNLocator

LETTER = 4.6
"""The points that a letter of a tick's number takes, somewhat more than its width."""
_LINE = 9.0
_PAD = 4.0  # points by which a number may reach beyond an end, less than the room around each panel
_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
"""The ticks of a logarithmic axis within a decade, from few to many."""
_MARKUP = re.compile(r"\\cdot|\\mathdefault|[${}^\\]")


class FittingLocator(Locator):
    """A locator of at most `most` round ticks whose numbers do not touch; over decades if the axis is logarithmic."""

    def __init__(self, most: int, *, log: bool = False) -> None:
        self.most, self.log = most, log

    def __call__(self) -> Sequence[float]:
        """The ticks of the axis as it is now."""
        low, high = sorted(self._axis.get_view_interval())
        return self.tick_values(low, high)

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """The largest set of ticks in this range that has room; the coarsest one of those with equally many."""
        if self.log and vmin <= 0:
            return []
        choices = [self._on_canvas(ticks, vmin, vmax) for ticks in self._choices(vmin, vmax)]
        fitting = [ticks for ticks in choices if len(ticks) <= self.most and self._fit(ticks, vmin, vmax)]
        return max(fitting, key=len, default=[])

    def _choices(self, low: float, high: float) -> Iterator[list[float]]:
        """Sets of round numbers in this range, those of decades first."""
        if self.log:
            decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for every in range(len(decades), 1, -1):
                yield _inside([10.0**decade for decade in decades if decade % every == 0], low, high)
            for steps in _STEPS:
                yield _inside([step * 10.0**decade for decade in decades for step in steps], low, high)
        if not self.log or high < 3 * low:
            for n in range(1, self.most + 1):
                yield _inside(MaxNLocator(n, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high), low, high)

    def _on_canvas(self, ticks: list[float], low: float, high: float) -> list[float]:
        """The ticks whose numbers do not stick out at an end, which may have no room; all if fewer than two are
        left."""
        if not isinstance(self._axis, XAxis) or len(ticks) > self.most:
            return ticks
        spots = zip(ticks, self._spots(ticks, low, high), strict=True)
        kept = [tick for tick, (at, size) in spots if size / 2 - _PAD <= at <= self._length - size / 2 + _PAD]
        return kept if len(kept) > 1 else ticks

    def _fit(self, ticks: Sequence[float], low: float, high: float) -> bool:
        """True where every number ends before the next begins."""
        spots = self._spots(ticks, low, high)
        return all(b - a >= (m + n) / 2 for (a, m), (b, n) in pairwise(spots))

    def _spots(self, ticks: Sequence[float], low: float, high: float) -> list[tuple[float, float]]:
        """The middle of each number along the axis, and its size, in points."""
        start, end = self._place(low), self._place(high)
        points = self._length / ((end - start) or 1.0)
        texts = self._axis.get_major_formatter().format_ticks(list(ticks))
        return [
            (points * (self._place(tick) - start), self._size(text)) for tick, text in zip(ticks, texts, strict=True)
        ]

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    @property
    def _axis(self) -> Axis:
        assert isinstance(self.axis, Axis), "an axis has no ticks before it has this locator"
        return self.axis

    @property
    def _length(self) -> float:
        axes = self._axis.axes
        box = axes.get_window_extent()
        return float(box.width if isinstance(self._axis, XAxis) else box.height) / axes.figure.dpi * 72

    def _size(self, text: str) -> float:
        return LETTER * len(_MARKUP.sub("", text)) + 3 if isinstance(self._axis, XAxis) else _LINE


def _inside(ticks: Iterable[float], low: float, high: float) -> list[float]:
    """The ticks that are in this range, up to rounding."""
    slack = 1e-9 * (high - low)
    return [float(tick) for tick in ticks if low - slack <= tick <= high + slack]


def power(value: float) -> str:
    """A value as a power of ten, with a factor if it needs one."""
    exponent = math.floor(math.log10(value) + 1e-9)
    factor = value / 10.0**exponent
    return f"$10^{{{exponent}}}$" if abs(factor - 1) < 1e-6 else f"${factor:g}\\cdot 10^{{{exponent}}}$"


def plain(value: float) -> str:
    """A value written in full."""
    return f"{value:g}"
