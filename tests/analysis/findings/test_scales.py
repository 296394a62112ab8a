"""On which scale a metric is compared: by its logarithm where the means of cells span a wide range."""

import json

import numpy as np
import pytest
from scipy import stats

from analysis.findings.answers import Answers
from analysis.findings.values import log_of_mean
from analysis.statistics.paired import compare
from analysis.tables.captions import caption
from analysis.words.verdicts import comparison_sentence, factor
from tests.analysis.conftest import NLL, answers_of
from tests.analysis.findings.test_verdicts import grid_of
from tests.analysis.test_recomputed import ROOT

SHARES = np.array([0.99, 1.0, 1.01])


def spanning(factor, **changes):
    """Two cells whose means of NLL are 2 and so many times as much."""
    fids = [10.0, 11.0, 12.0]
    return grid_of({"near": (list(2 * SHARES), fids), "far": (list(2 * factor * SHARES[::-1] ** 2), fids)}, **changes)


def nll_of(grid):
    return Answers.of(grid).findings[0]


def test_what_spans_more_than_a_factor_of_five_is_compared_by_its_logarithm():
    assert nll_of(spanning(4.9)).metric.scale == "linear"
    nll = nll_of(spanning(5.1))
    assert nll.metric.scale == "log"
    by_hand = np.log(2 * SHARES) - np.log(10.2 * SHARES[::-1] ** 2)
    known = stats.ttest_1samp(by_hand, 0)
    (pair,) = nll.pairs
    assert pair.comparison.difference == pytest.approx(by_hand.mean())
    assert pair.comparison.p == pytest.approx(known.pvalue)
    low, high = np.exp(-np.array(known.confidence_interval(0.95)))[::-1]
    assert f"far by a factor of {np.exp(-by_hand.mean()):.2f} ({low:.2f} to {high:.2f})" in comparison_sentence(pair)


def test_what_matters_is_then_its_share_of_the_best_mean():
    nll = nll_of(spanning(10, relevant={"nll": 0.5}))
    assert nll.metric.relevant == pytest.approx(0.25)
    assert nll.metric.margin == pytest.approx(np.log(1.25))
    assert nll_of(spanning(10)).metric.relevant == pytest.approx(0.005)
    assert nll_of(spanning(2, relevant={"nll": 0.5})).metric.margin == 0.5


def test_a_small_share_that_matters_is_told_by_its_digits():
    near = {name: (list(2 * SHARES + i * 1e-4), [10.0, 11.0, 12.0]) for i, name in enumerate(("a", "b", "c", "d"))}
    far = {"far": (list(40 * SHARES), [10.0, 11.0, 12.0])}
    sentences = [comparison_sentence(pair) for pair in nll_of(grid_of(near | far)).pairs]
    assert any(sentence.endswith("less than 0.5 % does not matter.") for sentence in sentences)


def test_values_below_zero_and_counts_are_compared_as_they_are():
    below = {"near": ([-0.1, 0.1, 0.2], [1.0, 2.0, 3.0]), "far": ([5.0, 5.1, 5.2], [1.0, 2.0, 3.0])}
    assert nll_of(grid_of(below)).metric.scale == "linear"
    counted = [{"name": NLL, "label": "NLL", "direction": "min", "resolution": 0.1}]
    assert nll_of(spanning(10, metrics=counted)).metric.scale == "linear"


def test_the_scale_does_not_depend_on_what_later_looks_show():
    first = {"near": ([2.0, 2.1, 2.0, 2.0], [1.0] * 4), "far": ([9.0, 9.1, 9.0, 90.0], [1.0] * 4)}
    ids = {name: {"schedule": name} for name in first}
    auto = {"looks": [3, 4], "stopped": dict.fromkeys(first, 4)}
    assert nll_of(grid_of(first, auto=auto, cells=ids)).metric.scale == "linear"
    assert nll_of(grid_of(first)).metric.scale == "log"


def test_the_caption_says_why():
    assert (
        "NLL, since its means span a factor of 10, and FID are compared by their logarithm, so their differences are "
        "factors." in caption(Answers.of(spanning(10)))
    )
    assert "FID is compared by its logarithm, so its differences are factors." in caption(Answers.of(spanning(2)))


