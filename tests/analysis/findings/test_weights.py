import math

import numpy as np
import pandas as pd
import pytest

from analysis.findings.weights import (
    WeightDifference,
    changed,
    declares,
    difference,
    effective_weights,
    largest,
    partners,
)
from analysis.schema import CURVES_FILE
from analysis.words.weights import weight_footnotes, weight_sentence
from tests.analysis.conftest import answers_of, build, cell_id, curves, rows, write_curves

AXES = ["axis.a", "axis.b"]


RUNS = pd.DataFrame(
    [
        ("ax", "a", "x", 0, "finished", "beta", ""),
        ("ax", "a", "x", 1, "finished", "beta", ""),
        ("bx", "b", "x", 0, "finished", "beta_tilde", ""),
        ("bx", "b", "x", 1, "diverged", "beta_tilde", ""),
        ("ay", "a", "y", 0, "finished", "beta", "v"),
        ("cy", "c", "y", 0, "finished", "learned", "v"),
    ],
    columns=["cell_id", *AXES, "seed", "status", "variance", "objective.space"],
).assign(**{"training_id": "t", "reason": "", "nll/test": 2.5})


def series(*values):
    return pd.Series(values, index=np.arange(1.0, len(values) + 1))


def lines(name, seed, **tables):
    return [
        (name, seed, curve, float(t), value)
        for curve, values in tables.items()
        for t, value in enumerate(values, start=1)
    ]


def footnotes_of(folder):
    answers = answers_of(folder)
    return weight_footnotes(answers.weight_check, answers.axes)


def test_what_an_axis_changes_is_seen_where_all_else_is_equal():
    assert changed(RUNS, AXES, "axis.a") == {"variance"}
    assert changed(RUNS, AXES, "axis.b") == {"objective.space"}
    assert changed(RUNS[RUNS["cell_id"] != "ax"], AXES, "axis.b") == set()
    assert changed(RUNS[RUNS["axis.b"] == "x"], ["axis.a"], "axis.a") == {"variance"}


def test_choices_that_declare_a_change_of_weight():
    declaring = ["objective", "objective.space", "schedule.beta_1", "timesteps", "horizon", "training.steps"]
    assert all(declares(["network", name]) for name in declaring)
    others = ["evaluation.horizon", "variance", "sampler.steps", "parameterization"]
    assert not any(declares(["network", name]) for name in others)


def test_partners_are_finished_and_share_their_seed_and_all_other_levels():
    assert list(partners(RUNS, AXES, "axis.a")) == [(("ax", 0), ("bx", 0)), (("ay", 0), ("cy", 0))]
    assert list(partners(RUNS, AXES, "axis.b")) == [(("ax", 0), ("ay", 0))]


def test_effective_weights_are_those_of_the_expected_loss():
    table = lines("ax", 0, expected_weight=[1.0, 6.0, math.nan, math.inf, -1.0], density=[0.5, 2.0, 1.0, 1.0, 1.0])
    table += lines("cy", 0, density=[1.0], log_snr=[3.0]) + lines("ay", 1, expected_weight=[0.0], density=[1.0])
    found = effective_weights(pd.DataFrame(table, columns=["cell_id", "seed", "curve", "x", "y"]))
    assert list(found) == [("ax", 0)]
    np.testing.assert_array_equal(found["ax", 0], [1.0, 6.0, math.nan, math.nan, math.nan])
    assert list(found["ax", 0].index) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((1.0, 2.0, 3.0), (10.0, 20.0, 30.0), None, id="a-constant-factor"),
        # Means 2 and 4: c is ½, 1, 3/2 and ¼, ¼, 5/2, so the ratios are 2, 4, 3/5.
        pytest.param((1.0, 2.0, 3.0), (1.0, 1.0, 10.0), (4.0, 2), id="by-hand"),
        pytest.param((math.nan, 1.0, 1.0), (100.0, 2.0, 2.0), None, id="a-gap-is-left-out-of-both-means"),
        pytest.param((math.nan, 1.0), (1.0, math.nan), None, id="nothing-in-common"),
        pytest.param((0.0, 1.0, 2.0), (0.0, 2.0, 4.0), None, id="a-t-that-weighs-in-neither"),
        pytest.param((0.0, 1.0, 2.0), (1.0, 1.0, 1.0), (math.inf, 1), id="a-t-that-weighs-in-one"),
    ],
)
def test_weights_differ_relative_to_their_means_in_either_order(a, b, expected):
    for pair in ((a, b), (b, a)):
        found = difference(*(series(*weights) for weights in pair))
        assert (found and (found.factor, found.t)) == (expected and pytest.approx(expected))


