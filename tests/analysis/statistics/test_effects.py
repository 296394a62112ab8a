import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from analysis.errors import InputError
from analysis.statistics.effects import effects
from analysis.statistics.paired import compare
from tests.analysis.statistics.factorials import A, B, D, fraction, grid

deficient = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")


def by_name(found):
    return {" ".join(effect.factors): effect for effect in found.effects}


def test_one_degree_of_freedom_is_the_paired_t_test():
    frame = grid({"a": D, "b": B}, seeds=6)
    y = frame["y"].to_numpy().reshape(6, 2, 4)
    known = stats.ttest_rel(y[:, 0].mean(1), y[:, 1].mean(1))
    result = effects(frame)
    found = by_name(result)["a"]
    assert (found.df, found.df_error) == (1, 5)
    assert known.statistic**2 == pytest.approx(found.F, rel=1e-9)
    assert known.pvalue == pytest.approx(found.p, rel=1e-9)
    assert result.notes == ()


def test_more_degrees_are_those_of_repeated_measures_at_the_lower_bound():
    frame = grid({"a": D, "b": B}, seeds=6)
    y = frame["y"].to_numpy().reshape(6, 2, 4).mean(1)
    b, seed, mean = y.mean(0), y.mean(1), y.mean()
    f = (6 * ((b - mean) ** 2).sum() / 3) / (((y - b - seed[:, None] + mean) ** 2).sum() / 15)
    found = by_name(effects(frame))["b"]
    assert (found.df, found.df_error) == (3, 5)
    assert f == pytest.approx(found.F, rel=1e-9)
    assert found.p == pytest.approx(stats.f.sf(f, 1, 5), rel=1e-9)


def test_an_interaction_and_the_shares_by_sums_of_squares():
    frame = grid({"a": A, "b": B}, seeds=5)
    y = frame["y"].to_numpy().reshape(5, 3, 4)
    mean = y.mean()
    seed, a, b, ab = y.mean((1, 2)), y.mean((0, 2)), y.mean((0, 1)), y.mean(0)
    ss_ab = 5 * ((ab - a[:, None] - b + mean) ** 2).sum()
    total = ((y - seed[:, None, None]) ** 2).sum()
    each = y - y.mean(2)[:, :, None] - y.mean(1)[:, None] + seed[:, None, None]
    error = ((each - each.mean(0)) ** 2).sum()
    found = by_name(effects(frame))["a b"]
    assert pytest.approx((ss_ab / 6) / (error / (6 * 4)), rel=1e-9) == found.F
    assert found.share == pytest.approx(ss_ab / total)
    assert by_name(effects(frame))["a"].share == pytest.approx(20 * ((a - mean) ** 2).sum() / total)


def test_with_images_it_is_the_comparison_of_crossed_seeds_and_images():
    frame = grid({"a": D, "b": B}, seeds=4)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(32, 50)) + rng.normal(size=(8, 50))[np.tile(range(8), 4)]
    found = by_name(effects(frame.assign(y=images.mean(1)), images))["a"]
    each = images.reshape(4, 2, 4, 50).mean(2)
    known = compare(each[:, 0] - each[:, 1])
    assert found.p == pytest.approx(known.p, rel=1e-6)
    assert known.p > 1.2 * by_name(effects(frame.assign(y=images.mean(1))))["a"].p, "else images would add nothing"


@deficient
def test_an_empty_cell_costs_the_interaction_a_degree_of_freedom():
    frame = grid({"a": A, "b": B}, without={("a1", "b4"), ("a3", "b1")})
    full, smaller = (smf.ols(f"y ~ C(seed) + {model}", frame).fit() for model in ("C(a) * C(b)", "C(a) + C(b)"))
    result = effects(frame)
    found = by_name(result)["a b"]
    assert found.df == smaller.df_resid - full.df_resid == 4
    mean = frame["y"] - frame.groupby("seed")["y"].transform("mean")
    assert found.share == pytest.approx((smaller.ssr - full.ssr) / (mean**2).sum(), rel=1e-8)
    assert result.notes == (
        "No seed has a value of a1 · b4, a3 · b1.",
        "Of a × b only 4 of 6 degrees of freedom can be estimated.",
    )


def test_a_half_of_54_cells():
    factors, without = fraction()
    frame = grid(factors, seeds=4, without=without)
    result = effects(frame)
    assert len(result.effects) == 10
    assert {effect.df_error for effect in result.effects} == {3}
    # Type II at one seed, by two nested models: the sum over seeds of what a effects adds is that of the estimates.
    model = "C(b) + C(c) + C(d) + C(b):C(c) + C(b):C(d) + C(c):C(d)"

    def added(rows):
        small, large = (smf.ols(f"y ~ {text}", rows).fit() for text in (model, f"{model} + C(a)"))
        return small.ssr - large.ssr

    effect = 4 * added(frame.groupby(list(factors), as_index=False)["y"].mean())
    each = sum(added(rows) for _, rows in frame.groupby("seed"))
    assert by_name(result)["a"].df == 2
    assert pytest.approx(effect / ((each - effect) / 3), rel=1e-6) == by_name(result)["a"].F
    assert len(result.notes) == 1, "all can be estimated"
    assert result.notes[0].endswith("and 25 others, so interactions of three and more factors are taken to be zero.")


