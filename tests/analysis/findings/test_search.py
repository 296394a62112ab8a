"""A search's optimism against numbers worked out by hand, and what is said of it."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from analysis.findings.search import best_trials, default_trial, front_of_trials, near_an_end, optimism
from analysis.read.runs import read_folder
from analysis.read.search import SearchedParameter, read_search
from analysis.words.search import optimism_sentence, search_sentences, value_text
from tests.analysis.searches import (
    FID_OBJECTIVE,
    FID_VAL,
    NLL_OBJECTIVE,
    PAPERS,
    confirmation,
    few,
    joint,
    one_objective,
    two_objectives,
)

FLOAT = SearchedParameter("x", "x", "float", (), 0.0, 1.0)
INT = SearchedParameter("x", "x", "int", (), 0.0, 1e9)


def confirmed(folder, fresh):
    """The search and its confirmation, in which the winner has these values."""
    folder = confirmation(folder, {"default": (2.40, 2.42, 2.41), "found": fresh})
    few(folder, 2.40, 2.31, winner_of=1)
    return read_search(folder), read_folder(folder)


def test_optimism_is_the_fresh_mean_less_the_searchs_value(tmp_path):
    fresh = (2.32, 2.36, 2.31)
    (found,) = optimism(*confirmed(tmp_path / "s", fresh))
    # t of two degrees of freedom × s/√3
    half = stats.t.ppf(0.975, 2) * np.std(fresh, ddof=1) / math.sqrt(3)
    assert found.searched == 2.31
    assert found.fresh.mean == pytest.approx(2.33)
    assert found.fresh.half_width == pytest.approx(half) == pytest.approx(0.065724, abs=1e-6)
    assert found.gap == pytest.approx(0.02)
    # One seed of the search against three fresh ones: s √(1 + 1/3).
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 2) * np.std(fresh, ddof=1) * math.sqrt(4 / 3))
    assert found.test.mean == pytest.approx(2.38)
    assert found.test.half_width == pytest.approx(half)
    assert sorted(found.fresh.values) == [1, 2, 3]


@pytest.mark.parametrize(
    ("fresh", "said"),
    [
        (
            (2.32, 2.36, 2.31),
            "looks optimistic by 0.02 ± 0.13, which so few seeds cannot tell from 0; on test data 2.38",
        ),
        ((2.41, 2.42, 2.40), "2.41 ± 0.02 bits/dim on validation, 2.31 in the search: the search's best value was opt"),
        ((2.29, 2.30, 2.28), "not optimistic here (fresh seeds are better by 0.02 ± 0.05)"),
        ((2.33, 2.33, 2.33), "was optimistic by 0.020 ± <0.001"),
    ],
)
def test_the_sentence_of_an_optimism(tmp_path, fresh, said):
    search, grid = confirmed(tmp_path / "s", fresh)
    assert said in search_sentences(search, optimism(search, grid))[-1]


def test_a_seed_that_the_search_has_used_is_not_fresh(tmp_path):
    _, grid = confirmed(tmp_path / "s", (2.32, 2.36, 2.31))
    few(tmp_path / "s", 2.40, 2.31, winner_of=1, seeds=[2, 3])
    (found,) = optimism(read_search(tmp_path / "s"), grid)
    assert found.fresh.values == {1: 2.32}
    assert "(one seed: no interval)" in optimism_sentence(found)
    search = read_search(few(tmp_path / "s", 2.40, 2.31, winner_of=1, seeds=[1, 2, 3]))
    assert optimism(search, grid) == []
    assert search_sentences(search, [])[-1].startswith("The confirmation has no validation value")


def test_optimism_of_what_did_not_finish_is_left_out(tmp_path):
    search, grid = confirmed(tmp_path / "s", (2.32, 2.36, 2.31))
    grid.runs.loc[(grid.runs["axis.choice"] == "found") & (grid.runs["seed"] == 2), "status"] = "diverged"
    (found,) = optimism(search, grid)
    assert found.fresh.mean == pytest.approx((2.32 + 2.31) / 2)


def test_the_confirmation_of_two_objectives(tmp_path):
    levels = (("best_nll", "best NLL"), ("best_fid", "best FID"), ("between", "between"))
    values = {name: (20.0, 21.0, 22.0) for name, _ in (("default", ""), *levels)}
    folder = two_objectives(confirmation(tmp_path / "s", values, levels, FID_VAL))
    search, grid = read_search(folder), read_folder(folder)
    found = optimism(search, grid)
    assert [(one.winner.level, one.objective.name) for one in found] == [(name, FID_VAL) for name, _ in levels]
    assert all(one.test is None for one in found)
    assert [one.gap for one in found] == pytest.approx([21 - w.values[FID_VAL] for w in search.head.winners])
    assert "the search's value was optimistic by" in optimism_sentence(found[1])


def test_what_is_said_of_a_search(tmp_path):
    told = search_sentences(read_search(one_objective(tmp_path / "s")))
    trials = "40 trials (35 finished, 4 pruned, 1 failed)"
    assert told[0] == f"Searched β_1 and β_T for NLL in {trials} by TPE, on validation data at seed 0."
    assert told[1].startswith("Failed, 1 of 1: ")
    assert told[2] == "Pruning (median) saved 9 % of the training steps."
    assert told[3] == (
        "Share of the variation among 35 finished trials that goes with each parameter (fANOVA; the range over "
        "resamplings of the trials, nine of ten): in NLL β_1 30 to 80 %, β_T 20 to 70 %. It is no ablation: trials "
        "were drawn where the search looked, in the ranges that it was given."
    )
    assert told[4].startswith("Found by search: β_1 = 0.000182, β_T = 0.0306: NLL 2.30 bits/dim on validation, the se")
    assert told[5] == "The default, β_1 = 0.0001, β_T = 0.02: NLL 2.33 bits/dim as trial 0 of the same search."
    assert told[6].startswith("Not confirmed at fresh seeds yet")


def test_importances_are_of_each_objective_and_say_what_they_leave_out(tmp_path):
    (two,) = [line for line in search_sentences(read_search(two_objectives(tmp_path / "two"))) if "fANOVA" in line]
    assert "among 45 finished trials" in two
    assert (
        "in NLL power of SNR 40 to 60 %, learning rate 30 to 50 %, channels 5 to 20 %; in FID power of SNR 50 to" in two
    )
    assert "no ablation" in two
    assert "left out" not in two
    (some,) = [line for line in search_sentences(read_search(joint(tmp_path / "joint"))) if "fANOVA" in line]
    assert "among 60 finished trials" in some
    assert some.endswith("Parameters that not all trials have are left out.")
    bare = read_search(one_objective(tmp_path / "bare"))
    bare = dataclasses.replace(bare, head=dataclasses.replace(bare.head, importance_ranges={}))
    assert not [line for line in search_sentences(bare) if "fANOVA" in line], "a share without its range"
    two_trials = read_search(few(tmp_path / "few", 2.40, 2.31, winner_of=1))
    assert not [line for line in search_sentences(two_trials) if "fANOVA" in line]


LOG = SearchedParameter("x", "x", "float", (), 1e-4, 1e-2, True)
STEPS = SearchedParameter("x", "x", "float", (), 0.0, 1.0, False, 0.5)


@pytest.mark.parametrize(
    ("parameter", "value", "end"),
    [
        (FLOAT, "0.04", "low"),
        (FLOAT, "0.06", ""),
        (FLOAT, "0.96", "high"),
        (LOG, "0.00012", "low"),
        (LOG, "0.00013", ""),
        (LOG, "0.0079", ""),
        (LOG, "0.0081", "high"),
        (STEPS, "0.0", ""),
        (FLOAT, "", ""),
        (dataclasses.replace(FLOAT, low=1.0), "1.0", ""),
        (SearchedParameter("x", "x", "choice", ("a", "b")), "a", ""),
    ],
)
def test_the_ends_of_a_range_are_its_last_twentieths(parameter, value, end):
    assert near_an_end(parameter, value) == end


def test_a_winner_at_the_end_of_a_range_is_said(tmp_path):
    search = read_search(one_objective(tmp_path / "s"))
    first, second = search.head.parameters
    near = dataclasses.replace(search.head, parameters=(first, dataclasses.replace(second, high=0.031)))
    said = "Its β_T lies at the upper end of the range 0.005 to 0.031: a wider range may hold a better value"
    assert any(line.startswith(said) for line in search_sentences(dataclasses.replace(search, head=near)))


def test_a_default_that_no_trial_beat_needs_no_confirmation(tmp_path):
    told = search_sentences(read_search(few(tmp_path / "s", 2.30, 2.31, winner_of=0)))
    assert told[1].startswith("The default: β_1 = 0.0001, β_T = 0.02: NLL 2.30 bits/dim on validation")
    assert told[2] == "No trial has beaten the default: there is nothing to confirm."
    assert len(told) == 3


def test_a_search_that_goes_on_does_not_speak_as_if_it_were_over(tmp_path):
    search = read_search(few(tmp_path / "s", 2.30, 2.31, winner_of=0))
    told = search_sentences(dataclasses.replace(search, head=dataclasses.replace(search.head, limit=3)))
    assert told[1].endswith("the search's own best value so far.")
    assert told[2] == "No trial has beaten the default so far."
    search = dataclasses.replace(search, head=dataclasses.replace(search.head, limit=2))
    assert "there is nothing to confirm" in search_sentences(search)[2]


@pytest.mark.parametrize(
    ("sampler", "startup", "by"),
    [
        ("tpe", 2, "random search (TPE begins after 2)"),
        ("tpe", 1, "TPE"),
        ("random", 2, "random search"),
        ("grid", 2, "a grid"),
    ],
)
def test_a_sampler_that_has_not_begun_to_learn_is_random_search(sampler, startup, by, tmp_path):
    search = read_search(few(tmp_path / "s", 2.30, 2.31, winner_of=0))
    head = dataclasses.replace(search.head, sampler=sampler, startup=startup)
    told = search_sentences(dataclasses.replace(search, head=head))
    assert told[0].endswith(f"(2 finished) by {by}, on validation data at seed 0.")


def test_a_default_that_was_no_trial_or_did_not_complete(tmp_path):
    search = read_search(few(tmp_path / "s", "pruned", 2.3, winner_of=1))
    assert default_trial(search) == 0
    said = "The default, β_1 = 0.0001, β_T = 0.02: trial 0 of this search, pruned."
    assert said in search_sentences(search)
    far = PAPERS | {"schedule.beta_T": "0.5"}
    search = dataclasses.replace(search, head=dataclasses.replace(search.head, default=far))
    assert default_trial(search) is None
    assert "The default, β_1 = 0.0001, β_T = 0.5, was no trial of this search." in search_sentences(search)


def test_nothing_complete_is_said(tmp_path):
    told = search_sentences(read_search(few(tmp_path / "s", "failed")))
    assert told[1:] == ["Failed, 1 of 1: boom", "No trial has finished, so nothing was found."]
    assert "1 trial (1 failed)" in told[0]


def test_the_default_of_a_conditional_space(tmp_path):
    search = read_search(joint(tmp_path / "s"))
    assert default_trial(search) == 0
    assert "schedule = linear, β_1 = 0.0001, β_T = 0.02, batch = 128" in " ".join(search_sentences(search))


def test_the_best_trials(tmp_path):
    search = read_search(few(tmp_path / "s", 2.40, 2.31, 2.35, 2.31, 2.5, 2.36))
    assert best_trials(search, 5)["trial"].tolist() == [1, 3, 2, 5, 0]
    assert front_of_trials(search)["trial"].tolist() == [1, 3]


def test_of_two_objectives_without_a_complete_trial_there_is_no_front(tmp_path):
    search = read_search(few(tmp_path / "s", "failed", objectives=(NLL_OBJECTIVE, FID_OBJECTIVE)))
    assert front_of_trials(search).empty
    assert best_trials(search, 5).empty
    assert search_sentences(search)[-1] == "No trial has finished, so nothing was found."


def test_the_front_of_two_objectives(tmp_path):
    points = [(2.0, 30.0), (2.1, 20.0), (2.2, 25.0), (2.3, 10.0), (2.0, 31.0)]
    search = read_search(few(tmp_path / "s", *points, objectives=(NLL_OBJECTIVE, FID_OBJECTIVE)))
    assert front_of_trials(search)["trial"].tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        (FLOAT, 0.00021234, "0.000212"),
        (FLOAT, "0.02", "0.02"),
        (FLOAT, 2.1234e-5, "2.12·10⁻⁵"),
        (FLOAT, 1e-5, "10⁻⁵"),
        (FLOAT, -0.7456, "−0.746"),
        (FLOAT, 12345.6, "12346"),
        (FLOAT, math.nan, "–"),
        (FLOAT, 0.0, "0"),
        (INT, 4000.0, "4000"),
        (INT, "", "–"),
        (SearchedParameter("x", "x", "choice", ("1e-3",)), "1e-3", "1e-3"),
    ],
)
def test_values_have_three_digits(parameter, value, text):
    assert value_text(parameter, value) == text
