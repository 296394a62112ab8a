import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm

from analysis.errors import InputError
from analysis.statistics.effects import effects
from tests.analysis.statistics.factorials import A, B, D, fraction, grid, own, partly_shared

deficient = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")


def by_name(found):
    return {" ".join(effect.factors): effect for effect in found.effects}


def close(effect, ss, df, error, df_error):
    """The effect's F, df and p are those of hand-made sums of squares."""
    f = (ss / df) / (error / df_error)
    assert (effect.df, effect.df_error) == (df, df_error)
    assert f == pytest.approx(effect.F, rel=1e-9)
    assert effect.p == pytest.approx(stats.f.sf(f, df, df_error), rel=1e-9)


def test_randomised_blocks_by_sums_of_squares():
    frame = grid({"a": A, "b": B}, seeds=5)
    y = frame["y"].to_numpy().reshape(5, 3, 4)
    mean = y.mean()
    seed, a, b, ab = y.mean((1, 2)), y.mean((0, 2)), y.mean((0, 1)), y.mean(0)
    ss_seed, ss_a, ss_b = 12 * ((seed - mean) ** 2).sum(), 20 * ((a - mean) ** 2).sum(), 15 * ((b - mean) ** 2).sum()
    ss_ab = 5 * ((ab - a[:, None] - b + mean) ** 2).sum()
    total = ((y - mean) ** 2).sum()
    error = total - ss_seed - ss_a - ss_b - ss_ab
    result = effects(frame)
    found = by_name(result)
    close(found["a"], ss_a, 2, error, 44)
    close(found["b"], ss_b, 3, error, 44)
    close(found["a b"], ss_ab, 6, error, 44)
    assert found["a"].share == pytest.approx(ss_a / (total - ss_seed))
    assert {effect.stratum for effect in result.effects} == {"training"}
    assert (result.notes, result.seeds, result.cells) == ((), 5, 12)


def test_split_plot_by_sums_of_squares():
    """a and c are trained, b is read at evaluation."""
    frame = grid({"a": A, "b": B, "c": D}, seeds=4, training=lambda cell: cell["a"] + cell["c"])
    y = frame["y"].to_numpy().reshape(4, 3, 4, 2)
    mean = y.mean()
    seed, a, b, c = (y.mean(axis) for axis in ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)))
    ac, ab, bc, plots = y.mean((0, 2)), y.mean((0, 3)), y.mean((0, 1)), y.mean(2)
    ss_seed = 24 * ((seed - mean) ** 2).sum()
    ss_a, ss_b, ss_c = 32 * ((a - mean) ** 2).sum(), 24 * ((b - mean) ** 2).sum(), 48 * ((c - mean) ** 2).sum()
    ss_ac = 16 * ((ac - a[:, None] - c + mean) ** 2).sum()
    ss_ab = 8 * ((ab - a[:, None] - b + mean) ** 2).sum()
    ss_bc = 12 * ((bc - b[:, None] - c + mean) ** 2).sum()
    ss_plots = 4 * ((plots - mean) ** 2).sum()
    upper = ss_plots - ss_seed - ss_a - ss_c - ss_ac
    lower = ((y - mean) ** 2).sum() - ss_plots - ss_b - ss_ab - ss_bc
    result = effects(frame)
    found = by_name(result)
    close(found["a"], ss_a, 2, upper, 15)
    close(found["c"], ss_c, 1, upper, 15)
    close(found["a c"], ss_ac, 2, upper, 15)
    close(found["b"], ss_b, 3, lower, 96 - 24 - 3 - 6 - 3)
    close(found["a b"], ss_ab, 6, lower, 60)
    close(found["b c"], ss_bc, 3, lower, 60)
    assert found["a"].share == pytest.approx(ss_a / (((y - mean) ** 2).sum() - ss_seed))
    strata = {name: effect.stratum for name, effect in found.items()}
    assert strata == {
        "a": "training",
        "c": "training",
        "a c": "training",
        "b": "evaluation",
        "a b": "evaluation",
        "b c": "evaluation",
    }
    assert result.notes == (
        "Cells that differ in b alone share a training: trainings are compared by their averages over it.",
    )


