"""Effects of the axes of hand-made grids, held to the t-test, to repeated measures, and to nested models."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from analysis import read
from analysis.factorial import averages_of
from tests.analysis.folders import NLL, make_folder

A, B, D = ["a1", "a2", "a3"], ["b1", "b2", "b3", "b4"], ["d1", "d2"]


def drawn(*levels, seeds=5, effect=lambda cell: 0.0, without=()):
    """Values of all cells at these levels but some, and the same as a frame for other programs."""
    rng = np.random.default_rng(len(levels[0]))
    cells = [cell for cell in itertools.product(*levels) if cell not in without]
    values = {cell: [effect(cell) + seed + float(rng.normal()) for seed in range(seeds)] for cell in cells}
    rows = [(*cell, seed, y) for cell, of in values.items() for seed, y in enumerate(of)]
    return values, pd.DataFrame(rows, columns=[*"abc"[: len(levels)], "seed", "y"])


def effects(path, values, **more):
    """The effects by their factors."""
    return read(make_folder(path, values, **more)).effects.set_index("factors")


def test_effects_are_repeated_measures_at_the_lower_bound(tmp_path):
    """With two levels that is the paired t-test."""
    values, frame = drawn(D, B)
    known = AnovaRM(frame, "y", "seed", within=["a", "b"]).fit().anova_table
    found = effects(tmp_path / "g", values).loc[["A", "B", "A × B"]]
    assert found["F"].tolist() == pytest.approx(known["F Value"].tolist())
    assert found["df"].tolist() == known["Num DF"].tolist() == [1, 3, 3]
    assert found["p"].tolist() == pytest.approx(stats.f.sf(known["F Value"], 1, 4).tolist())
    y = frame.pivot_table(index="seed", columns="a", values="y")
    assert found.loc["A", "p"] == pytest.approx(stats.ttest_rel(y["d1"], y["d2"]).pvalue)


def test_shares_are_sums_of_squares_that_seeds_do_not_explain(tmp_path):
    values, frame = drawn(A, B)
    found = effects(tmp_path / "g", values)
    smaller = {"A": "C(b)", "B": "C(a)", "A × B": "C(a) + C(b)"}
    full = {"A": "C(a) + C(b)", "B": "C(a) + C(b)", "A × B": "C(a) * C(b)"}
    total = smf.ols("y ~ C(seed)", frame).fit().ssr
    for name in found.index:
        fits = [smf.ols(f"y ~ C(seed) + {of[name]}", frame).fit().ssr for of in (smaller, full)]
        assert found.loc[name, "share"] == pytest.approx((fits[0] - fits[1]) / total)


@pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
def test_an_empty_cell_costs_the_interaction_a_degree_of_freedom(tmp_path):
    values, frame = drawn(A, B, without={("a1", "b4"), ("a3", "b1")})
    full, smaller = (smf.ols(f"y ~ C(seed) + {model}", frame).fit() for model in ("C(a) * C(b)", "C(a) + C(b)"))
    found = effects(tmp_path / "g", values).loc["A × B"]
    assert found["df"] == smaller.df_resid - full.df_resid == 4
    assert found["share"] * smf.ols("y ~ C(seed)", frame).fit().ssr == pytest.approx(smaller.ssr - full.ssr)


def test_effects_are_one_family_in_which_what_lies_far_apart_weighs_more(tmp_path):
    values, _ = drawn(A, B, D, effect=lambda cell: 100.0 * (cell[0] == "a1"))
    found = effects(tmp_path / "g", values)
    assert found.index[0] == "A"
    # Of six effects A has a quarter's sixth and three quarters of nearly everything.
    assert found.loc["A", "p_adjusted"] == pytest.approx(found.loc["A", "p"] / (0.25 / 6 + 0.75), rel=0.1)
    assert (found["p_adjusted"] >= found["p"]).all()
    assert found["p_adjusted"].is_monotonic_increasing


def test_what_lacks_a_seed_is_left_out_whichever_keeps_more(tmp_path):
    values, _ = drawn(D, B)
    late = {cell: [*of[:4], None if cell[1] != "b4" else of[4]] for cell, of in values.items()}
    assert set(effects(tmp_path / "a", late)["df_error"]) == {3}
    one = values | {("d1", "b1"): [None, None, *values["d1", "b1"][2:]]}
    found = effects(tmp_path / "b", one)
    assert set(found["df_error"]) == {4}
    assert found.loc["A × B", "df"] == 2


def test_nothing_differs_or_cannot_be_told(tmp_path):
    same = {cell: [0.1] * 3 for cell in itertools.product(D, B)}
    assert effects(tmp_path / "same", same)[["F", "p", "share"]].drop_duplicates().to_numpy().tolist() == [[0, 1, 0]]
    assert effects(tmp_path / "seed", {cell: of[:1] for cell, of in same.items()}).empty
    assert effects(tmp_path / "axis", {"p": [1.0, 2.0], "q": [2.0, 2.5]}).empty


def test_averages_are_over_the_combinations_that_all_levels_have(tmp_path):
    values, frame = drawn(D, B, without={("d2", "b4")})
    grid = read(make_folder(tmp_path / "g", values))
    found = averages_of(grid, grid.deciding).set_index(["axis", "level"])
    common = frame[frame["b"] != "b4"].pivot_table(index="seed", columns="a", values="y")
    assert found.loc[("A", "d1"), "mean"] == pytest.approx(common["d1"].mean())
    half = stats.t.isf(0.025, 4) * stats.sem(common["d1"])
    assert found.loc[("A", "d1"), "half_width"] == pytest.approx(half)
    assert set(found["metric"]) == {NLL}


def test_averages_where_levels_share_few_combinations_are_least_squares_means(tmp_path):
    values, frame = drawn(A, B, without={("a1", "b2"), ("a2", "b3"), ("a3", "b4")})
    grid = read(make_folder(tmp_path / "g", values))
    found = averages_of(grid, grid.deciding).set_index(["axis", "level"])["mean"]
    model = smf.ols("y ~ C(a) + C(b)", frame).fit()
    for a in A:
        assert found["A", a] == pytest.approx(model.predict(pd.DataFrame({"a": a, "b": B})).mean())
