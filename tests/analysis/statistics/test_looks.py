"""Looks at comparisons while seeds are added: the plan, the steps of a look, and the rates by a small simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.looks import Looks, Taken, beaten_by, begin, claims, follow, look, near_best
from analysis.statistics.paired import equivalent

PLAN = Looks((3, 5, 8, 12))


def spread(mean, sd, n):
    """n differences with exactly this mean and standard deviation."""
    shape = np.arange(n, dtype=float)
    return mean + sd * (shape - shape.mean()) / shape.std(ddof=1)


def test_the_plan_by_hand():
    assert [round(144 * w) for w in PLAN.weights.values()] == [9, 16, 39, 80]
    assert Looks((3, 5, 8, 12, 20)).weights == pytest.approx({3: 0.0225, 5: 0.04, 8: 0.0975, 12: 0.2, 20: 0.64})


@pytest.mark.parametrize("seeds", [(3,), (3, 5, 7), (3, 5, 8, 12), (3, 5, 8, 12, 20, 32, 50, 80, 100)])
def test_a_plan_spends_all_of_its_error(seeds):
    assert sum(Looks(seeds).weights.values()) == pytest.approx(1)


@pytest.mark.parametrize(("n", "t"), [(3, 56.56), (5, 10.03), (8, 5.13), (12, 3.83)])
def test_a_difference_is_claimed_beyond_its_quantile(n, t):
    """Of ten comparisons, |t| at the looks is 56.6, 10.0, 5.13, 3.83; the others have no difference at all."""
    others = [spread(0.0, 1.0, n)] * 9
    for times, expected in ((0.999, None), (1.001, n)):
        values = spread(times * t / math.sqrt(n), 1.0, n)
        found = look(PLAN, n, begin(10), [values, *others])
        assert found[0].different == expected
        assert found[0].direction == (0 if expected is None else 1)
        assert all(one.dropped == n and one.different is None for one in found[1:])


def test_claims_within_a_look_take_their_turns():
    """α w = 0.04 over four comparisons without a margin: 0.01, then 0.04/3, 0.02, 0.04."""
    none = np.zeros((2, 4), bool)
    p = np.array([[0.009, 0.013, 0.021, 0.039], [np.nan] * 4])
    assert claims(p, none, np.zeros(4, bool), 0.04)[0].tolist() == [True, True, False, False]
    p[0, 2] = 0.019
    assert claims(p, none, np.zeros(4, bool), 0.04)[0].all()


def test_differences_and_equalities_take_steps_of_their_own():
    """Of α w = 0.04 over three comparisons: 0.04/3 for the first difference, then 0.8 of it over two and over one; for
    the first equality 0.2 of it over two, and so on."""
    none, margin = np.zeros((2, 3), bool), np.ones(3, bool)
    p = np.array([[0.0134, 0.0159, 0.031], [0.0041, 0.9, 0.9]])
    assert not claims(p, none, margin, 0.04).any()
    p[0, 0] = 0.0133
    assert claims(p, none, margin, 0.04).tolist() == [[True, True, True], [False] * 3]
    p[1, 0] = 0.0039
    assert claims(p, none, margin, 0.04)[1].tolist() == [True, False, False]
    p[1] = [0.0039, 0.0041, 0.0079]
    assert claims(p, none, margin, 0.04)[1].tolist() == [True, False, False]
    p[1] = [0.0039, 0.0039, 0.0079]
    assert claims(p, none, margin, 0.04)[1].all()


def test_of_one_comparison_both_claims_have_all_of_the_error_since_one_at_most_is_false():
    for p in ([[0.039], [0.9]], [[0.9], [0.039]]):
        assert claims(np.array(p), np.zeros((2, 1), bool), np.ones(1, bool), 0.04).sum() == 1


def test_what_was_claimed_before_stays_and_shortens_the_steps():
    before = np.array([[True, False], [False, False]])
    p = np.array([[np.nan, 0.03], [np.nan, np.nan]])
    assert claims(p, before, np.zeros(2, bool), 0.04)[0].tolist() == [True, True]
    assert claims(p, before, np.ones(2, bool), 0.04)[0].tolist() == [True, True]
    assert claims(p, before, np.ones(2, bool), 0.037)[0].tolist() == [True, False]


def test_equal_for_practical_purposes_settles_and_comes_before_a_difference():
    values = spread(0.0001, 0.0001, 8)
    (found,) = look(PLAN, 8, begin(1), [values], margins=0.01)
    assert (found.different, found.equal) == (None, 8)
    assert found.settled
    assert found.verdict(-1) == "equal"
    (both,) = look(PLAN, 8, begin(1), [spread(0.005, 0.0001, 8)], margins=[0.01])
    assert (both.different, both.equal, both.verdict(-1)) == (8, 8, "equal")
    (apart,) = look(PLAN, 8, begin(1), [spread(-0.05, 0.0001, 8)], margins=[0.01])
    assert (apart.different, apart.equal) == (8, None)
    assert (apart.verdict(-1), apart.verdict(1)) == ("better", "worse")


def test_no_prospect_binds_nobody():
    """A comparison that was dropped is tested again where its seeds came all the same."""
    dropped = look(PLAN, 3, begin(1), [spread(0.0, 1.0, 3)])
    assert dropped[0].dropped == 3
    assert not dropped[0].open
    assert dropped[0].verdict(1) == "cannot tell"
    assert look(PLAN, 5, dropped, [None]) == dropped
    (later,) = look(PLAN, 5, dropped, [spread(1.0, 0.01, 5)])
    assert (later.dropped, later.different) == (3, 5)


def test_too_few_common_seeds_leave_a_comparison_open():
    for values in (np.empty(0), np.ones(1), None):
        (found,) = look(PLAN, 3, begin(1), [values], margins=0.1)
        assert (found.open, math.isnan(found.half_width)) == (True, True)


def test_a_repeated_interval_by_hand():
    values = spread(0.2, 1.0, 5)
    found = look(PLAN, 5, begin(10), [values] * 10)
    expected = stats.t.isf(0.05 * (16 / 144) / 20, 4) / math.sqrt(5)
    assert found[0].half_width == pytest.approx(expected)
    assert found[0].found.difference == pytest.approx(0.2)


def test_images_take_part_as_in_any_comparison():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 1)) + rng.normal(size=(1, 30)) + 0.1 * rng.normal(size=(5, 30))
    (found,) = look(PLAN, 5, begin(1), [values])
    assert found.found.image_error > 0
    (alone,) = look(PLAN, 5, begin(1), [values.mean(1)])
    assert found.half_width > alone.half_width


def test_a_look_is_a_function_of_its_seeds_alone():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(6, 12)) + np.arange(6)[:, None]

    def first(n):
        return list(values[:, :n])

    whole = follow(PLAN, 6, first, margins=0.5)
    values[:, 8:] += 100
    other = follow(Looks(PLAN.seeds), 6, first, margins=0.5)
    for a, b in zip(whole, other, strict=True):
        for at in (3, 5, 8):
            assert (a.different == at) == (b.different == at)
            assert (a.equal == at) == (b.equal == at)
            assert (a.dropped == at) == (b.dropped == at)


def test_follow_stops_where_seeds_do():
    """The first comparison stops at three seeds, the second goes on to five."""
    values = np.random.default_rng(2).normal(size=(2, 12))
    found = follow(PLAN, 2, lambda n: [values[0, :n] if n == 3 else None, values[1, :n] if n <= 5 else None])
    assert [one.found.n for one in found] == [3, 5]


@pytest.mark.thorough
def test_false_claims_and_misses_are_as_rare_as_they_should_be():
    """Ten comparisons, half of them with δ = 0 and half with δ at a margin of a few standard errors."""
    rng = np.random.default_rng(3)
    truth = np.repeat([0.0, 1.2], 5)
    wrong = outside = 0
    repeats = 400
    for values in truth[:, None] + rng.normal(size=(repeats, 10, 12)):
        standings = begin(10)
        missed = False
        for n in PLAN.seeds:
            here = [v[:n] if one.open else None for v, one in zip(values, standings, strict=True)]
            standings = look(PLAN, n, standings, here, margins=1.2)
            missed |= any(abs(s.found.difference - d) > s.half_width for s, d in zip(standings, truth, strict=True))
        outside += missed
        wrong += any((s.different and d == 0) or (s.equal and d) for s, d in zip(standings, truth, strict=True))
    # Three standard errors of a rate of 5 % beyond it.
    assert max(wrong, outside) <= repeats * (0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats))


def test_equality_is_claimed_at_its_level():
    """The first of two comparisons, of which each could be called equal: 0.2 of what the look may spend."""
    values = spread(0.3, 1.0, 12)
    level = 0.05 * (80 / 144) * 0.2
    margin = next(m for m in np.arange(0.5, 3, 0.01) if equivalent(values, m) <= level)
    for given, claimed in ((margin, 12), (margin - 0.01, None)):
        found = look(PLAN, 12, begin(2), [values, spread(0.0, 1.0, 12)], margins=[float(given), 0.001])
        assert found[0].equal == claimed


def test_a_cell_is_beaten_at_any_look_that_both_took():
    """Two cells of which one stopped at 3 seeds: ½ α (9/25) one-sided there, and no test at 5."""
    rng = np.random.default_rng(0)
    values = np.vstack([rng.normal(0, 1, 5), np.full(5, np.nan), rng.normal(0, 1, 5) + 100])
    # Of cells that nobody declared there is one look, which may spend all: ½ α/2 at 3 seeds.
    for share, declared in ((9 / 25, True), (1, False)):
        t = stats.t.ppf(1 - 0.025 * share / 2, 2)
        for factor, beaten in ((1.05, {0}), (0.95, set())):
            values[1, :3] = values[0, :3] - factor * t / np.sqrt(3) + np.array([-1.0, 0.0, 1.0])
            verdicts = beaten_by(Taken(Looks((3, 5)), values, [5, 3, 5], [True, declared, True]), 1)
            assert (verdicts[0], verdicts[1] - {2}) == ({2}, beaten)
    lonely = np.array([[1.0, np.nan, np.nan], [2.0, 3.0, 4.0]])
    assert beaten_by(Taken(Looks((3,)), lonely, [3, 3], [True] * 2), 1) == [None, None]


def test_near_the_best_is_told_at_the_last_look_of_both():
    values = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [1.001, 2.0, 3.002, 4.001, 5.0], [0.0, 1.0, 2.0, 3.0, 4.0]])
    assert near_best(Taken(Looks((3, 5)), values, [5, 5, 5], [True] * 3), 1, 0.01) == [True, True, False]
    assert near_best(Taken(Looks((3, 5)), values, [5, 5, 5], [True] * 3), 1, 0.0001) == [False, False, False]


@pytest.mark.parametrize("sds", [np.ones(6), np.array([10, 1, 1, 1, 1, 1]), np.exp(1.2 * np.linspace(-1, 1, 6))])
def test_the_true_best_is_seldom_beaten_whatever_stops_when(sds):
    """All are tied, and each stops where its difference from the first looks settled."""
    rng, lost = np.random.default_rng(1), 0
    for _ in range(400):
        values = sds[:, None] * rng.normal(size=(6, 8)) + rng.normal(size=8)
        ahead = [abs((row - values[0])[:3].mean()) > 0.3 for row in values]
        taken = [3 if one else 8 for one in ahead]
        for row, n in zip(values, taken, strict=True):
            row[n:] = np.nan
        lost += bool(beaten_by(Taken(Looks((3, 5, 8)), values, taken, [True] * 5 + [False]), 1)[0])
    assert lost / 400 <= 0.025 + 3 * (0.025 * 0.975 / 400) ** 0.5