def test_over_seeds_one_degree_of_freedom_is_the_paired_t_test():
    frame = grid({"a": D, "b": B}, seeds=6, training=partly_shared)
    y = frame["y"].to_numpy().reshape(6, 2, 4)
    known = stats.ttest_rel(y[:, 0].mean(1), y[:, 1].mean(1))
    result = effects(frame)
    found = by_name(result)["a"]
    assert (found.df, found.df_error, found.stratum) == (1, 5, "seeds")
    assert known.statistic**2 == pytest.approx(found.F, rel=1e-9)
    assert known.pvalue == pytest.approx(found.p, rel=1e-9)
    assert result.notes == (
        "Some cells share a training and others do not, so their errors have no known form: each effect is estimated "
        "at each of 6 seeds and tested by how it varies over them.",
    )


def test_over_seeds_more_degrees_are_those_of_repeated_measures_at_the_lower_bound():
    frame = grid({"a": D, "b": B}, seeds=6, training=partly_shared)
    y = frame["y"].to_numpy().reshape(6, 2, 4).mean(1)
    b, seed, mean = y.mean(0), y.mean(1), y.mean()
    f = (6 * ((b - mean) ** 2).sum() / 3) / (((y - b - seed[:, None] + mean) ** 2).sum() / 15)
    found = by_name(effects(frame))["b"]
    assert (found.df, found.df_error) == (3, 5)
    assert f == pytest.approx(found.F, rel=1e-9)
    assert found.p == pytest.approx(stats.f.sf(f, 1, 5), rel=1e-9)


def matches(found, table, terms):
    for name, term in terms.items():
        assert found[name].df == table.loc[term, "df"]
        assert found[name].df_error == table.loc["Residual", "df"]
        assert table.loc[term, "F"] == pytest.approx(found[name].F, rel=1e-8)
        assert table.loc[term, "PR(>F)"] == pytest.approx(found[name].p, rel=1e-8)


def test_missing_cells_are_type_two_of_statsmodels():
    frame = grid(
        {"a": A, "b": B, "c": D}, without={(0, "a1", "b1", "d1"), (0, "a1", "b2", "d1"), (2, "a3", "b4", "d2")}
    )
    result = effects(frame)
    fit = smf.ols("y ~ C(seed) + (C(a) + C(b) + C(c))**2", frame).fit()
    terms = {"a": "C(a)", "b": "C(b)", "c": "C(c)", "a b": "C(a):C(b)", "a c": "C(a):C(c)", "b c": "C(b):C(c)"}
    matches(by_name(result), anova_lm(fit, typ=2), terms)
    assert result.notes == (
        "Missing at some seeds: a1 · b1 · d1 (seed 0), a1 · b2 · d1 (seed 0), a3 · b4 · d2 (seed 2).",
    )


@deficient
def test_missing_evaluations_are_type_two_within_trainings():
    without = {(0, "a1", "b1"), (0, "a1", "b2"), (2, "a3", "b4")}
    frame = grid({"a": A, "b": B}, seeds=4, training=lambda cell: cell["a"], without=without)
    result = effects(frame)
    fit = smf.ols("y ~ C(unit) + C(b) + C(a):C(b)", frame.assign(unit=frame["a"] + frame["seed"].astype(str))).fit()
    smaller = smf.ols("y ~ C(unit) + C(b)", fit.model.data.frame).fit()
    smallest = smf.ols("y ~ C(unit)", fit.model.data.frame).fit()
    found = by_name(result)
    close(found["a b"], smaller.ssr - fit.ssr, 6, fit.ssr, fit.df_resid)
    close(found["b"], smallest.ssr - smaller.ssr, 3, fit.ssr, fit.df_resid)


def test_trainings_that_lack_an_evaluation_are_left_out_of_averages():
    frame = grid({"a": A, "b": B}, seeds=4, training=lambda cell: cell["a"], without={(0, "a1", "b1"), (2, "a3", "b4")})
    plots = frame.groupby(["a", "seed"])["y"].agg(["mean", "size"]).reset_index()
    fit = smf.ols("mean ~ C(seed) + C(a)", plots[plots["size"] == 4]).fit()
    result = effects(frame)
    matches(by_name(result), anova_lm(fit, typ=2), {"a": "C(a)"})
    assert result.notes[-1] == "Left out of them, for lack of some level of b: a1 (seed 0), a3 (seed 2)."


