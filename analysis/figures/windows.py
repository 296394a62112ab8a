"""The part of an axis that is drawn, chosen so that a few values far off do not squash the rest.

    bulk_window     rows: the seeds within three interquartile ranges, and other values near to them
    whole_window    lines: all values, unless a few of them would flatten the rest; then the bulk alone
    best_window     trials of a search: the best value, and values near enough to compare with it

A value outside is set at the edge, as an arrow with its number; trials outside are counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.figures.drawing import Which, log_scale
from analysis.figures.ticks import FittingLocator
from analysis.findings.cells import Estimate
from analysis.statistics.paired import mean_interval

LOG_BULK = 20
"""The ratio of the largest to the smallest value in view above which the axis of a bulk is logarithmic."""
_NEARLY_ONE = 1.5
"""The ratio of values up to which a logarithmic axis reaches from half the least to twice the largest value."""
_FLAT = 3
"""The ratio of the range of all values to that of the bulk at which the bulk becomes too flat to read."""
_REACH = 3.0
"""The distance from the best trial up to which a trial is in view, as a multiple of the median's distance."""
_SHARE = 0.85
"""The share of trials that are always in view."""
_PLAIN = 1e-4, 1e7
"""The range of numbers that ticks write in full: a common factor would be in the way of the axis's label."""
_TALLER = 1.5
"""The factor by which an axis of trials may be stretched for those that lie somewhat farther off."""


@dataclass(frozen=True)
class Window:
    """The drawn range of an axis; values outside are shown at its edge. No value is below `least`, but an interval may
    be."""

    low: float
    high: float
    log: bool
    least: float = -math.inf

    def bounded(self, least: float | None) -> Window:
        """The range without the part below the least possible value."""
        return self if least is None else replace(self, low=max(self.low, least), least=least)

    def holds(self, value: float) -> bool:
        """True of a value that lies in the range."""
        return self.low <= value <= self.high

    def clipped(self, value: float) -> float:
        """The value, or the nearer edge if it lies outside."""
        return min(max(value, self.low), self.high)

    def share(self, value: float) -> float:
        """The place of a value between the edges, in [0, 1]."""
        place = math.log10 if self.log else float
        return (place(value) - place(self.low)) / (place(self.high) - place(self.low))


def around(low: float, high: float, share: float, *, log: bool = False, flat: float = 0.0) -> Window:
    """The range with a margin of this share of its length at either end. `flat` is the margin of a range of a single
    value, a factor if the axis is logarithmic."""
    if log:
        factor = (high / low) ** share if high > low else flat or 1.0
        return Window(low / factor, high * factor, True)
    margin = share * (high - low) or flat
    return Window(low - margin, high + margin, False)


def show(axes: Axes, which: Which, view: Window, ticks: int | None = None) -> None:
    """Give an axis its range; and if it is linear, at most `ticks` round numbers (None: matplotlib's own ticks)."""
    if view.log:
        log_scale(axes, which, view.low, view.high)
    elif ticks is not None:
        (axes.xaxis if which == "x" else axes.yaxis).set_major_locator(FittingLocator(ticks))
        if _PLAIN[0] <= max(abs(view.low), abs(view.high)) < _PLAIN[1]:
            axes.ticklabel_format(axis=which, style="plain", useOffset=False)
    axes.set(**{f"{which}lim": (view.low, view.high)})


def round_ticks(most: int, **options: Any) -> MaxNLocator:
    """A locator of at most `most` ticks, at multiples of 1, 2, 2.5 or 5 times a power of ten."""
    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], **options)


def on_axis(view: Window, estimate: Estimate) -> Estimate:
    """The estimate as an axis shows it: if logarithmic, with the geometric mean and the interval of the logarithm."""
    values = np.array(list(estimate.values.values()))
    if estimate.factor or not view.log or not len(values) or (values <= 0).any():
        return estimate
    mean, half_width = mean_interval(np.log(values))
    return Estimate(math.exp(mean), half_width, estimate.values, factor=True)


def fit_axis(axes: Axes, which: Which, values: Sequence[NDArray[Any]], *, log: bool) -> None:
    """Fit an axis to all of these values with a margin, logarithmic if asked for and if every value is positive."""
    finite = np.concatenate([value[np.isfinite(value)].ravel() for value in values])
    low, high = float(finite.min()), float(finite.max())
    if log and low > 0 and high <= _NEARLY_ONE * low:
        show(axes, which, Window(low / 2, high * 2, True))
    else:
        show(axes, which, around(low, high, 0.05, log=log and low > 0, flat=1.0))


