"""Verdicts on grids of one axis, whose differences are made by hand."""

import dataclasses
import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns, baseline
from analysis.findings.family import family
from analysis.findings.values import cells_of, paired
from analysis.grid_json import parse_meta
from analysis.read.runs import GridResults
from analysis.report.another_seed import one_more_seed
from analysis.schema import CURVES
from analysis.tables import table_of
from analysis.words.cells import shortfall
from analysis.words.rounds import looked as looked_words
from analysis.words.rounds import seeds_taken
from analysis.words.verdicts import comparison_sentence, headline
from tests.analysis.conftest import FID, NLL, axis_of, meta, run_of

# Level → NLL and FID per seed.
VALUES = {
    "linear": ([2.50, 2.54, 2.46, 2.50], [20.0, 30.0, 25.0, 25.0]),
    "cosine": ([2.40, 2.45, 2.35, 2.40], [21.0, 27.0, 26.0, 27.0]),
    "learned": ([2.41, 2.43, 2.37, 2.40], [30.0, 41.0, 36.0, 34.0]),
}


def grid_of(values=VALUES, images=None, sets=None, training=None, baseline=None, **changes):
    """A grid of one axis, `schedule`: a row per level and seed, of one training or each, and rows of `images`."""
    seeds = list(range(len(next(iter(values.values()))[0])))
    described = meta(
        axes=[axis_of("schedule", "Schedule", values.keys())],
        baseline=baseline or {},
        layout="general",
        seeds=seeds,
        **changes,
    )
    rows = [
        run_of(name, seed, finished=nll == nll, training_id=training or name)
        | {"axis.schedule": name, "evaluation.sets": "2", NLL: nll, FID: fid}
        | {f"{FID}_set_sd": np.nan if sets is None else sets}
        for name, numbers in values.items()
        for seed, nll, fid in zip(seeds, *numbers, strict=True)
    ]
    frame = pd.DataFrame.from_dict(images or {}, orient="index")
    frame.index = pd.MultiIndex.from_tuples(frame.index) if images else frame.index
    known = parse_meta(json.dumps(described), "here")
    return GridResults(known, pd.DataFrame(rows), None, lambda: pd.DataFrame(columns=CURVES), lambda: frame)


def test_one_axis_compares_every_pair_and_adjusts_them_together():
    nll = Answers.of(grid_of()).findings[0]
    assert [(p.a.levels[0], p.b.levels[0]) for p in nll.pairs] == list(combinations(VALUES, 2))
    differences = [np.subtract(VALUES[p.a.levels[0]][0], VALUES[p.b.levels[0]][0]) for p in nll.pairs]
    p = np.array([stats.ttest_1samp(one, 0).pvalue for one in differences])
    # Step by step: a quarter of the error rate evenly, the rest by the squared sums of squares, 10 medians at most.
    left, spread, level, by_hand = [0, 1, 2], np.array([float(one @ one) for one in differences]), 0.0, np.empty(3)
    while left:
        v = np.minimum(spread[left], 10 * np.median(spread[left])) ** 2
        ratio = p[left] / (0.25 / len(left) + 0.75 * v / v.sum())
        level = max(level, ratio.min())
        by_hand[left.pop(int(ratio.argmin()))] = min(level, 1)
    # A quarter of the error rate is for claims of equality.
    np.testing.assert_allclose(
        [pair.decision.different for pair in nll.pairs], np.minimum(by_hand / 0.75, 1), rtol=1e-9
    )
    assert [p.verdict for p in nll.pairs] == ["worse", "worse", "cannot tell"]


def test_sentences_say_who_by_how_much_and_how_sure():
    nll, fid = Answers.of(grid_of()).findings
    assert comparison_sentence(nll.pairs[0]).startswith(
        "NLL: linear is worse than cosine by 0.10 ± 0.01 bits/dim (p < 0.001"
    )
    ratio = np.log(VALUES["linear"][1]) - np.log(VALUES["cosine"][1])
    low, high = stats.ttest_1samp(ratio, 0).confidence_interval(0.95)
    sizes = [np.exp(sign * one) for sign in [np.sign(ratio.mean())] for one in (ratio.mean(), low, high)]
    assert comparison_sentence(fid.pairs[0]).startswith(
        "FID: cannot tell linear from cosine at this budget: the former looks "
        f"{'better' if ratio.mean() < 0 else 'worse'} by a factor of {sizes[0]:.2f} ({min(sizes):.2f} to "
        f"{max(sizes):.2f}) (p = "
    )


