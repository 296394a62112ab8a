"""Verdicts on grids of one axis, whose differences are made by hand."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns, cells_of
from analysis.findings.comparisons import compared, paired
from analysis.findings.verdicts import baseline
from analysis.read.meta import parse_meta
from analysis.read.runs import GridResults
from analysis.words.cells import shortfall
from analysis.words.verdicts import comparison_sentence, headline
from tests.analysis.conftest import FID, NLL, meta

# Level → NLL and FID per seed.
VALUES = {
    "linear": ([2.50, 2.54, 2.46, 2.50], [20.0, 30.0, 25.0, 25.0]),
    "cosine": ([2.40, 2.45, 2.35, 2.40], [21.0, 27.0, 26.0, 27.0]),
    "learned": ([2.41, 2.43, 2.37, 2.40], [30.0, 41.0, 36.0, 34.0]),
}


def grid_of(values=VALUES, images=None, axes=None, sets=None, training=None, **changes):
    """A grid of one axis, `schedule`, unless its axes are given; a row per level and seed, of one training or each."""
    levels = [{"name": name, "label": name} for name in values]
    seeds = list(range(len(next(iter(values.values()))[0])))
    described = meta(
        axes=[{"name": "schedule", "label": "Schedule", "levels": levels}] if axes is None else axes,
        baseline={},
        layout="general",
        seeds=seeds,
        **changes,
    )
    rows = [
        {
            "cell_id": name,
            "training_id": training or name,
            "seed": seed,
            "status": "finished" if nll == nll else "diverged",
            "reason": "",
            "notes": "",
            "autoencoder_id": "",
            "not_comparable": "",
            "axis.schedule": name,
            "evaluation.sets": "2",
            NLL: nll,
            FID: fid,
            f"{FID}_set_sd": np.nan if sets is None else sets,
        }
        for name, numbers in values.items()
        for seed, nll, fid in zip(seeds, *numbers, strict=True)
    ]
    frame = pd.DataFrame() if images is None else images
    return GridResults(parse_meta(json.dumps(described), "here"), pd.DataFrame(rows), None, pd.DataFrame, lambda: frame)


def test_one_axis_compares_every_pair_and_adjusts_them_together():
    nll = Answers.of(grid_of()).findings[0]
    assert [(p.a.levels[0], p.b.levels[0]) for p in nll.pairs] == [
        ("linear", "cosine"),
        ("linear", "learned"),
        ("cosine", "learned"),
    ]
    known = [stats.ttest_rel(VALUES[p.a.levels[0]][0], VALUES[p.b.levels[0]][0]).pvalue for p in nll.pairs]
    order = np.argsort(known)
    by_hand = np.empty(3)
    by_hand[order] = np.maximum.accumulate(np.sort(known) * [3, 2, 1])
    np.testing.assert_allclose([p.adjusted for p in nll.pairs], np.minimum(by_hand, 1), rtol=1e-9)
    assert [p.verdict for p in nll.pairs] == ["worse", "worse", "cannot tell"]


def test_sentences_say_who_by_how_much_and_how_sure():
    nll, fid = Answers.of(grid_of()).findings
    assert comparison_sentence(nll.pairs[0]).startswith(
        "NLL: linear is worse than cosine by 0.10 ± 0.01 bits/dim (p < 0.001"
    )
    assert comparison_sentence(fid.pairs[0]).startswith(
        "FID: cannot tell linear from cosine at this budget: the difference is 0.2"
    )
    difference = np.subtract(VALUES["cosine"][0], VALUES["learned"][0])
    planned = TTestPower().solve_power(abs(difference.mean()) / difference.std(ddof=1), alpha=0.05, power=0.8)
    assert f"about {math.ceil(planned)} fresh seeds would confirm it" in comparison_sentence(nll.pairs[2])


def test_the_headline_names_all_that_may_be_best():
    nll, fid = Answers.of(grid_of()).findings
    assert headline(nll).startswith("NLL: cosine has the best mean, 2.40")
    assert headline(nll).endswith("at this budget it cannot be told from learned.")
    assert "linear" in headline(fid)
    assert "learned" not in headline(fid)


def test_a_clear_winner_is_called_the_best():
    values = {"linear": ([3.0, 3.1, 2.9], [1.0, 2.0, 3.0]), "cosine": ([2.0, 2.11, 1.9], [1.0, 2.0, 3.0])}
    assert headline(Answers.of(grid_of(values)).findings[0]).startswith(
        "NLL: cosine is the best of 2, 2.00 ± 0.26 bits/dim."
    )


def test_one_seed_gives_no_verdict():
    values = {"linear": ([3.0], [1.0]), "cosine": ([2.0], [2.0])}
    nll = Answers.of(grid_of(values)).findings[0]
    assert headline(nll) == "NLL: cosine has the best value, 2.00 bits/dim, of one seed: no verdict."
    assert nll.pairs[0].verdict == "cannot tell"
    assert (
        comparison_sentence(nll.pairs[0]) == "NLL: cannot tell linear from cosine: fewer than two seeds finished both."
    )


def test_cells_that_share_a_likelihood_are_not_chosen_between():
    values = {"heun": ([2.0, 2.1], [9.0, 8.0]), "ddim": ([2.0, 2.1], [5.0, 6.0])}
    nll, fid = Answers.of(grid_of(values, training="one")).findings
    assert headline(nll) == "NLL: 2.05 ± 0.64 bits/dim of all 2 cells, which share what it reads."
    assert "share" not in headline(fid)


def test_equal_values_of_other_trainings_are_not_said_to_be_shared():
    values = {"linear": ([2.0, 2.1], [0.0, 0.0]), "cosine": ([2.3, 2.2], [0.0, 0.0])}
    fid = Answers.of(grid_of(values)).findings[1]
    assert headline(fid) == "FID: 0.00 ± <0.01 of all 2 cells, the same at every seed."
    assert comparison_sentence(fid.pairs[0]) == "FID: linear and cosine have the same value at every seed."


def test_a_continued_grid_is_exploratory():
    assert headline(Answers.of(grid_of(continued=True)).findings[0]).startswith("Exploratory")
    assert not headline(Answers.of(grid_of()).findings[0]).startswith("Exploratory")


def test_diverged_seeds_leave_the_common_ones():
    values = VALUES | {"linear": ([2.50, np.nan, 2.46, 2.50], [20.0, np.nan, 25.0, 25.0])}
    grid = grid_of(values)
    cells = {cell.levels[0]: cell for cell in cells_of(grid)}
    np.testing.assert_allclose(paired(grid, NLL, cells["linear"], cells["cosine"]), [0.10, 0.11, 0.10])
    assert compared(grid, NLL, cells["linear"], cells["cosine"]).n == 3


def test_many_cells_are_compared_with_the_baseline():
    values = {f"level{i}": ([2.0 + i, 2.1 + i, 1.95 + i], [1.0, 2.0, 3.0]) for i in range(8)}
    nll = Answers.of(grid_of(values)).findings[0]
    assert {pair.b.levels[0] for pair in nll.pairs} == {"level0"}
    assert len(nll.pairs) == 7


def test_the_baseline_is_the_one_that_is_named_unless_it_did_not_finish():
    grid = grid_of()
    cells = cells_of(grid)
    assert baseline(grid, cells).levels == ("linear",)
    named = grid_of()
    object.__setattr__(named.meta, "baseline", {"schedule": "learned"})
    assert baseline(named, cells).levels == ("learned",)
    lost = grid_of({"linear": ([np.nan] * 3, [np.nan] * 3), "cosine": ([2.0, 2.1, 2.2], [1.0, 2.0, 3.0])})
    assert baseline(lost, cells_of(lost)) is None


@pytest.mark.parametrize("image_sd", [0.0, 0.5])
def test_values_per_image_add_the_error_of_other_images(image_sd):
    rng = np.random.default_rng(0)
    n_images = 60
    hard = rng.normal(0, 1, n_images)
    effect = image_sd * rng.normal(size=n_images)
    effect -= effect.mean()
    rows = {}
    for name, (nll, _) in VALUES.items():
        for seed, value in enumerate(nll):
            rows[name, seed, NLL] = value + hard - hard.mean() + (effect if name == "linear" else 0)
    images = pd.DataFrame.from_dict(rows, orient="index")
    images.index = pd.MultiIndex.from_tuples(images.index)
    grid = grid_of(images=images)
    cells = {cell.levels[0]: cell for cell in cells_of(grid)}
    found = compared(grid, NLL, cells["linear"], cells["cosine"])
    # What makes an image hard for both drops out; what makes it harder for one stays.
    expected = np.std(effect, ddof=1) / np.sqrt(n_images)
    assert found.image_error == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert found.difference == pytest.approx(0.10)


def test_sampling_noise_is_kept_apart_from_seed_noise():
    seeds, sampling = Answers.of(grid_of(sets=3.0)).findings[1].noise()
    by_hand = np.sqrt(np.mean([np.var(fid, ddof=1) for _, fid in VALUES.values()]))
    assert seeds == pytest.approx(by_hand)
    assert sampling == pytest.approx(3.0 / np.sqrt(2))
    assert np.isnan(Answers.of(grid_of()).findings[0].noise()[1])


def test_cells_that_share_everything_are_said_to_be_one():
    values = {"linear": ([2.0, 2.1], [1.0, 2.0]), "cosine": ([2.0, 2.1], [3.0, 5.0])}
    assert (
        comparison_sentence(Answers.of(grid_of(values, training="one")).findings[0].pairs[0])
        == "NLL: linear and cosine share all that it reads."
    )


@pytest.mark.parametrize(
    "reason",
    ["no space left", "no space left\nTraceback …\n  File x\nOSError: no space left", "\n no space left \n"],
)
def test_a_reason_is_told_by_its_first_line(reason):
    runs = pd.DataFrame({"status": ["failed"], "reason": [reason]})
    assert shortfall([CellRuns((), (), runs)]) == "failed in 1 of 1 seeds (no space left)"
