"""Which comparisons of a family are claims, held to others' procedures, to sums by hand, and to simulated truths."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.statistics.families import Decision, beaten_by, capped, judge, settle, shares, weights
from analysis.statistics.paired import Comparison, compare


def test_at_equal_spreads_the_rule_is_holms():
    rng = np.random.default_rng(0)
    for k in (1, 2, 7):
        p = rng.uniform(size=k) ** 4
        told = settle(np.append(p, math.nan), np.full(k + 1, 2.5))
        np.testing.assert_allclose(told[:-1], multipletests(p, method="holm")[1], rtol=1e-12)
        assert math.isnan(told[-1])


def test_weights_and_steps_by_hand():
    # Spreads 1, 2, 20 have the median 2, above ten times which none lies: v is 1/4, 1, 100.
    spread = np.array([1.0, 2.0, 20.0])
    np.testing.assert_allclose(capped(spread), [0.25, 1, 100])
    np.testing.assert_allclose(capped(np.array([1.0, 2.0, 9000.0])), [0.25, 1, 100])
    first = [1 / 12 + 0.75 * v / 101.25 for v in (0.25, 1, 100)]
    np.testing.assert_allclose(shares(capped(spread)), first)
    # The third is settled at its weight; then 1/8 + 3/4 · 0.2 and 1/8 + 3/4 · 0.8 are the others'; then all of α.
    told = settle(np.array([0.012, 0.014, 0.01]), spread)
    np.testing.assert_allclose(told, [0.014 / 0.725, 0.014 / 0.725, 0.01 / first[2]], rtol=1e-12)


def test_what_is_left_never_loses_weight():
    """The steps are those of a closed test: the cap is the whole family's, else 5 would have less of {5, 1000}."""
    v = capped(np.array([1.0, 1.0, 1.0, 5.0, 1000.0]))
    assert shares(v)[3] < shares(v[2:])[1] < shares(v[3:])[0]
    rng = np.random.default_rng(0)
    for _ in range(100):
        v = capped(np.exp(3 * rng.normal(size=8)))
        left = rng.permutation(8)
        for size in range(8, 1, -1):
            kept = left[: size - 1]
            assert (shares(v[kept]) >= shares(v[left[:size]])[: size - 1] * (1 - 1e-12)).all()


def test_no_spread_at_all_is_shared_evenly():
    np.testing.assert_allclose(weights(capped(np.zeros(4))), [0.25] * 4)
    np.testing.assert_allclose(weights(capped(np.array([0.0, 3.0]))), [0, 1])
    assert weights(capped(np.zeros(0))).shape == (0,)


def test_a_smaller_p_never_makes_another_comparisons_larger():
    rng = np.random.default_rng(1)
    for _ in range(100):
        p, spread = rng.uniform(size=6) ** 3, np.exp(rng.normal(size=6))
        lower = p.copy()
        lower[2] /= 10
        more, less = (settle(one, spread) for one in (p, lower))
        assert (less <= more + 1e-12).all()


def differences(*means, n=4, seed=0):
    """Differences [n] per seed about these means."""
    rng = np.random.default_rng(seed)
    return [mean + rng.normal(size=n) for mean in means]


def test_a_comparison_is_the_paired_test_and_one_alone_is_not_adjusted():
    (one,) = differences(0.7)
    assert judge([one]) == [Decision(compare(one), compare(one).p, pytest.approx(math.nan, nan_ok=True))]
    assert judge([]) == []


def test_equal_differences_are_one_hypothesis_whichever_way_round():
    a, b, c = differences(3.0, 0.1, -0.2)
    alone, many = judge([a, b, c]), judge([a, a, -a, b, c, -b])
    assert [one.different for one in many] == [alone[i].different for i in (0, 0, 0, 1, 2, 1)]
    assert many[2].found.difference == -many[0].found.difference
    # A margin that is nan is one margin, whichever object holds it.
    assert [one.different for one in judge([a, a], margins=[float("nan"), float("nan")])] == [compare(a).p] * 2


def test_a_cell_that_differs_at_no_seed_takes_no_part():
    a, b = differences(3.0, 0.1)
    told = judge([a, np.zeros(4), b, np.array([0.0, -0.0, 0.0, 0.0])])
    assert [told[i].different for i in (0, 2)] == [one.different for one in judge([a, b])]
    assert math.isnan(told[1].different)
    assert told[1].verdict(1) == told[3].verdict(1) == "cannot tell"