def test_what_cannot_be_told_comes_with_more_seeds_than_it_would_take_if_it_were_known():
    """Three seeds know mean and spread but roughly. A quarter of the error rate is for equality."""
    values = {"linear": ([2.50, 2.60, 2.40], [1.0, 2.0, 3.0]), "cosine": ([2.40, 2.44, 2.36], [1.0, 2.0, 3.0])}
    (pair,) = Answers.of(grid_of(values)).findings[0].pairs
    differences = np.array([0.10, 0.16, 0.04])
    known = TTestPower().solve_power(differences.mean() / differences.std(ddof=1), alpha=0.75 * 0.05, power=0.8)
    assert pair.verdict == "cannot tell"
    assert 1.5 * known < pair.fresh_seeds < 8 * known
    assert comparison_sentence(pair).endswith(
        f"; about {pair.fresh_seeds} fresh seeds of this grid would probably show a difference."
    )


def test_the_headline_names_all_that_may_be_best():
    nll, fid = Answers.of(grid_of()).findings
    assert headline(nll).startswith("NLL: cosine has the best mean, 2.40")
    assert "; not known to be better, at this budget, than learned. " in headline(nll)
    assert headline(nll).endswith(
        "1 of 3 cells has a worse mean than a histogram per pixel (2.43 bits/dim), which needs no network."
    )
    assert "linear" in headline(fid)
    assert "learned" not in headline(fid)


def test_several_names_in_a_headline_are_set_apart_by_commas():
    values = {name: ([2.0 + 0.1 * i, 2.2 - 0.1 * i, 2.1], [1.0, 2.0, 3.0]) for i, name in enumerate("abcd")}
    (nll, _) = Answers.of(grid_of(values)).findings
    assert headline(nll).endswith("not known to be better, at this budget, than b, c or d.")


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
    assert headline(nll) == "NLL: 2.05 ± 0.64 bits/dim of all 2 cells, which share what NLL reads."
    assert comparison_sentence(nll.pairs[0]) == "NLL: heun and ddim share all that NLL reads."
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
    np.testing.assert_allclose(paired(grid, grid.meta.metrics[0], cells["linear"], cells["cosine"]), [0.10, 0.11, 0.10])
    assert family(grid, grid.meta.metrics[0], [cells["linear"], cells["cosine"]]).pairs[0].comparison.n == 3


def test_many_cells_are_compared_with_the_baseline():
    values = {f"level{i}": ([2.0 + i, 2.1 + i, 1.95 + i], [1.0, 2.0, 3.0]) for i in range(8)}
    nll = Answers.of(grid_of(values)).findings[0]
    assert {pair.b.levels[0] for pair in nll.pairs} == {"level0"}
    assert len(nll.pairs) == 7


def test_the_baseline_is_the_one_that_is_named_unless_it_did_not_finish():
    grid = grid_of()
    cells = cells_of(grid)
    assert baseline(grid.meta, cells).levels == ("linear",)
    named = grid_of()
    object.__setattr__(named.meta, "baseline", {"schedule": "learned"})
    assert baseline(named.meta, cells).levels == ("learned",)
    lost = grid_of({"linear": ([np.nan] * 3, [np.nan] * 3), "cosine": ([2.0, 2.1, 2.2], [1.0, 2.0, 3.0])})
    assert baseline(lost.meta, cells_of(lost)) is None


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
    grid = grid_of(images=rows)
    cells = {cell.levels[0]: cell for cell in cells_of(grid)}
    found = family(grid, grid.meta.metrics[0], [cells["linear"], cells["cosine"]]).pairs[0].comparison
    # What makes an image hard for both drops out; what makes it harder for one stays.
    expected = np.std(effect, ddof=1) / np.sqrt(n_images)
    assert found.image_error == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert found.difference == pytest.approx(0.10)


def test_sampling_noise_is_kept_apart_from_seed_noise():
    seeds, sampling = Answers.of(grid_of(sets=3.0)).findings[1].noise()
    # The middle one of 4.082, 2.872 and 4.573.
    assert seeds == pytest.approx(4.082, abs=5e-4)
    assert sampling == pytest.approx(3.0 / np.sqrt(2))
    assert np.isnan(Answers.of(grid_of()).findings[0].noise()[1])