def test_a_level_that_one_training_never_has_is_left_out_of_all_averages():
    """Else a1 would be an average over fewer, perhaps easier, levels; and without a1 there would be less to compare."""
    frame = grid({"a": A, "b": B}, seeds=4, training=lambda cell: cell["a"], without={("a1", "b4")})
    plots = frame[frame["b"] != "b4"].groupby(["a", "seed"], as_index=False)["y"].mean()
    result = effects(frame)
    matches(by_name(result), anova_lm(smf.ols("y ~ C(seed) + C(a)", plots).fit(), typ=2), {"a": "C(a)"})
    assert result.notes == (
        "Without a value at any seed: a1 · b4.",
        "Cells that differ in b alone share a training: trainings are compared by their averages over it.",
        "These averages take b1, b2, b3 alone, which the trainings compared all have.",
        "Of a × b only 5 of 6 degrees of freedom can be estimated.",
    )


@deficient
def test_an_empty_cell_costs_the_interaction_a_degree_of_freedom():
    frame = grid({"a": A, "b": B}, without={("a1", "b4"), ("a3", "b1")})
    full, smaller = (smf.ols(f"y ~ C(seed) + {model}", frame).fit() for model in ("C(a) * C(b)", "C(a) + C(b)"))
    f, p, df = full.compare_f_test(smaller)
    result = effects(frame)
    found = by_name(result)["a b"]
    assert (found.df, found.df_error) == (df, full.df_resid) == (4, 18)
    assert (f, p) == (pytest.approx(found.F, rel=1e-8), pytest.approx(found.p, rel=1e-8))
    assert result.notes == (
        "Without a value at any seed: a1 · b4, a3 · b1.",
        "Of a × b only 4 of 6 degrees of freedom can be estimated.",
    )


def test_a_half_of_54_cells_is_tested_over_seeds():
    factors, training, without = fraction()
    frame = grid(factors, seeds=4, training=training, without=without)
    result = effects(frame)
    assert (result.cells, len(result.effects)) == (27, 10)
    assert {(effect.stratum, effect.df_error) for effect in result.effects} == {("seeds", 3)}
    # Type II at one seed, by two nested models: the sum over seeds of what a effects adds is that of the estimates.
    model = "C(b) + C(c) + C(d) + C(b):C(c) + C(b):C(d) + C(c):C(d)"
    averaged = frame.groupby(list(factors), as_index=False)["y"].mean()
    small, large = (smf.ols(f"y ~ {text}", averaged).fit() for text in (model, f"{model} + C(a)"))
    each = [
        smf.ols(f"y ~ {model}", one).fit().ssr - smf.ols(f"y ~ {model} + C(a)", one).fit().ssr
        for _, one in frame.groupby("seed")
    ]
    effect = 4 * (small.ssr - large.ssr)
    assert by_name(result)["a"].df == 2
    assert pytest.approx(effect / ((sum(each) - effect) / 3), rel=1e-6) == by_name(result)["a"].F
    assert len(result.notes) == 2, "all can be estimated"
    assert result.notes[0].endswith("and 25 others, so interactions of three and more factors are taken to be zero.")


def test_a_fraction_says_which_effects_are_aliased():
    """The half fraction with abc = 1: each main effect is an interaction of the other two."""
    half = {("a1", "b1", "d2"), ("a1", "b2", "d1"), ("a2", "b1", "d1"), ("a2", "b2", "d2")}
    result = effects(
        grid({"a": A[:2], "b": B[:2], "c": D, "e": ["e1", "e2"]}, without={(*x, e) for x in half for e in ("e1", "e2")})
    )
    assert [effect.factors for effect in result.effects] == [("e",), ("a", "e"), ("b", "e"), ("c", "e")]
    assert result.notes[-1] == ("a, b, c, a × b, a × c, b × c cannot be estimated from the cells that finished.")


def test_the_adjusted_p_are_holms_over_all_effects():
    result = effects(grid({"a": A, "b": B, "c": D}))
    p = sorted(effect.p for effect in result.effects)
    running = np.maximum.accumulate([(6 - i) * one for i, one in enumerate(p)])
    assert sorted(effect.adjusted for effect in result.effects) == pytest.approx(np.minimum(running, 1))