def test_parts_of_images_have_the_logarithm_of_the_mean_as_their_mean():
    values = np.array([[3.0, -1.0, 4.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(log_of_mean(values).mean(-1), np.log(values.mean(-1)))
    np.testing.assert_allclose(log_of_mean(values)[1], 0)


def test_the_choice_of_images_makes_of_a_logarithm_what_it_makes_of_log_normal_ones():
    """Var log x̄ of m log-normal values is (exp τ² − 1)/m, to first order; two cells that share nothing have two."""
    rng, tau, m = np.random.default_rng(0), 0.5, 200
    variances = []
    for _ in range(300):
        a, b = np.exp(tau * rng.normal(size=(2, 1, m))) * np.exp(1e-6 * rng.normal(size=(2, 4, m)))
        variances.append(compare(log_of_mean(a) - log_of_mean(b)).image_error ** 2)
    assert np.mean(variances) == pytest.approx(2 * np.expm1(tau**2) / m, rel=0.05)


def test_intervals_by_seed_and_image_hold_the_true_ratio():
    """Cells whose means differ by a factor of 50, with log-normal seeds and images of sizes of their own."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(1000):
        a, b = (
            level * np.exp(size * (rng.normal(size=(5, 1)) + 3 * rng.normal(size=100) + 2 * rng.normal(size=(5, 100))))
            for level, size in ((1.0, 0.05), (50.0, 0.2))
        )
        truth = -np.log(50) + (0.05**2 - 0.2**2) * (9 + 4) / 2
        found = compare(log_of_mean(a) - log_of_mean(b))
        held += abs(found.difference - truth) <= found.half_width
    # 1000 intervals of 95 % hold it 950 ± 7 times.
    assert held >= 935


def test_images_are_shared_out_by_their_values_as_they_are():
    """a is better on two thirds of the images, though its logarithm's parts are lower on all."""
    rng = np.random.default_rng(2)
    easy = rng.uniform(1.0, 1.2, size=(3, 60))
    far = easy + np.where(np.arange(60) < 20, 100.0, -0.5)
    images = {(name, seed, NLL): list(rows[seed]) for name, rows in (("near", easy), ("far", far)) for seed in range(3)}
    values = {name: (list(rows.mean(1)), [1.0, 2.0, 3.0]) for name, rows in (("near", easy), ("far", far))}
    answers = Answers.of(grid_of(values, images))
    assert answers.findings[0].metric.scale == "log"
    best, _, share = answers.image_shares[0]
    assert best.levels == ("near",)
    assert share.mean == pytest.approx(1 / 3)
    assert answers.findings[0].pairs[0].comparison.difference == pytest.approx(
        float(np.mean(np.log(values["near"][0]) - np.log(values["far"][0])))
    )


def test_committed_grids_need_logarithms_where_they_are_compared_by_them():
    """Where means span little and weights are averaged, seeds differ too little for it to matter; else by far more."""
    small, large, raw = [], [], []
    for path in sorted(ROOT.glob("*/runs.csv")):
        if len(json.loads((path.parent / "grid.json").read_text("utf-8"))["seeds"]) < 3:
            continue
        answers = answers_of(path.parent)
        nll = answers.metrics[0]
        for cell in answers.cells:
            of_cell = list(cell.estimate(nll.name).values.values())
            kind = raw if "raw" in cell.levels else large if nll.scale == "log" else small
            kind += [np.log(of_cell).std(ddof=1)] if len(of_cell) > 1 else []
    assert max(small) < 0.125
    assert 0.225 < max(raw) < 0.235
    assert max(large) > 0.35


def test_a_factor_near_one_has_the_digits_that_tell_it_from_the_ends_of_its_interval():
    assert factor(np.log(1.0041), np.log(1.002)) == "a factor of 1.004 (1.002 to 1.006)"
    assert factor(np.log(1.31), np.log(1.17)) == "a factor of 1.31 (1.12 to 1.53)"
    assert factor(0.0, 0.0) == factor(0.0, np.nan) == "a factor of 1.00"
