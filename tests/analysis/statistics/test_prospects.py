"""The numbers of fresh seeds, held to a textbook where it knows them, and to the judge of grids that are drawn here."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from analysis.statistics.families import judge
from analysis.statistics.prospects import NUMBERS, Prospects, detected
from analysis.statistics.variances import over_both, over_seeds


def numbers(differences, margin=math.nan, primary=None):
    k = len(differences)
    prospects = Prospects(list(differences), [margin] * k, 0.0, primary or [False] * k)
    return [prospects.of(i) for i in range(k)]


def seeds_of(mean, n, sd=1.0):
    """n values of exactly this mean and standard deviation."""
    values = np.random.default_rng(n).normal(size=n)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


@pytest.mark.parametrize(("effect", "margin"), [(0.4, math.nan), (0.6, 0.1), (1.2, math.nan)])
def test_one_comparison_that_is_well_known_needs_what_statsmodels_plans(effect, margin):
    """5000 old seeds know mean and spread; where there is a margin, a quarter of the error rate is for equality."""
    alpha = 0.05 if math.isnan(margin) else 0.75 * 0.05
    planned = TTestPower().solve_power(effect_size=effect, alpha=alpha, power=0.8)
    (number,) = numbers([seeds_of(effect, 5000)], margin)
    before = max((n for n in NUMBERS if n < number), default=2)
    assert before < 1.06 * planned + 0.5, "no more than needed, of the numbers that are tried"
    assert number > 0.94 * planned - 0.5


def test_few_old_seeds_ask_for_more_than_what_they_look_like():
    planned = TTestPower().solve_power(effect_size=1.5, alpha=0.05, power=0.8)
    few, more, many = (numbers([seeds_of(1.5, n)])[0] for n in (4, 8, 100))
    assert few > more > many >= planned - 1


def test_what_no_number_tells_has_none():
    same = [0.3, -0.3, 0.0]
    assert numbers([np.array(same), np.zeros(3), np.array([1.0]), np.array([5.0, 5.1, 4.9])])[:3] == [None] * 3
    assert numbers([]) == []
    assert numbers([np.zeros(3)]) == [None]


def test_one_hypothesis_has_one_number_whichever_way_round():
    values = np.array([1.0, 1.4, 0.5, 0.9])
    first, again, other = numbers([values, -values, 3 * seeds_of(1.0, 4)])
    assert first == again is not None
    assert other is not None


def test_a_family_needs_more_than_one_comparison_and_a_primary_one_less():
    """The others are noisy: their seeds lie far from 0, so they have a part of the error rate."""
    differences = [seeds_of(1.0, 20), *(seeds_of(0.0, 20 + i, sd=3.0) for i in range(1, 11))]
    (alone,) = numbers(differences[:1])
    first, last = (numbers(differences, primary=[i == of for i in range(11)])[0] for of in (0, 1))
    assert alone <= first < numbers(differences)[0] < last


def test_images_that_are_too_few_for_a_difference_leave_it_untold():
    """20 images vary by an SD of 1, a mean over them by 0.22: 0.3 is within its 95 % interval, and 0.8 is not."""
    images = seeds_of(0.0, 20)
    small, large = (numbers([mean + images + 0.1 * seeds_of(0.0, 30)[:, None]])[0] for mean in (0.3, 0.8))
    assert small is None
    assert large <= 4


@pytest.mark.parametrize("images", [1, 12])
def test_drawn_grids_are_told_as_the_judge_tells_them(images):
    """But for a p that lies within 5 % of its bound, since it is rounded up."""
    rng = np.random.default_rng(images)
    values = rng.normal(size=(100, 7, 4)) + 2 * rng.normal(size=(7, 1))
    if images > 1:
        values = values[..., None] + rng.normal(size=(100, 7, 1, images)) + rng.normal(size=(100, 7, 4, images))
    found = detected(over_seeds(values) if images == 1 else over_both(values), 0.05)
    judged = np.array([[one.different for one in judge(list(grid))] for grid in values])
    assert (judged[found] <= 0.05).all()
    assert (found | (judged > 0.05 / 1.06)).all()
    assert found.any()
    assert not found.all()


@pytest.mark.thorough
@pytest.mark.parametrize("primary", [0, 3])
def test_the_number_tells_four_times_in_five_where_nothing_is_known_beforehand(primary):
    """True means so far apart that all are as likely: then what is seen is not larger than it is on average."""
    rng, hits = np.random.default_rng(primary), []
    rule = [i < primary for i in range(6)]
    for _ in range(60):
        means = rng.uniform(-6, 6, (6, 1))
        old = means + rng.normal(size=(6, 4))
        for i, n in enumerate(numbers(old, primary=rule)):
            if n is not None:
                fresh = judge(list(means + rng.normal(size=(6, n))), primary=rule)
                hits.append(fresh[i].different <= 0.05)
    assert 0.75 <= np.mean(hits) <= 0.97