@pytest.mark.parametrize("reason", ["no space left", "no space left\nTraceback …\nOSError", "\n no space left \n"])
def test_a_reason_is_told_by_its_first_line(reason):
    runs = pd.DataFrame({"status": ["failed"], "reason": [reason]})
    assert shortfall([CellRuns((), (), runs, "")]) == "failed in 1 of 1 seeds (no space left)"


def test_a_seed_alone_silences_nobody():
    """One seed with the best value has no verdict, and the others keep theirs."""
    values = {
        "linear": ([3.0, 3.1, 2.9], [1.0, 2.0, 3.0]),
        "cosine": ([2.0, 2.11, 1.9], [1.0, 2.0, 3.0]),
        "alone": ([1.0, np.nan, np.nan], [1.0, np.nan, np.nan]),
    }
    nll = Answers.of(grid_of(values)).findings[0]
    assert (nll.best, nll.leading, nll.untested) == (1, {1}, [2])
    assert headline(nll) == (
        "NLL: cosine is the best of 2, 2.00 ± 0.26 bits/dim; of fewer than two seeds, and so not compared: alone. "
        "1 of 3 cells has a worse mean than a histogram per pixel (2.43 bits/dim), which needs no network."
    )


def test_what_is_equal_for_practical_purposes_is_said_to_be():
    """A difference of 0.001 bits/dim, known to 0.002, where 0.01 matters."""
    values = {
        "linear": ([2.000, 2.101, 2.202, 2.298], [20.0, 30.0, 25.0, 25.0]),
        "cosine": ([2.001, 2.100, 2.201, 2.300], [21.0, 27.0, 26.0, 27.0]),
    }
    nll = Answers.of(grid_of(values)).findings[0]
    (pair,) = nll.pairs
    difference = np.subtract(*(numbers[0] for numbers in values.values()))
    low = stats.ttest_1samp(difference, -0.01, alternative="greater").pvalue
    high = stats.ttest_1samp(difference, 0.01, alternative="less").pvalue
    assert pair.decision.equal == pytest.approx(max(low, high) / 0.25, rel=1e-9)
    assert (pair.verdict, nll.best, nll.as_good, nll.open) == ("equal", 0, [1], [])
    assert "are equal for practical purposes: they differ by 0.000 ± " in comparison_sentence(pair)
    assert headline(nll).endswith("equal to it for practical purposes (worse by no more than 0.01 bits/dim): cosine.")


def test_a_grid_says_what_matters_to_it():
    values = {"linear": ([2.0, 2.1, 2.2], [20.0, 30.0, 25.0]), "cosine": ([2.03, 2.131, 2.229], [20.1, 30.0, 25.1])}
    assert [found.pairs[0].verdict for found in Answers.of(grid_of(values)).findings] == ["better", "equal"]
    other = Answers.of(grid_of(values, relevant={"nll": 0.2, "fid": 0.002})).findings
    assert [found.pairs[0].verdict for found in other] == ["equal", "cannot tell"]
    assert "less than 0.2 bits/dim does not matter" in comparison_sentence(other[0].pairs[0])


def test_values_of_zero_have_no_logarithm():
    values = {"linear": ([2.0, 2.1], [0.0, 1.0]), "cosine": ([2.0, 2.2], [1.0, 3.0])}
    fid = Answers.of(grid_of(values)).findings[1]
    assert (fid.metric.scale, fid.metric.relevant) == ("linear", None)
    assert fid.pairs[0].comparison.difference == -1.5


def test_where_no_difference_is_said_to_matter_only_the_very_same_is_as_good():
    same = ([2.0, 2.1, 2.2], [0.0, 1.0, 1.1])
    values = {"linear": same, "cosine": same, "worse": ([4.0, 4.1, 4.2], [3.0, 4.0, 4.1])}
    fid = Answers.of(grid_of(values)).findings[1]
    assert "equal to it for practical purposes (the same at every seed): cosine" in headline(fid)


