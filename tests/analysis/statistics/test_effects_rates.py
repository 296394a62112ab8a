"""How often effects are found, there or not, by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.statistics.designs import read_design
from analysis.statistics.effects import measure, plan
from tests.analysis.statistics.factorials import A, B, D, fraction, grid, own, partly_shared

SIMULATIONS = 4000
# 5 % ± 3.5 Monte-Carlo errors.
LOW, HIGH = 0.038, 0.062


def simulate(frame, training, rest=1.0, planted=0.0, seed=0, simulations=SIMULATIONS):
    """[runs, simulations]: seeds' and trainings' normal errors, the rest's, and what is planted [runs]."""
    rng = np.random.default_rng(seed)
    units = pd.factorize(frame["training_id"] + frame["seed"].astype(str))[0]
    blocks = 5 * rng.normal(size=(frame["seed"].max() + 1, simulations))[frame["seed"]]
    errors = training * rng.normal(size=(units.max() + 1, simulations))[units]
    return blocks + errors + rest * rng.normal(size=(len(frame), simulations)) + np.reshape(planted, (-1, 1))


def rates(frame, y):
    """How often each effect is found at 5 %, and its stratum."""
    tests = plan(read_design(frame)[0]).tests
    found = {}
    for test in tests:
        f, _ = measure(test, y)
        found[" ".join(test.factors)] = (float(np.mean(stats.f.sf(f, *test.df_p) <= 0.05)), test.stratum)
    return found


TWO = {"a": A, "b": B[:3]}


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(
    "without", [set(), {(0, "a1", "b1")}, {("a2", "b2")}], ids=["complete", "a-run-missing", "a-cell-missing"]
)
@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_no_effect_is_found_at_the_nominal_rate(shared, without, seeds):
    """Exact tests: neither more nor less, with a training's error of twice the rest's."""
    frame = grid(TWO, seeds, (lambda cell: cell["a"]) if shared else own, without)
    found = rates(frame, simulate(frame, 2.0))
    assert {name: stratum for name, (_, stratum) in found.items()} == {
        "a": "training",
        "b": "evaluation" if shared else "training",
        "a b": "evaluation" if shared else "training",
    }
    assert all(LOW <= rate <= HIGH for rate, _ in found.values()), found


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(
    "without", [set(), {(0, "d1", "b1")}, {("d2", "b2")}], ids=["complete", "a-run-missing", "a-cell-missing"]
)
def test_no_effect_is_found_too_often_where_trainings_are_partly_shared(without, seeds):
    """The lower bound errs by finding too little; with one degree of freedom there is no bound to take."""
    frame = grid({"a": D, "b": B}, seeds, partly_shared, without)
    found = rates(frame, simulate(frame, 2.0))
    assert {stratum for _, stratum in found.values()} == {"seeds"}
    assert all(rate <= HIGH for rate, _ in found.values()), found
    assert found["a"][0] >= LOW


def test_no_effect_is_found_too_often_in_a_fraction():
    factors, training, without = fraction()
    frame = grid(factors, 4, training, without)
    found = rates(frame, simulate(frame, 2.0, simulations=2000))
    assert len(found) == 10
    assert all(rate <= HIGH for rate, _ in found.values()), found


def test_who_ignores_that_trainings_are_shared_finds_what_is_not_there():
    frame = grid(TWO, 3, lambda cell: cell["a"])
    y = simulate(frame, 2.0)
    naive = rates(frame.assign(training_id=frame["a"] + frame["b"]), y)
    assert naive["a"][0] > 0.3
    assert rates(frame, y)["a"][0] <= HIGH


@pytest.mark.parametrize("training", [own, lambda cell: cell["a"], partly_shared], ids=["own", "shared", "partly"])
@pytest.mark.parametrize("factor", ["a", "b"])
def test_a_planted_main_effect_is_found_and_no_other(factor, training):
    frame = grid({"a": D, "b": B}, 5, training)
    level = {"a": "d2", "b": "b1"}[factor]
    found = rates(frame, simulate(frame, 1.0, planted=20.0 * (frame[factor] == level), simulations=1000))
    assert found[factor][0] > 0.99
    assert all(rate <= 0.075 for name, (rate, _) in found.items() if name != factor), found


@pytest.mark.parametrize("training", [own, lambda cell: cell["a"], partly_shared], ids=["own", "shared", "partly"])
def test_a_planted_interaction_is_found(training):
    frame = grid({"a": D, "b": B[:3]}, 5, training)
    planted = 20.0 * ((frame["a"] == "d1") == (frame["b"] == "b1"))
    assert rates(frame, simulate(frame, 1.0, planted=planted, simulations=500))["a b"][0] > 0.99