@pytest.mark.parametrize(("excess", "differs"), [(0.0095, False), (0.0105, True)])
def test_one_percent_is_the_threshold(excess, differs):
    # One t of 1000 leaves the mean alone.
    b = pd.Series(1.0, index=np.arange(1.0, 1001.0))
    a = b.copy()
    a[700.0] = 1 + excess * 1000 / 999
    assert (difference(a, b) is not None) is differs


def test_largest_leaves_out_other_horizons_and_runs_without_curves():
    weights = {("a", 0): series(1.0, 1.0), ("b", 0): series(1.0, 3.0), ("c", 0): series(1.0, 1.0, 9.0)}
    pairs = [(("a", 0), ("c", 0)), (("a", 0), ("nowhere", 0))]
    assert largest(weights, pairs) is None
    # c of b is ½ and 3/2.
    found = largest(weights, [*pairs, (("a", 0), ("b", 0))])
    assert (found.factor, found.t) == (pytest.approx(2.0), 1)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.0132, "by up to 1.3 %, at t = 7"),
        (1.376, "by up to 38 %, at t = 7"),
        (1.996, "by up to ×2.0, at t = 7"),
        (37.2, "by up to ×37, at t = 7"),
        (3712.0, "by up to ×3700, at t = 7"),
        (99_600.0, "by up to ×1.0·10⁵, at t = 7"),
        (2_566_418.0, "by up to ×2.6·10⁶, at t = 7"),
        (math.inf, "some have none at t = 7, where others have some"),
    ],
)
def test_sentence(factor, words):
    assert weight_sentence("Target", WeightDifference(factor, 7)) == (
        f"Cells that differ in Target differ in the effective weight of each t too ({words}): see figures/weights."
    )


def test_footnotes_of_a_grid(shared_folder):
    # ε and x₀ under the unweighted MSE: 1, and (1 − ᾱ)/ᾱ, which is 0.001/0.999 at t = 1 and 2569.0 in the mean over t.
    words = "differ in the effective weight of each t too (by up to ×2.6·10⁶, at t = 1): see figures/weights."
    assert footnotes_of(shared_folder) == {"parameterization": f"Cells that differ in Target {words}"}


def test_cells_that_did_not_finish_are_not_compared(tmp_path):
    table = [row | ({"status": "failed"} if row["cell_id"] == "x0-simple" else {}) for row in rows()]
    assert footnotes_of(build(tmp_path / "g", table)) == {}


def test_curves_are_not_read_where_nothing_is_compared(tmp_path):
    table = [row for row in rows() if row["parameterization"] == "x0"]
    folder = build(tmp_path / "g", table)
    (folder / CURVES_FILE).write_bytes(b"")
    assert footnotes_of(folder) == {}


def test_a_second_axis_has_a_footnote_of_its_own(tmp_path):
    """Were the loss an axis over variances, it would not declare what it does to the weight."""
    table = [row | {"objective": "vlb", "objective.space": ""} for row in rows()]
    found = footnotes_of(build(tmp_path / "g", table))
    assert list(found) == ["parameterization", "loss"]
    assert found["loss"].startswith("Cells that differ in Objective differ in the effective weight of each t too")


def test_grids_without_curves_have_no_footnote(tmp_path):
    folder = build(tmp_path / "g")
    kept = [line for line in curves() if not (line[0] == cell_id(("x0", "simple")) and line[2] == "expected_weight")]
    write_curves(folder, kept)
    assert footnotes_of(folder) == {}