def test_one_seed_has_no_test_and_takes_no_part():
    a, b = differences(3.0, 0.1)
    told = judge([a, np.array([5.0]), b], margins=1.0)
    assert [told[i] for i in (0, 2)] == judge([a, b], margins=1.0)
    assert math.isnan(told[1].different)
    assert math.isnan(told[1].equal)


def test_primaries_share_four_fifths_among_themselves():
    a, b, c, d = differences(3.0, 0.1, 2.0, 1.0)
    told = judge([a, b, c, d], primary=[True, False, True, False])
    for chosen, part in (([0, 2], 0.8), ([1, 3], 0.2)):
        alone = judge([[a, b, c, d][i] for i in chosen])
        for i, one in zip(chosen, alone, strict=True):
            assert told[i].different == pytest.approx(min(one.different / part, 1))
    all_of_them = judge([a, b], primary=[True, True])
    assert [one.different for one in all_of_them] == [one.different for one in judge([a, b])]


def test_a_margin_is_met_by_two_one_sided_tests_with_a_quarter_of_alpha_by_holm():
    near, far = np.array([0.1, -0.1, 0.05, -0.02]), np.array([9.0, 10.0, 11.0, 12.0])
    told = judge([near, far], margins=2.0)
    known = stats.ttest_1samp(near, 2.0, alternative="less").pvalue
    assert told[0].equal == pytest.approx(known / 0.25 * 2)
    assert (told[0].verdict(1), told[1].verdict(1), told[1].verdict(-1)) == ("equal", "better", "worse")
    assert told[1].different == pytest.approx(judge([near, far])[1].different / 0.75)
    assert judge([near], margins=0.01)[0].verdict(1) == "cannot tell"
    # Of a difference that is sure and below the margin it is told that it is below the margin.
    assert judge([near + 0.5], margins=5.0)[0].verdict(1) == "equal"
    # A comparison without a margin takes no part in that, but its α is the family's.
    some = judge([near, far], margins=[2.0, math.nan])
    assert some[0].equal == pytest.approx(known / 0.25)
    assert math.isnan(some[1].equal)


def test_a_verdict_needs_its_p():
    found = Comparison(-0.5, 0.1, 0.001, 3, 0.1)
    assert Decision(found, 0.01, math.nan).verdict(-1) == "better"
    assert Decision(found, 0.01, math.nan).verdict(1) == "worse"
    assert Decision(found, 0.06, math.nan).verdict(1) == "cannot tell"
    assert Decision(found, 0.01, 0.04).verdict(1) == "equal"
    assert Decision(found, math.nan, math.nan).verdict(1) == "cannot tell"


def test_the_best_of_two_is_a_one_sided_test_at_half_of_alpha():
    a = np.array([0.0, 0.3, -0.2, 0.1])
    for shift in (0.2, 0.6, 1.0, 1.6):
        values = np.stack([a, shift + 0.4 * a[::-1]])
        p = compare(values[1] - values[0]).one_sided(1)
        beaten = {1} if p <= 0.025 else set()
        assert beaten_by(values, 1) == [beaten, set()]
        assert beaten_by(values, -1) == [set(), {0} if beaten else set()]


def test_cells_with_missing_seeds_are_compared_over_those_they_share():
    values = np.array([[0.0, 0.1, 0.2, math.nan], [9.0, 9.2, 9.1, 5.0], [math.nan, math.nan, 9.0, 9.1]])
    assert [bool(rivals) for rivals in beaten_by(values, 1)] == [True, False, False]
    assert beaten_by(values[:2], -1) == beaten_by(values[:2, :3], -1) == [set(), {0}]
    lonely = np.array([[0.0, 0.1, math.nan], [5.0, 5.2, math.nan], [math.nan, 1.0, 2.0]])
    assert beaten_by(lonely, 1)[2] is None
    assert beaten_by(np.array([[1.0]]), 1) == [set()]
    assert beaten_by(np.zeros((0, 3)), 1) == []