def test_declared_comparisons_get_most_of_the_error_rate():
    """Two primaries share 80 %, the five others 20 %; of either a quarter is for equality."""
    rng = np.random.default_rng(0)
    values = {f"level{i}": (list(2 + rng.normal(0, 0.1, 4)), [1.0, 2.0, 3.0, 4.0]) for i in range(8)}
    declared = [{"compare": {"schedule": f"level{i}"}} for i in (3, 5)]
    known = {name: {"schedule": name} for name in values}
    grid = grid_of(values, primary=declared, baseline={"schedule": "level0"}, cells=known)
    found = Answers.of(grid).findings[0].pairs
    first = [(pair.a.levels[0], pair.primary) for pair in found[:3]]
    assert first == [("level3", True), ("level5", True), ("level1", False)]
    assert len(found) == 7
    least = min(found[:2], key=lambda pair: pair.decision.different)
    spread = np.array([pair.comparison.spread for pair in found[:2]])
    weight = 0.125 + 0.75 * least.comparison.spread**2 / (spread**2).sum()
    assert least.decision.different == pytest.approx(min(least.comparison.p / weight / 0.8 / 0.75, 1), rel=1e-9)


def random_grid(rng):
    """Cells whose means, noise, and missing seeds are drawn."""
    k, n = int(rng.integers(2, 10)), int(rng.integers(2, 7))
    means, sds = rng.choice([0.0, 0.05, 1.0]) * rng.normal(size=k), 10 ** rng.uniform(-3, 0, k)
    nll = 3 + means[:, None] + rng.normal(0, 0.1, n) + sds[:, None] * rng.normal(size=(k, n))
    fid = 10 * np.exp(means[:, None] + sds[:, None] * rng.normal(size=(k, n)))
    lost = rng.random((k, n)) < rng.choice([0.0, 0.2])
    nll[lost], fid[lost] = np.nan, np.nan
    return grid_of({f"level{i}": (list(nll[i]), list(fid[i])) for i in range(k)})


@pytest.mark.parametrize("seed", range(60))
def test_nothing_on_a_page_contradicts_another_part_of_it(seed):
    """Bold, list, verdict box: one rule."""
    for found in Answers.of(random_grid(np.random.default_rng(seed))).findings:
        names = [cell.levels for cell in found.cells]
        for pair in found.pairs:
            a, b = names.index(pair.a.levels), names.index(pair.b.levels)
            if pair.verdict == "better":
                assert b not in found.leading
            if pair.verdict == "worse":
                assert a not in found.leading
            assert pair.verdict in ("better", "worse", "equal", "cannot tell")
        if found.leading:
            assert found.best in found.leading
            assert {*found.open} == found.leading - {found.best, *found.as_good}
            equal = [
                pair for pair in found.pairs if pair.verdict == "equal" and found.cells[found.best] in (pair.a, pair.b)
            ]
            assert {names.index(cell.levels) for pair in equal for cell in (pair.a, pair.b)} <= {
                found.best,
                *found.as_good,
            }
            assert found.cells[found.best].name in headline(found)
            assert ("is the best of" in headline(found)) == (len(found.leading) == 1)
        assert not set(found.untested) & found.leading


# Looks at 3 and 5 seeds: cosine is surely better, learned goes on to 5.
LOOKED = {
    "linear": ([2.50, 2.54, 2.46, 2.50, 2.52], [20.0, 30.0, 25.0, 25.0, 26.0]),
    "cosine": ([2.3000, 2.3401, 2.2599, np.nan, np.nan], [10.0, 15.01, 12.49, np.nan, np.nan]),
    "learned": ([2.49, 2.55, 2.44, 2.51, 2.50], [21.0, 29.0, 26.0, 24.0, 27.0]),
}


def looked(values=None, **changes):
    """A grid whose seeds were added while one looked."""
    values = LOOKED if values is None else values
    known = {name: {"schedule": name} for name in values}
    stopped = {name: sum(one == one for one in nll) for name, (nll, _) in values.items()}
    auto = {"looks": [3, 5], "stopped": stopped}
    grid = grid_of(values, baseline={"schedule": next(iter(values))}, cells=known, auto=auto, **changes)
    short = [stopped[name] > seed for name, seed in zip(grid.runs["axis.schedule"], grid.runs["seed"], strict=True)]
    return dataclasses.replace(grid, runs=grid.runs[short])


