import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import distinguishable, mean_interval, paired_difference


def test_mean_interval_by_hand():
    # s = 1, t_{0.975, 2} = 4.302653
    mean, half = mean_interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_mean_interval_is_scipys(n, level):
    values = np.random.default_rng(n).normal(size=n)
    mean, half = mean_interval(values, level)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(level)
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-12)


def test_few_values_have_no_interval():
    assert mean_interval([2.5])[0] == 2.5
    assert math.isnan(mean_interval([2.5])[1])
    assert all(math.isnan(x) for x in mean_interval([]))


def test_equal_values_have_width_zero():
    assert mean_interval([1.5, 1.5, 1.5]) == (1.5, 0.0)


def test_paired_difference_is_scipys_paired_t():
    a, b = np.random.default_rng(0).normal(size=(2, 5))
    mean, half = paired_difference(a, b)
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-12)


def test_pairing_takes_out_what_a_seed_does_to_both():
    seeds = np.array([0.0, 10.0, -7.0])
    mean, half = paired_difference(seeds + 1, seeds)
    assert mean == pytest.approx(1.0)
    assert half == pytest.approx(0.0, abs=1e-12)
    assert distinguishable(mean, half)


@pytest.mark.parametrize("n", [3, 5])
def test_the_interval_covers_the_truth_as_often_as_it_says(n):
    samples = np.random.default_rng(n).normal(1.7, 0.3, (8000, n))
    covered = [abs(mean - 1.7) <= half for mean, half in map(mean_interval, samples)]
    assert 0.94 <= np.mean(covered) <= 0.96


@pytest.mark.parametrize("n", [3, 5])
def test_equal_cells_are_told_apart_as_rarely_as_it_says(n):
    rng = np.random.default_rng(10 + n)
    seeds = rng.normal(0, 5, (8000, n))
    a, b = seeds + rng.normal(size=(8000, n)), seeds + rng.normal(size=(8000, n))
    found = [distinguishable(*paired_difference(x, y)) for x, y in zip(a, b, strict=True)]
    assert 0.04 <= np.mean(found) <= 0.06


@pytest.mark.parametrize(
    ("difference", "half", "expected"),
    [(1.0, 0.5, True), (-1.0, 0.5, True), (0.5, 0.5, False), (0.1, 0.5, False), (1.0, math.nan, False)],
)
def test_distinguishable(difference, half, expected):
    assert distinguishable(difference, half) is expected


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\), got 95"):
        mean_interval([1.0], 95)
    with pytest.raises(ValueError, match=r"values must be \[n\], got shape \(1, 2\)"):
        mean_interval(np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"equal shapes, got \(3,\) and \(2,\)"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])
