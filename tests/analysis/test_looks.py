"""Looks at comparisons while seeds are added: who is claimed, and in which steps, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.looks import Taken, beaten_by_looks, claims, follow

PLAN = (3, 5, 8, 12)


def spread(mean, sd, n=12):
    """n differences with exactly this mean and standard deviation."""
    shape = np.arange(n, dtype=float)
    return mean + sd * (shape - shape.mean()) / shape.std(ddof=1)


def turns(p, spent=0.04, before=None, *, equalities=False):
    p = np.array(p)
    claimed = np.zeros(p.shape, bool) if before is None else np.array(before)
    return claims(p, claimed, spent, equalities=equalities).tolist()


@pytest.mark.parametrize(("n", "t"), [(3, 56.56), (5, 10.03), (8, 5.13), (12, 3.83)])
def test_a_difference_is_claimed_beyond_its_quantile(n, t):
    """Of ten comparisons, |t| at the looks is 56.6, 10.0, 5.13, 3.83; the others have no difference at all."""
    for times, expected in ((0.999, None), (1.001, n)):
        values = [spread(times * t / math.sqrt(n), 1.0, n), *[spread(0.0, 1.0, n)] * 9]
        found = follow(PLAN, 10, lambda at, values=values: values if at == n else [None] * 10)
        assert (found[0].different, found[0].direction) == (expected, 0 if expected is None else 1)
        assert all(one.dropped == n and one.different is None for one in found[1:])


def test_claims_within_a_look_take_their_turns():
    """α w = 0.04 over four comparisons without a margin: 0.01, then 0.04/3, 0.02, 0.04."""
    assert turns([[0.009, 0.013, 0.021, 0.039], [math.nan] * 4])[0] == [True, True, False, False]
    assert turns([[0.009, 0.013, 0.019, 0.039], [math.nan] * 4])[0] == [True] * 4
    # What was claimed before stays, and shortens the steps.
    p, before = [[math.nan, 0.03], [math.nan, math.nan]], [[True, False], [False, False]]
    assert turns(p, before=before)[0] == [True, True]
    assert turns(p, 0.037, before, equalities=True)[0] == [True, False]


def test_differences_and_equalities_take_steps_of_their_own():
    """Of α w = 0.04 over three comparisons: 0.04/3 for the first difference, then 0.8 of it over two and over one; for
    the first equality 0.2 of it over two, and so on."""
    none = [False] * 3
    assert turns([[0.0134, 0.0159, 0.031], [0.0041, 0.9, 0.9]], equalities=True) == [none, none]
    assert turns([[0.0133, 0.0159, 0.031], [0.0041, 0.9, 0.9]], equalities=True) == [[True] * 3, none]
    for equal, claimed in (
        ([0.0039, 0.9, 0.9], [True, False, False]),
        ([0.0039, 0.0041, 0.0079], [True, False, False]),
        ([0.0039, 0.0039, 0.0079], [True] * 3),
    ):
        assert turns([[0.9] * 3, equal], equalities=True)[1] == claimed
    # Of one comparison at most one claim is false, so both have all of the error.
    for p in ([[0.039], [0.9]], [[0.9], [0.039]]):
        assert np.sum(turns(p, equalities=True)) == 1


def test_no_prospect_binds_nobody():
    """A comparison that was dropped is tested again where its seeds came all the same."""
    values = np.array([1.0, -1.0, 0.0, 9.0, 9.1, 9.0, 9.2, 9.1, 9.0, 9.1, 9.1, 9.0])
    stopped, later = (follow(PLAN, 1, lambda n, end=end: [values[:n] if n <= end else None])[0] for end in (3, 12))
    assert stopped.dropped == 3
    assert not stopped.undecided
    # At 8 seeds t = 3.4: p = 0.011, below 39/144 of 5 %.
    assert (later.dropped, later.different) == (3, 8)


def test_a_cell_is_beaten_at_any_look_that_both_took():
    """Two cells of which one stopped at 3 seeds: ½ α (9/25) one-sided there, and no test at 5."""
    rng = np.random.default_rng(0)
    values = np.vstack([rng.normal(0, 1, 5), np.full(5, np.nan), rng.normal(0, 1, 5) + 100])
    columns = {3: 3, 5: 5}
    # Of cells that nobody declared there is one look, which may spend all: ½ α/2 at 3 seeds.
    for share, declared in ((9 / 25, True), (1, False)):
        t = stats.t.ppf(1 - 0.025 * share / 2, 2)
        for factor, beaten in ((1.05, {0}), (0.95, set())):
            values[1, :3] = values[0, :3] - factor * t / math.sqrt(3) + np.array([-1.0, 0.0, 1.0])
            places = beaten_by_looks(Taken((3, 5), values, [5, 3, 5], [True, declared, True], columns), 1)
            assert (places[0], places[1] - {2}) == ({2}, beaten)
    lonely = np.array([[1.0, np.nan, np.nan], [2.0, 3.0, 4.0]])
    assert beaten_by_looks(Taken((3,), lonely, [3, 3], [True] * 2, columns), 1) == [None, None]