def test_looks_decide_where_seeds_were_added():
    """α w_1/m = 0.05 · (9/25)/2 at 3 seeds, with 0.8 of it for differences once one is claimed."""
    nll, fid = Answers.of(looked()).findings
    (cosine, learned) = nll.pairs
    difference = np.subtract(LOOKED["cosine"][0][:3], LOOKED["linear"][0][:3])
    assert stats.ttest_1samp(difference, 0).pvalue < 0.05 * 9 / 25 / 2
    assert (cosine.verdict, cosine.sequential.different, cosine.comparison.n) == ("better", 3, 3)
    low, high = stats.ttest_1samp(difference, 0).confidence_interval(1 - 0.05 * 9 / 25 / 2)
    assert cosine.comparison.half_width == pytest.approx((high - low) / 2, rel=1e-6)
    assert comparison_sentence(cosine).endswith("(decided at 3 seeds).")
    assert (learned.verdict, learned.comparison.n, learned.fresh_seeds) == ("cannot tell", 5, None)
    assert comparison_sentence(learned).endswith(" (given up at 3 seeds).")
    assert nll.leading == {1}
    assert headline(nll).startswith("NLL: cosine is the best of 3")
    assert fid.pairs[0].verdict == "better"


FIRST = {name: ([*nll[:3], np.nan, np.nan], [*fid[:3], np.nan, np.nan]) for name, (nll, fid) in LOOKED.items()}


@pytest.mark.parametrize(
    ("values", "learned", "said"),
    [
        (LOOKED, [], "1 of 2 comparisons undecided: 1 given up, as further seeds would hardly have decided."),
        (
            LOOKED,
            [2.47, 2.54, 2.41, 2.49, 2.49],
            "1 of 2 comparisons undecided: 1 open after the last planned look (5 seeds).",
        ),
        (LOOKED, [2.47, 2.53, 2.41, 2.49, 2.49], "every comparison of the list is decided."),
        (FIRST, [2.46, 2.54, 2.40], "1 of 2 comparisons undecided: 1 to be looked at again with 5 seeds."),
    ],
)
def test_what_becomes_of_undecided_comparisons_is_said_by_their_looks(values, learned, said):
    nan = [np.nan] * (5 - len(learned))
    given = values | ({"learned": ([*learned, *nan], values["learned"][1])} if learned else {})
    assert one_more_seed(Answers.of(looked(given)))[1][1] == f"NLL: {said}"


def test_a_difference_that_rounds_to_nothing_has_no_side():
    values = {"linear": ([2.50, 2.60, 2.40], [1.0, 2.0, 3.0]), "cosine": ([2.49, 2.64, 2.37], [1.0, 2.0, 3.0])}
    (pair,) = Answers.of(grid_of(values)).findings[0].pairs
    assert "at this budget: the former looks about the same: 0.00 ± " in comparison_sentence(pair)


def test_what_looks_decide_is_said_alike_everywhere():
    answers = Answers.of(looked())
    for found in answers.findings:
        for pair in found.pairs:
            worse = pair.b if pair.verdict == "better" else pair.a
            if pair.verdict in ("better", "worse"):
                assert found.cells.index(worse) not in found.leading
    assert seeds_taken(answers.meta) == "3 to 5 paired seeds"
    assert "looks at 3 and 5 were planned" in looked_words(answers.meta)


def test_a_declared_comparison_that_leaves_the_verdict_in_doubt_is_explained_below_the_table():
    """d is shown to be worse than b, with which it is not compared, and not than a, with which it is."""
    nll = {"a": [1.930, 1.993, 1.963], "b": [1.978, 1.984, 1.991]}
    nll |= {"c": [2.262, 2.281, 2.246], "d": [2.341, 2.280, 2.311]}
    declared = [{"compare": {"schedule": name}, "to": {"schedule": "a"}} for name in "bcd"]
    answers = Answers.of(looked({name: (of, [1.0, 2.0, 3.0]) for name, of in nll.items()}, primary=declared))
    (found, _) = answers.findings
    assert (found.best, found.leading, found.standing.beaten[3]) == (0, {0, 1}, {1})
    said = table_of(answers).verdict
    (out,) = [sentence for sentence in said if "and yet" in sentence]
    assert out.startswith("NLL: d is not known to differ from a by their comparison alone, and yet is not among the")
    assert out.endswith("and by them b is better than it.")
