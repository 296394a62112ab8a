"""The part of an axis that is drawn, so that values which compare are not squashed by a few that are far off.

    bulk_window     rows: the seeds within three interquartile ranges, and what is near to them of the rest
    whole_window    lines: all values, unless a few of them would flatten the rest; then the bulk alone
    best_window     trials of a search: the best value, and what is near enough to it to be compared

What lies outside is set at the edge, as an arrow with its number; trials that do are counted.
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
"""A logarithmic axis of values that differ by no more than this factor reaches twice as far at either end."""
_FLAT = 3
"""As often as large as the range of the bulk, the range of all values makes that of the bulk too flat to read."""
_REACH = 3.0
"""As often as the median is from the best trial, a trial may be from it and still be in view."""
_SHARE = 0.85
"""The share of trials that are in view in any case."""
_PLAIN = 1e-4, 1e7
"""The sizes of numbers that ticks write in full: a factor of all of them would stand in the way of the axis's label."""
_TALLER = 1.5
"""As often as long as that makes it, an axis is stretched for trials that are somewhat farther off."""


@dataclass(frozen=True)
class Window:
    """The range of an axis that is drawn; values outside are told at its edge. No value is below the `least`, though
    an interval may be."""

    low: float
    high: float
    log: bool
    least: float = -math.inf

    def bounded(self, least: float | None) -> Window:
        """The range without what lies below the least value that there can be."""
        return self if least is None else replace(self, low=max(self.low, least), least=least)

    def holds(self, value: float) -> bool:
        """True of a value that is drawn where it belongs."""
        return self.low <= value <= self.high

    def clipped(self, value: float) -> float:
        """The value, or the edge that it lies beyond."""
        return min(max(value, self.low), self.high)

    def share(self, value: float) -> float:
        """The place of a value between the edges, in [0, 1]."""
        place = math.log10 if self.log else float
        return (place(value) - place(self.low)) / (place(self.high) - place(self.low))


def around(low: float, high: float, share: float, *, log: bool = False, flat: float = 0.0) -> Window:
    """The range with a margin of this share of its length at either end; `flat` is the margin of a range of one value,
    a factor where the axis is logarithmic."""
    if log:
        factor = (high / low) ** share if high > low else flat or 1.0
        return Window(low / factor, high * factor, True)
    margin = share * (high - low) or flat
    return Window(low - margin, high + margin, False)


def show(axes: Axes, which: Which, view: Window, ticks: int | None = None) -> None:
    """Give an axis its range, and ticks: at most so many round numbers where it is linear (None: matplotlib's own)."""
    if view.log:
        log_scale(axes, which, view.low, view.high)
    elif ticks is not None:
        (axes.xaxis if which == "x" else axes.yaxis).set_major_locator(FittingLocator(ticks))
        if _PLAIN[0] <= max(abs(view.low), abs(view.high)) < _PLAIN[1]:
            axes.ticklabel_format(axis=which, style="plain", useOffset=False)
    axes.set(**{f"{which}lim": (view.low, view.high)})


def round_ticks(most: int, **options: Any) -> MaxNLocator:
    """At most so many ticks, at multiples of 1, 2, 2.5 or 5 times a power of ten."""
    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], **options)


def on_axis(view: Window, estimate: Estimate) -> Estimate:
    """The estimate as an axis shows it: on a logarithmic one, the geometric mean and the interval of its logarithm."""
    values = np.array(list(estimate.values.values()))
    if estimate.factor or not view.log or not len(values) or (values <= 0).any():
        return estimate
    mean, half_width = mean_interval(np.log(values))
    return Estimate(math.exp(mean), half_width, estimate.values, factor=True)


def fit_axis(axes: Axes, which: Which, values: Sequence[NDArray[Any]], *, log: bool) -> None:
    """An axis for all of these values with a margin, logarithmic if asked for and if every value is positive."""
    known = np.concatenate([value[np.isfinite(value)].ravel() for value in values])
    low, high = float(known.min()), float(known.max())
    if log and low > 0 and high <= _NEARLY_ONE * low:
        show(axes, which, Window(low / 2, high * 2, True))
    else:
        show(axes, which, around(low, high, 0.05, log=log and low > 0, flat=1.0))


def bulk_window(estimates: Sequence[Estimate], lines: Sequence[float] = (), *, log: bool | None = None) -> Window:
    """The seeds within three interquartile ranges, and what is near to them of intervals and known `lines`.

    Whether the axis is logarithmic follows from the range of the seeds where `log` does not say it.
    """
    if log is None:
        bulk = _bulk(estimates, False)
        log = float(bulk.min()) > 0 and bool(bulk.max() / bulk.min() > LOG_BULK)
    bulk = _bulk(estimates, log)
    bottom, top = float(bulk.min()), float(bulk.max())
    # Zeros alone have no scale of their own: a known value beside them has.
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
    """The seeds' places without those far off the rest; of one estimate alone all, for there is no rest."""
    seeds = _places([value for estimate in estimates for value in estimate.values.values()], log)
    if len(estimates) == 1:
        return seeds
    low, high = np.quantile(seeds, [0.25, 0.75])
    reach = 3 * max(high - low, 1e-3 * abs(high), 1e-9)
    bulk: NDArray[np.float64] = seeds[(seeds >= low - reach) & (seeds <= high + reach)]
    return bulk


def _places(values: Sequence[float] | NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """The places of the finite values on the axis; those that a logarithm lacks have no place."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known) & (known > 0 if log else True)]
    return np.log10(known) if log else known


def _between(low: float, high: float, margin: float, log: bool) -> Window:
    """The window from one place on the axis to another, with a margin."""
    low, high = low - margin, high + margin
    return Window(10**low, 10**high, True) if log else Window(low, high, False)


def whole_window(estimates: Sequence[Estimate], log_from: float) -> Window:
    """All values, on a logarithmic axis where they span more than `log_from`, or where a few would flatten the rest.

    Where they would do so on either axis, the bulk alone.
    """
    values = [value for one in estimates for value in one.values.values()]
    wide, positive = 0 < log_from * min(values) < max(values), min(values) > 0
    for log in (True,) if wide else (False, True) if positive else (False,):
        bulk = bulk_window(estimates, log=log)
        whole = _widened(bulk, values)
        if bulk.share(whole.high) - bulk.share(whole.low) < _FLAT:
            return whole
    bulk = bulk_window(estimates, log=wide)
    return bulk if bulk.high > log_from * bulk.low else bulk_window(estimates, log=False)


def _widened(view: Window, values: Sequence[float]) -> Window:
    """A range that holds these values too."""
    low, high = min(view.low, *values), max(view.high, *values)
    return view if (low, high) == (view.low, view.high) else around(low, high, 0.04, log=view.log)


def best_window(values: Sequence[float], sign: int) -> Window:
    """The best, which is where `sign` · value is largest, and what is near enough to it to be compared; all where none
    is far off."""
    places = np.sort(-sign * _places(values, False))
    if not len(places):
        return Window(0.0, 1.0, False)
    best, worst = float(places[0]), float(places[-1])
    near = max(best + _REACH * (float(np.median(places)) - best), float(np.quantile(places, _SHARE, method="lower")))
    if near > best:
        worst = float(places[places <= best + _TALLER * (near - best)][-1])
    low, high = sorted((-sign * best, -sign * worst))
    return _between(low, high, 0.06 * (high - low) or (0.05 * abs(high) or 0.05), False)