def test_cells_with_equal_values_are_one_and_share_a_verdict():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 4)) + np.array([0, 0, 9, 9.5])[:, None]
    beaten = [bool(rivals) for rivals in beaten_by(values, 1)]
    repeated = [0, 1, 2, 3, 0, 1, 3, 3]
    assert [bool(rivals) for rivals in beaten_by(values[repeated], 1)] == [beaten[i] for i in repeated]


def test_images_that_deviate_for_all_seeds_alike_give_no_weight():
    """A mean over images has an error that all seeds share: it is no sign that the cell differs."""
    rng = np.random.default_rng(0)
    wrong = []
    for _ in range(150):
        cells = rng.normal(size=(13, 1, 60)) + 0.1 * rng.normal(size=(13, 5, 60))
        wrong.append(any(one.different <= 0.05 for one in judge(list(cells[1:] - cells[0]))))
    assert np.mean(wrong) <= 0.05


@pytest.mark.parametrize("sds", [[1.0] * 9, [5.0, *[1.0] * 8], [1.0, 10.0, *[1.0] * 7]], ids=["even", "base", "cell"])
def test_a_false_claim_is_made_in_one_family_of_twenty_at_most(sds):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 9, 3)) * np.array(sds)[:, None]
    values[:, 1:3] += 20
    wrong = [any(one.different <= 0.05 for one in judge(list(grid[1:] - grid[0]))[2:]) for grid in values]
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)


def test_a_false_claim_is_as_rare_where_claims_are_in_the_family():
    """Of averages, of other pairs, and of equality, whose truth lies on the margin itself."""
    rng, wrong = np.random.default_rng(1), []
    mu = np.array([0, 0, 0, 0.5, 0, -0.5, 0, 6, 6, 6, 6])
    for _ in range(300):
        g = mu[:, None] + rng.normal(size=(11, 3))
        claims = [g[1] - g[2], (g[1] + g[2] - g[4] - g[6]) / 2, g[3] - g[4], g[5] - g[6]]
        told = judge(
            [*(g[1:] - g[0]), *claims],
            margins=[0.2] * 10 + [math.nan] * 2 + [0.5] * 2,
            beyond=[False] * 12 + [True] * 2,
        )
        null = [told[i] for i in (0, 1, 3, 5, 10, 11, 12, 13)]
        within = [told[i] for i in (2, 4, 6, 7, 8, 9, 12, 13)]
        wrong.append(any(one.different <= 0.05 for one in null) or any(one.equal <= 0.05 for one in within))
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_one_cell_that_differs_is_found_far_more_often_than_at_an_even_share():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 12, 3))
    values[:, 1] += 5
    told = [judge(list(grid[1:] - grid[0]))[0] for grid in values]
    assert np.mean([one.different <= 0.05 for one in told]) > 0.6
    assert np.mean([one.found.p <= 0.05 / 11 for one in told]) < 0.3


def test_what_is_beyond_a_limit_is_told_from_none_and_one_contrast_has_one_decision():
    """A difference of about 5: told from none, from 1, and not from 4.9; turned round it is no other hypothesis."""
    rng = np.random.default_rng(5)
    a, other = 5 + 0.3 * rng.standard_normal(6), rng.standard_normal(6)
    limits = [1.0, 4.9]
    plain, near, far, turned, _ = judge(
        [a, a, a, -a, other], margins=[math.nan, *limits, math.nan, math.nan], beyond=[False, True, True, False, False]
    )
    assert plain.different == turned.different < near.different <= 0.05 < far.different
    assert far.verdict(1) == "cannot tell"
    assert judge([a, a, -a, other])[3].different == judge([a, other])[1].different
    one_sided = [stats.ttest_1samp(a, limit, alternative="greater").pvalue for limit in limits]
    (only,) = judge([a], margins=1.0, beyond=[True])
    assert only.different == pytest.approx(2 * one_sided[0] / 0.75, rel=1e-9)
    assert only.equal == 1.0


def test_a_contrast_that_is_declared_anywhere_is_declared_wherever_it_stands():
    rng = np.random.default_rng(6)
    a, b = 1 + rng.standard_normal(5), 1 + rng.standard_normal(5)
    twice = judge([a, b, -a], primary=[False, False, True])
    assert twice[0].different == twice[2].different == judge([a, b], primary=[True, False])[0].different