def bulk_window(estimates: Sequence[Estimate], lines: Sequence[float] = (), *, log: bool | None = None) -> Window:
    """The seeds within three interquartile ranges, and the ends of intervals and known `lines` near to them.

    If `log` is None, the range of the seeds decides whether the axis is logarithmic.
    """
    if log is None:
        bulk = _bulk(estimates, False)
        log = float(bulk.min()) > 0 and bool(bulk.max() / bulk.min() > LOG_BULK)
    bulk = _bulk(estimates, log)
    bottom, top = float(bulk.min()), float(bulk.max())
    # Zeros alone have no scale of their own, so a known value beside them sets it.
    span = max(top - bottom, 0.05 * abs(top), 1e-6) if top or bottom else max([1e-6, *np.abs(lines)])
    most = max(len(estimate.values) for estimate in estimates)
    whole = [estimate for estimate in estimates if len(estimate.values) == most]
    ends = [end for estimate in whole for end in (estimate.low, estimate.high)]
    for more, near in ((_places(lines, log), 0.6 * span), (_places(ends, log), span)):
        close = more[(more >= bulk.min() - near) & (more <= bulk.max() + near)]
        bottom, top = min([bottom, *close]), max([top, *close])
    margin = 0.06 * (top - bottom) + (0.5 * span if top - bottom < span else 0.0)
    return _between(float(bottom), float(top), float(margin), log)


def _bulk(estimates: Sequence[Estimate], log: bool) -> NDArray[np.float64]:
    """The places of the seeds without those far off the rest; all places if there is only one estimate."""
    seeds = _places([value for estimate in estimates for value in estimate.values.values()], log)
    if len(estimates) == 1:
        return seeds
    low, high = np.quantile(seeds, [0.25, 0.75])
    reach = 3 * max(high - low, 1e-3 * abs(high), 1e-9)
    bulk: NDArray[np.float64] = seeds[(seeds >= low - reach) & (seeds <= high + reach)]
    return bulk


def _places(values: Sequence[float] | NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """The places of the finite values on the axis; without values that a logarithmic axis cannot show."""
    places = np.asarray(values, dtype=np.float64)
    places = places[np.isfinite(places) & (places > 0 if log else True)]
    return np.log10(places) if log else places


def _between(low: float, high: float, margin: float, log: bool) -> Window:
    """The window from one place on the axis to another, with a margin."""
    low, high = low - margin, high + margin
    return Window(10**low, 10**high, True) if log else Window(low, high, False)


def whole_window(estimates: Sequence[Estimate], log_from: float) -> Window:
    """The window of all values, on a logarithmic axis if they span more than `log_from`, or a few would flatten the
    rest.

    If they would do so on either axis, the window of the bulk alone.
    """
    values = [value for estimate in estimates for value in estimate.values.values()]
    wide, positive = 0 < log_from * min(values) < max(values), min(values) > 0
    for log in (True,) if wide else (False, True) if positive else (False,):
        bulk = bulk_window(estimates, log=log)
        whole = _widened(bulk, values)
        if bulk.share(whole.high) - bulk.share(whole.low) < _FLAT:
            return whole
    bulk = bulk_window(estimates, log=wide)
    return bulk if bulk.high > log_from * bulk.low else bulk_window(estimates, log=False)


def _widened(view: Window, values: Sequence[float]) -> Window:
    """The range, widened to hold these values too."""
    low, high = min(view.low, *values), max(view.high, *values)
    return view if (low, high) == (view.low, view.high) else around(low, high, 0.04, log=view.log)


def best_window(values: Sequence[float], sign: int) -> Window:
    """The window of the best value, where `sign` · value is largest, and of values near enough to compare with it; of
    all if none is far off."""
    places = np.sort(-sign * _places(values, False))
    if not len(places):
        return Window(0.0, 1.0, False)
    best, worst = float(places[0]), float(places[-1])
    near = max(best + _REACH * (float(np.median(places)) - best), float(np.quantile(places, _SHARE, method="lower")))
    if near > best:
        worst = float(places[places <= best + _TALLER * (near - best)][-1])
    low, high = sorted((-sign * best, -sign * worst))
    return _between(low, high, 0.06 * (high - low) or (0.05 * abs(high) or 0.05), False)
