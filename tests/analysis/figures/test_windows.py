"""Which part of an axis is drawn: outliers squash nothing, and one value is no hair."""

import numpy as np
import pytest

from analysis.figures.drawing import new_figure
from analysis.figures.windows import Window, around, best_window, bulk_window, show
from analysis.findings.cells import Estimate


def estimates(*groups):
    return [Estimate(float(np.mean(g)), 0.1, dict(enumerate(g))) for g in groups]


def test_window_holds_the_bulk_and_leaves_an_outlier_out():
    view = bulk_window(estimates([2.4, 2.5], [2.5, 2.6], [2.6, 2.7], [2.5, 2.5], [9.0, 9.2]), [2.3, 4.1])
    assert not view.log
    assert view.low < 2.3
    assert 2.7 < view.high < 4.1


def test_window_is_logarithmic_over_a_wide_range():
    view = bulk_window(estimates([1.0], [10.0], [100.0], [1000.0]))
    assert view.log
    assert view.holds(1.0)
    assert view.holds(1000.0)
    assert view.share((view.low * view.high) ** 0.5) == pytest.approx(0.5)


def test_a_window_of_one_cell_holds_its_seeds_and_that_of_one_value_is_not_a_hair():
    view = bulk_window(estimates([2.0, 2.1, 2.2, 2.3, 7.0]))
    assert view.low < 2.0
    assert view.high > 7.0
    alone = bulk_window([Estimate(2.0, float("nan"), {0: 2.0})])
    assert alone.high - alone.low == pytest.approx(0.1, rel=0.2)
    assert Window(0.0, 2.0, False).share(0.5) == 0.25


def test_an_outlier_among_trials_does_not_squash_the_rest():
    view = best_window([*np.linspace(2.3, 2.5, 20), 8.3], -1)
    assert view.holds(2.3)
    assert view.holds(2.5)
    assert view.high < 2.6
    assert (view.clipped(8.3), view.clipped(2.4)) == (view.high, 2.4)


def test_where_more_is_better_the_window_is_the_mirrored_one():
    values = [*np.linspace(0.6, 0.8, 20), 0.01]
    view, mirrored = best_window(values, 1), best_window([-value for value in values], -1)
    assert (view.low, view.high) == (-mirrored.high, -mirrored.low)
    assert 0.5 < view.low < 0.6


def test_a_range_of_one_value_is_not_a_hair():
    alone = best_window([2.0], -1)
    assert alone.holds(2.0)
    assert alone.high - alone.low == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("low", "high", "log", "flat", "expected"),
    [
        (1.0, 3.0, False, 9.0, (0.8, 3.2)),
        (2.0, 2.0, False, 0.5, (1.5, 2.5)),
        (1.0, 100.0, True, 9.0, (10**-0.2, 10**2.2)),
        (2.0, 2.0, True, 4.0, (0.5, 8.0)),
    ],
)
def test_a_margin_is_a_share_of_the_range(low, high, log, flat, expected):
    view = around(low, high, 0.1, log=log, flat=flat)
    assert (view.low, view.high) == pytest.approx(expected)
    assert view.log is log


@pytest.mark.parametrize("ratio", [1.2, 1.5, 2.07, 3.0, 8.0, 40.0, 2000.0])
@pytest.mark.parametrize("low", [1.0, 2.1, 3.05, 5.1, 8.7])
def test_a_logarithmic_axis_has_ticks_that_can_be_read(low, ratio):
    axes = new_figure(3.0, 2.0).subplots()
    show(axes, "y", Window(100 * low, 100 * low * ratio, True))
    shown = [tick for tick in axes.yaxis.get_majorticklocs() if 100 * low <= tick <= 100 * low * ratio]
    assert 2 <= len(shown) <= 7
