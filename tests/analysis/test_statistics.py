"""Paired tests and families of comparisons, held to scipy, to statsmodels, and to sums by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from analysis.statistics import Paired, beaten_by, capped, judge, settle, weights

A, B, C = np.array([2.50, 2.57, 2.43]), np.array([2.41, 2.46, 2.33]), np.array([2.49, 2.59, 2.45])
"""The example of docs/statistics.md."""
PAIR = np.array([0.31, 0.12, 0.27, 0.20])
finite = st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda x: round(x, 3))
few = settings(max_examples=60, deadline=None, derandomize=True)


def judged(*differences, margin=math.nan, margins=None, beyond=None, primary=None):
    """The decisions on a family with one margin, or with a margin each; all are primary unless said."""
    k = len(differences)
    margins, beyond, primary = margins or [margin] * k, beyond or [False] * k, primary or [True] * k
    return judge([np.asarray(values, dtype=float) for values in differences], margins, beyond=beyond, primary=primary)


def differents(*differences, **more):
    return [decision.different for decision in judged(*differences, **more)]


def drawn(*means, n=4, seed=0):
    """Differences [n] about these means."""
    rng = np.random.default_rng(seed)
    return [mean + rng.normal(size=n) for mean in means]


def test_the_example_of_the_documentation():
    page = " ".join((Path(__file__).parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8").split())
    table = [f"| {name} | {x:.2f} | {y:.2f} | {z:.2f} |" for name, (x, y, z) in zip("ABC", (A, B, C), strict=True)]
    digits = ["p = 0.0033", "0.10 ± 0.025", "p = 0.42", "0.01 ± 0.043", "¾ = 0.0051", "p = 0.009"]
    assert [text for text in (*table, *digits) if text not in page] == []
    found = Paired.of(np.stack([B - A, C - A]))
    assert (found.mean.round(2).tolist(), found.sd.round(4).tolist()) == ([-0.1, 0.01], [0.01, 0.0173])
    assert round(float(stats.ttest_ind(A, B).pvalue), 2) == 0.15, "without pairing"
    assert round(float(found.p()[0]), 4) == 0.0033
    assert round(float(found.p()[1]), 2) == 0.42
    assert found.half_width().round(3).tolist() == [0.025, 0.043]
    assert found.spread.round(4).tolist() == [0.0302, 0.0009]
    better, open_ = judged(B - A, C - A, margin=0.01)
    assert round(better.different, 4) == 0.0051
    assert open_.different > 0.05
    assert min(better.equal, open_.equal) > 0.05
    assert beaten_by(np.stack([A, B, C]), -1) == [{1}, set(), {1}]
    assert round(float(Paired.of(C - B).one_sided(1)), 3) == 0.009


def test_a_pair_is_the_paired_t_test():
    found = Paired.of(PAIR)
    known = stats.ttest_1samp(PAIR, 0)
    assert float(found.p()) == pytest.approx(known.pvalue, rel=1e-12)
    low, high = known.confidence_interval(0.95)
    assert float(found.mean - found.half_width()) == pytest.approx(low)
    assert float(found.mean + found.half_width()) == pytest.approx(high)
    for sign, side in ((1, "greater"), (-1, "less")):
        known = stats.ttest_1samp(PAIR, 0.1, alternative=side).pvalue
        assert float(found.one_sided(sign, -0.1)) == pytest.approx(known, rel=1e-12)
    assert float(found.equal(0.4)) == pytest.approx(ttost_paired(PAIR, 0 * PAIR, -0.4, 0.4)[0], rel=1e-9)


def test_differences_without_spread_have_a_certain_verdict():
    apart, none = Paired.of(np.full(3, 0.25)), Paired.of(np.zeros(3))
    assert (float(apart.p()), float(apart.half_width())) == (0, 0)
    assert (float(none.p()), float(none.half_width()), float(none.equal(0.1))) == (1, 0, 0)


def test_at_equal_spreads_the_rule_is_holms():
    rng = np.random.default_rng(0)
    for k in (1, 2, 7):
        p = rng.uniform(size=k) ** 4
        found = settle(np.append(p, math.nan), np.full(k + 1, 2.5))
        np.testing.assert_allclose(found[:-1], multipletests(p, method="holm")[1], rtol=1e-12)
        assert math.isnan(found[-1])


def test_weights_and_steps_by_hand():
    # Spreads 1, 2, 20 have the median 2, above ten times which none lies: v is 1/4, 1, 100.
    spread = np.array([1.0, 2.0, 20.0])
    np.testing.assert_allclose(capped(spread), [0.25, 1, 100])
    np.testing.assert_allclose(capped(np.array([1.0, 2.0, 9000.0])), [0.25, 1, 100])
    # The median is of those above 0.
    np.testing.assert_allclose(capped(np.array([0.0, 1.0, 2.0, 9.0])), [0, 0.25, 1, 20.25])
    # The third is settled at its weight; then 1/8 + 3/4 · 0.2 and 1/8 + 3/4 · 0.8 are the others'; then all of α.
    first = 1 / 12 + 0.75 * 100 / 101.25
    found = settle(np.array([0.012, 0.014, 0.01]), spread)
    np.testing.assert_allclose(found, [0.014 / 0.725, 0.014 / 0.725, 0.01 / first], rtol=1e-12)
    np.testing.assert_allclose(weights(capped(np.zeros(4))), [0.25] * 4)


def test_a_margin_leaves_three_quarters_to_differences_and_one_to_equalities_by_holm():
    near, nearer, far = PAIR - 0.225, PAIR / 2 - 0.1, PAIR + 9
    plain = differents(near, nearer, far)
    found = judged(near, nearer, far, margin=0.3)
    np.testing.assert_allclose([one.different for one in found], np.minimum(np.array(plain) / 0.75, 1))
    tost = [ttost_paired(values, 0 * values, -0.3, 0.3)[0] for values in (near, nearer, far)]
    holm = np.minimum(multipletests(tost, method="holm")[1] / 0.25, 1)
    np.testing.assert_allclose([one.equal for one in found], holm, rtol=1e-6)
    some = judged(near, far, margins=[0.3, math.nan])
    assert some[0].equal == pytest.approx(tost[0] / 0.25, rel=1e-6)
    assert math.isnan(some[1].equal)


def test_primary_comparisons_share_four_fifths_among_themselves():
    a, b, c, d = drawn(3.0, 0.1, 2.0, 1.0)
    found = differents(a, b, c, d, primary=[True, False, True, False])
    for chosen, part in (([0, 2], 0.8), ([1, 3], 0.2)):
        alone = differents(*([a, b, c, d][i] for i in chosen))
        assert [found[i] for i in chosen] == pytest.approx([min(p / part, 1) for p in alone])
    # A comparison with the differences of a primary one is that one.
    assert differents(a, -a, b, primary=[True, False, False])[:2] == pytest.approx([differents(a)[0] / 0.8] * 2)


def test_equal_differences_are_one_hypothesis_whichever_way_round():
    a, b, c = drawn(3.0, 0.1, -0.2)
    alone = differents(a, b, c)
    assert differents(a, a, -a, b, c, -b) == [alone[i] for i in (0, 0, 0, 1, 2, 1)]


def test_a_claim_of_equality_is_contrary_only_beyond_its_margin():
    """The test is of the difference less the margin on its side, at twice the one-sided p."""
    (found,) = judged(PAIR, margin=0.1, beyond=[True])
    known = 2 * stats.ttest_1samp(PAIR, 0.1, alternative="greater").pvalue
    assert found.different == pytest.approx(known / 0.75)
    assert judged(-PAIR, margin=0.1, beyond=[True])[0].different == pytest.approx(found.different)


@few
@given(
    arrays(float, (4, 3), elements=finite), arrays(int, (4, 1), elements=st.sampled_from([-1, 1])), st.integers(-8, 8)
)
def test_neither_the_direction_of_a_comparison_nor_the_unit_changes_a_p(values, signs, power):
    again = 2.0**power * signs * values
    assert str(judged(*values, margin=0.5)) == str(judged(*again, margin=0.5 * 2.0**power))


@few
@given(arrays(float, 6, elements=st.floats(1e-6, 1)), arrays(float, 6, elements=st.floats(0.01, 100)))
def test_an_adjusted_p_is_at_least_the_p_and_a_smaller_p_harms_nobody(p, spread):
    found = settle(p, spread)
    assert (found >= p - 1e-15).all()
    lower = p.copy()
    lower[2] /= 10
    assert (settle(lower, spread) <= found + 1e-12).all()


def test_cells_that_lack_seeds_are_compared_over_those_they_share():
    values = np.array([[0.0, 0.1, 0.2, math.nan], [9.0, 9.2, 9.1, 5.0], [math.nan, math.nan, 9.0, 9.1]])
    assert [bool(rivals) for rivals in beaten_by(values, 1)] == [True, False, False]
    lonely = np.array([[0.0, 0.1, math.nan], [5.0, 5.2, math.nan], [math.nan, 1.0, 2.0]])
    assert beaten_by(lonely, 1)[2] is None
    assert beaten_by(np.array([[1.0]]), 1) == [set()]
    assert beaten_by(np.zeros((0, 3)), 1) == []
