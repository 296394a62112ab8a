"""The parts of a mean's variance, and the p that they give many means at once."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.variances import over_both, over_seeds


def test_p_over_seeds_is_scipys():
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    known = stats.ttest_1samp(values, 0, axis=-1)
    np.testing.assert_allclose(over_seeds(values).two_sided(), known.pvalue, rtol=1e-12)
    low, high = known.confidence_interval(0.9)
    np.testing.assert_allclose(over_seeds(values).half_width(0.1), (high - low) / 2, rtol=1e-12)


def test_p_over_both_is_the_level_whose_interval_ends_at_zero():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 6, 4, 1)) + rng.normal(size=(2, 6, 1, 30)) + rng.normal(size=(2, 6, 4, 30))
    values[0, 0] = 0
    values[0, 1] = 1
    values[0, 2] = rng.normal(size=(4, 1))
    found = over_both(values)
    p = found.two_sided()
    assert (p[0, 0], p[0, 1]) == (1, 0)
    assert p[0, 2] == pytest.approx(stats.ttest_1samp(values[0, 2, :, 0], 0).pvalue)
    both = (found.by_images > 0) & (found.by_seeds > 1e-20)
    assert both.sum() > 6
    ends = found.half_width(np.where(both, p, 0.5))
    np.testing.assert_allclose(ends[both], np.abs(found.mean)[both], rtol=1e-6)


def test_a_single_difference_has_a_single_p():
    assert over_seeds(np.array([1.0, 2.0, 3.0])).two_sided().shape == ()
    assert over_both(np.random.default_rng(0).normal(size=(3, 9))).two_sided().shape == ()


def test_steps_are_a_floor_under_the_variance():
    values = np.array([[1.0, 1.0, 1.0], [0.0, 5.0, 9.0]])
    np.testing.assert_allclose(over_seeds(values, 0.6).by_seeds, [0.36 / 18, np.var([0, 5, 9], ddof=1) / 3])


def test_a_spread_counts_from_what_the_images_could_make_of_it():
    rng = np.random.default_rng(0)
    by_seed, by_image = rng.normal(size=(4, 1)), rng.normal(size=50)
    near, far = over_both(by_image - by_image.mean() + 1e-6 * by_seed), over_both(by_image + 10 + by_seed)
    assert near.spread == pytest.approx(3.5**2 * 4 * by_image.var(ddof=1) / 50)
    assert far.spread == pytest.approx(np.square(by_seed + by_image.mean() + 10).sum())
