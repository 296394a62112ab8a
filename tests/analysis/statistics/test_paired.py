import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.paired import (
    bootstrap_interval,
    compare,
    equivalent,
    mean_interval,
    sampling_noise,
)


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


def test_compare_is_scipys_paired_t():
    a, b = np.random.default_rng(0).normal(size=(2, 5))
    found, known = compare(a - b), stats.ttest_rel(a, b)
    low, high = known.confidence_interval(0.95)
    ours = [found.difference - found.half_width, found.difference + found.half_width, found.p]
    np.testing.assert_allclose(ours, [low, high, known.pvalue], rtol=1e-9)
    assert (found.n, found.image_error) == (5, 0.0)
    assert found.seed_sd == pytest.approx(np.std(a - b, ddof=1))


def test_crossed_by_hand():
    # Seeds' means 1, 3; images' means 1, 2, 3; no residual: MS_seed = 3 · 2 = 6, MS_image = 2 · 1 = 2, MS_rest = 0.
    # Of the mean's variance (6 + 2)/6 the seeds make 1, known with 1 degree of freedom; the images 1/3, with 2.
    found = compare([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]])
    assert found.difference == 2.0
    assert found.half_width == pytest.approx(math.sqrt(12.7062047**2 + 4.30265273**2 / 3), rel=1e-7)
    assert found.image_error == pytest.approx(math.sqrt(2 / 6))
    assert found.seed_sd == pytest.approx(math.sqrt(2))
    # Seeds' means squared are 1 + 9, and the images could make 3.5² · 2 · 1/3 of them.
    assert found.spread == pytest.approx(10)


def test_crossed_with_a_rest_by_hand():
    # Seeds' means 1, 3; images' means 2, 0, 4; rests ±1, ±1, ±2 of the second seed less the first:
    # MS_seed = 6, MS_image = 2 · 4 = 8, MS_rest = 2 · (1 + 1 + 4)/2 = 6. All of MS_seed stays the seeds'.
    found = compare([[0.0, -2.0, 5.0], [4.0, 2.0, 3.0]])
    assert found.image_error == pytest.approx(math.sqrt((8 - 6) / 6))
    assert found.half_width == pytest.approx(math.sqrt(12.7062047**2 * 6 / 6 + 4.30265273**2 * 2 / 6), rel=1e-7)
    # Images that vary less than the rest does add nothing.
    assert compare([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]).image_error == 0


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0, 1e6])
def test_p_is_the_level_whose_interval_ends_at_zero(scale):
    rng = np.random.default_rng(0)
    values = 0.4 + scale * (rng.normal(size=(4, 1)) + 3 * rng.normal(size=60) + rng.normal(size=(4, 60)))
    found = compare(values)
    again = compare(values, 1 - found.p)
    assert again.half_width == pytest.approx(abs(found.difference), rel=1e-6)
    assert again.p == found.p


def test_p_of_a_difference_without_doubt_is_small():
    rng = np.random.default_rng(0)
    found = compare(0.4 + 1e-6 * (rng.normal(size=(4, 1)) + rng.normal(size=60)))
    assert 0 < found.p < 1e-12


def test_images_that_differ_in_nothing_leave_the_test_over_seeds():
    by_seed = np.array([0.3, 0.9, 0.5])
    found, known = compare(np.repeat(by_seed[:, None], 50, axis=1)), compare(by_seed)
    assert (found.half_width, found.p) == (pytest.approx(known.half_width), pytest.approx(known.p))
    assert found.image_error == pytest.approx(0, abs=1e-9)


def test_one_seed_has_no_interval():
    found = compare([0.3])
    assert (found.difference, found.n) == (0.3, 1)
    assert math.isnan(found.half_width)
    assert math.isnan(found.p)


def test_values_in_steps_have_no_less_doubt_than_their_rounding():
    # q²/(6n) for q = 0.3: t = 0.5/√(0.09/18) = 7.07 with 2 degrees of freedom.
    found, finer = compare([0.5, 0.5, 0.5], resolution=0.3), compare([0.5, 0.5, 0.5])
    assert found.p == pytest.approx(2 * stats.t.sf(0.5 / math.sqrt(0.005), 2))
    assert found.half_width == pytest.approx(4.30265273 * math.sqrt(0.005), rel=1e-7)
    assert (finer.p, finer.half_width) == (0, 0)
    assert compare([0.1, 0.5, 0.9], resolution=0.3) == compare([0.1, 0.5, 0.9])


def test_equivalence_is_two_one_sided_tests():
    values = np.array([0.3, 0.1, 0.5, -0.2])
    above = stats.ttest_1samp(values, -1, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 1, alternative="less").pvalue
    for same in (values, -values, np.repeat(values[:, None], 50, axis=1)):
        assert equivalent(same, 1.0) == pytest.approx(max(above, below))
    assert equivalent(values + 5, 1.0) > 0.5


def test_one_side_is_half_of_both_or_what_is_left():
    found = compare([1.0, 2.0, 3.0])
    assert found.one_sided(1) == pytest.approx(stats.ttest_1samp([1, 2, 3], 0, alternative="greater").pvalue)
    assert found.one_sided(-1) == pytest.approx(stats.ttest_1samp([1, 2, 3], 0, alternative="less").pvalue)


def test_sampling_noise_is_that_of_a_mean_over_sets():
    assert sampling_noise([3.0, 4.0], 2) == pytest.approx(math.sqrt((9 + 16) / 2 / 2))
    assert math.isnan(sampling_noise([math.nan], 1))


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"n ≥ 20, got shape \(5,\)"):
        bootstrap_interval(np.arange(5.0), np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\), got 95"):
        mean_interval([1.0], 95)
    with pytest.raises(ValueError, match=r"values must be \[n\], got shape \(1, 2\)"):
        mean_interval(np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"differences must be \[n\] or \[n, m\] with n, m ≥ 1, got shape \(0,\)"):
        compare([])


def test_two_seeds_whose_images_vary_little_overflow_nowhere():
    """One degree of freedom puts a p of 1e-300 at a t of 1e300: warnings are errors here."""
    rng = np.random.default_rng(0)
    values = 5 + np.array([[0.0], [1e-6]]) + 1e-4 * rng.normal(size=(2, 40))
    found = compare(values)
    assert 0 < found.p < 0.01