def test_a_fraction_says_which_effects_are_aliased():
    """The half fraction with abc = 1: each main effect is an interaction of the other two."""
    half = {("a1", "b1", "d2"), ("a1", "b2", "d1"), ("a2", "b1", "d1"), ("a2", "b2", "d2")}
    factors, without = (
        {"a": A[:2], "b": B[:2], "c": D, "e": ["e1", "e2"]},
        {(*x, e) for x in half for e in ("e1", "e2")},
    )
    result = effects(grid(factors, without=without))
    assert [effect.factors for effect in result.effects] == [("e",), ("a", "e"), ("b", "e"), ("c", "e")]
    assert result.notes[-1] == "a, b, c, a × b, a × c, b × c cannot be estimated from the cells that finished."


def test_effects_are_one_family_in_which_what_lies_far_apart_weighs_more():
    frame = grid({"a": A, "b": B, "c": D})
    result = effects(frame)
    p = {effect.factors: effect.p for effect in result.effects}
    first = min(result.effects, key=lambda effect: effect.adjusted)
    assert first.adjusted >= first.p
    assert all(effect.adjusted >= p[effect.factors] for effect in result.effects)
    planted = by_name(effects(frame.assign(y=frame["y"] + 100 * (frame["a"] == "a1"))))["a"]
    # Six effects: a has a quarter's sixth and three quarters of nearly everything.
    assert planted.adjusted == pytest.approx(planted.p / (0.25 / 6 + 0.75), rel=0.1)


def test_seeds_rows_and_units_do_not_matter():
    frame = grid({"a": D, "b": B}, 4)
    other = frame.assign(y=1e3 + 7 * frame["y"] + 100 * frame["seed"]).sample(frac=1, random_state=0)
    first, second = by_name(effects(frame)), by_name(effects(other))
    for name, effect in first.items():
        assert pytest.approx(effect.F, rel=1e-6) == second[name].F
        assert second[name].share == pytest.approx(effect.share, rel=1e-6)


def test_nothing_at_all_differs():
    found = effects(grid({"a": A, "b": B}, y=0.1)).effects
    assert {(effect.F, effect.p, effect.share) for effect in found} == {(0, 1, 0)}


def test_a_difference_without_any_noise():
    frame = grid({"a": A, "b": B})
    found = by_name(effects(frame.assign(y=(frame["a"] == "a1") * 0.1 + frame["seed"])))
    assert (found["b"].p, found["b"].F) == (1, 0)
    assert found["a"].p < 1e-12
    assert found["a"].share == pytest.approx(1)


def test_a_value_that_is_not_finite_is_a_missing_run():
    frame = grid({"a": A, "b": B})
    spoilt = frame.assign(y=frame["y"].where(frame.index != 3, np.nan))
    assert effects(spoilt) == effects(frame.drop(index=3))


def test_a_cell_that_lacks_a_seed_or_a_seed_that_lacks_cells_is_left_out_whichever_keeps_more():
    frame = grid({"a": D, "b": B}, 5, {(4, *cell) for cell in itertools.product(D, B[:3])})
    result = effects(frame)
    assert {effect.df_error for effect in result.effects} == {3}
    assert result.notes[-1] == "Seed 4 is left out, for lack of some cells."
    other = effects(grid({"a": D, "b": B}, 5, {(0, "d1", "b1"), (1, "d1", "b1")}))
    assert {effect.df_error for effect in other.effects} == {4}
    assert "Left out, for not having finished at all of these seeds: d1 · b1." in other.notes


def test_a_factor_with_one_level_is_named():
    result = effects(grid({"a": A, "b": ["only"]}))
    assert [effect.factors for effect in result.effects] == [("a",)]
    assert result.notes == ("b has one level that finished, so it has no effect to estimate.",)


def test_no_two_cells_at_the_same_two_seeds_is_said():
    cells = [(0, "a1"), (0, "a2"), (1, "a2"), (1, "a3")]
    result = effects(pd.DataFrame([{"a": a, "seed": s, "y": float(i)} for i, (s, a) in enumerate(cells)]))
    assert result.effects == ()
    assert result.notes[-1] == "At least two cells must have finished at the same two seeds for a test."


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (grid({"a": A}, seeds=1), "effects need at least 2 seeds, got 1: run the grid with seeds=2 or more"),
        (grid({"a": ["one"]}), "no factor has two levels that finished: there is no effect to estimate"),
        (grid({"a": A}).drop(columns="a"), "the frame of an analysis has no factor: add a column for each axis"),
        (grid({"a": A}).drop(columns="seed"), "the frame of an analysis lacks seed: it needs seed, y"),
        (pd.concat([grid({"a": A})] * 2), "a1 has more than one row at seed 0: keep one"),
    ],
)
def test_what_cannot_be_analysed_is_refused(frame, message):
    with pytest.raises(InputError, match=message):
        effects(frame)
