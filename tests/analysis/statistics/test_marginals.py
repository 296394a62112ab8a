import itertools

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

from analysis.statistics.designs import complete_block
from analysis.statistics.marginals import marginals
from tests.analysis.statistics.factorials import A, B, fraction, grid


def test_marginals_are_averages_at_each_seed():
    frame = grid({"a": A, "b": B}, seeds=4)
    y = frame["y"].to_numpy().reshape(4, 3, 4)
    a, b = marginals(frame)
    assert (a.factor, a.levels, a.note) == ("a", tuple(A), "")
    np.testing.assert_allclose(a.values, y.mean(2).T)
    np.testing.assert_allclose(b.values, y.mean(1).T)


def test_marginals_average_like_with_like():
    """Without a1 · b4, the levels of a are averaged over b1, b2, b3."""
    frame = grid({"a": A, "b": B}, without={("a1", "b4")})
    a, b = marginals(frame)
    expected = frame[frame["b"] != "b4"].pivot_table(index="a", columns="seed", values="y")
    np.testing.assert_allclose(a.values, expected)
    assert a.note == "over the 3 of 4 combinations of the others that every level has"
    assert b.note == "over the 2 of 3 combinations of the others that every level has"


def test_marginals_of_a_fraction_are_least_squares_means():
    factors, without = fraction()
    frame = grid(factors, seeds=2, without=without)
    fits = [smf.ols("y ~ C(a) + C(b) + C(c) + C(d)", one).fit() for _, one in frame.groupby("seed")]
    every = pd.DataFrame(list(itertools.product(*factors.values())), columns=list(factors))
    for marginal in marginals(frame):
        means = [fit.predict(every).groupby(every[marginal.factor]).mean() for fit in fits]
        expected = [mean[list(marginal.levels)] for mean in means]
        np.testing.assert_allclose(marginal.values, np.transpose(expected))
        assert marginal.note == "by a model without interactions"


def test_marginals_take_complete_seeds():
    frame = grid({"a": A, "b": B}, seeds=5, without={(4, *cell) for cell in itertools.product(A, B[:3])})
    assert {marginal.values.shape[1] for marginal in marginals(frame)} == {4}


def test_complete_block_keeps_more():
    present = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]], dtype=bool)
    rows, columns = complete_block(present)
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 2], [0, 1, 2])
    rows, columns = complete_block(present, least=4)
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 2, 3], [2])
    rows, columns = complete_block(present[[0, 3]] & ~present[[3, 0]], least=2)
    assert (rows.tolist(), columns.tolist()) == ([], [])