@pytest.mark.parametrize("training", [own, lambda cell: cell["a"], partly_shared])
def test_seeds_rows_and_units_do_not_matter(training):
    frame = grid({"a": D, "b": B}, 4, training)
    other = frame.assign(y=1e3 + 7 * frame["y"] + 100 * frame["seed"]).sample(frac=1, random_state=0)
    first, second = by_name(effects(frame)), by_name(effects(other))
    for name, effect in first.items():
        assert pytest.approx(effect.F, rel=1e-6) == second[name].F
        assert second[name].share == pytest.approx(effect.share, rel=1e-6)


def test_a_training_is_one_at_each_seed():
    """Equal training ids at two seeds are two trainings."""
    frame = grid({"a": A, "b": B})
    assert effects(frame) == effects(frame.assign(training_id=frame["training_id"] + frame["seed"].astype(str)))


def test_nothing_at_all_differs():
    assert {(effect.F, effect.p, effect.share) for effect in effects(grid({"a": A, "b": B}, y=0.1)).effects} == {
        (0, 1, 0)
    }


def test_a_difference_without_any_noise():
    frame = grid({"a": A, "b": B})
    found = by_name(effects(frame.assign(y=(frame["a"] == "a1") * 0.1 + frame["seed"])))
    assert (found["a"].F, found["a"].p, found["b"].p) == (np.inf, 0, 1)
    assert found["a"].share == pytest.approx(1)


def test_a_value_that_is_not_finite_is_a_missing_run():
    frame = grid({"a": A, "b": B})
    spoilt = frame.assign(y=frame["y"].where(frame.index != 3, np.nan))
    assert effects(spoilt) == effects(frame.drop(index=3))


def test_all_cells_of_one_training_are_tested_within_it():
    result = effects(grid({"a": A, "b": B}, training=lambda _: "one"))
    assert {effect.stratum for effect in result.effects} == {"evaluation"}


def test_trainings_without_common_evaluations_are_tested_over_seeds():
    frame = grid({"a": A, "b": B}, 4, lambda cell: cell["a"], {("a1", "b1"), ("a1", "b2"), ("a2", "b3"), ("a2", "b4")})
    result = effects(frame)
    assert {effect.stratum for effect in result.effects} == {"seeds"}
    assert result.notes[1].startswith("The trainings have no common levels of b: each effect is estimated")


def test_a_factor_with_one_level_is_named():
    result = effects(grid({"a": A, "b": ["only"]}))
    assert [effect.factors for effect in result.effects] == [("a",)]
    assert result.notes == ("b has one level that finished, so it has no effect to estimate.",)


def test_seeds_that_lack_cells_are_left_out_where_that_keeps_more():
    frame = grid({"a": D, "b": B}, 5, partly_shared, {(4, *cell) for cell in itertools.product(D, B[:3])})
    result = effects(frame)
    assert {effect.df_error for effect in result.effects} == {3}
    assert result.notes[-1] == "Seed 4 is left out, for lack of some cells."


def test_no_runs_left_over_is_said():
    cells = [(0, "a1"), (0, "a2"), (1, "a2"), (1, "a3")]
    frame = pd.DataFrame([{"a": a, "seed": s, "training_id": a, "y": float(i)} for i, (s, a) in enumerate(cells)])
    result = effects(frame)
    assert result.effects == ()
    assert result.notes[-1] == "No runs are left over to judge a by: more seeds are needed."


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (grid({"a": A}, seeds=1), "effects need at least 2 seeds, got 1: run the grid with seeds=2 or more"),
        (grid({"a": ["one"]}), "no factor has two levels that finished: there is no effect to estimate"),
        (grid({"a": A}).drop(columns="a"), "the frame of an analysis has no factor: add a column for each axis"),
        (grid({"a": A}).drop(columns="training_id"), "the frame of an analysis lacks training_id: it needs seed, "),
        (pd.concat([grid({"a": A})] * 2), "a1 has more than one row at seed 0: keep one"),
    ],
)
def test_what_cannot_be_analysed_is_refused(frame, message):
    with pytest.raises(InputError, match=message):
        effects(frame)
