"""Orders that have settled, that turn, and that come together, made by hand; the tests are scipy's."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from scipy import stats

from analysis.exports import answers_file
from analysis.figures.budget import budget_figure
from analysis.figures.drawing import ink, looks
from analysis.findings.answers import Answers
from analysis.findings.best import best
from analysis.findings.budget import BRANCHED, FALLING
from analysis.findings.comparisons import Rung
from analysis.report.budget import (
    BRANCHES,
    LEFT_OUT,
    TOO_SHORT,
    UNFINISHED,
    UNKNOWN,
    budget,
    budget_sentence,
    course_line,
)
from analysis.report.page import Items
from analysis.report.verdict import verdict
from analysis.words.claims import why
from analysis.words.verdicts import headline
from diffusion_core.rates import RATES, share_of_peak
from tests.analysis.conftest import FID, NLL
from tests.analysis.findings.test_verdicts import grid_of

NOISE = np.array([-0.01, 0.0, 0.01, 0.004, -0.004])
SEEDS = range(len(NOISE))
WAYS = {
    # Levels of NLL at an eighth (of 400 steps), a quarter, a half and all of the steps; twice would go on so.
    "steady": (3.0, 2.8, 2.6, 2.4),
    "late": (3.6, 3.3, 2.9, 2.48),
    "early": (2.7, 2.65, 2.62, 2.6),
    "parallel": (3.5, 3.3, 3.1, 2.9),
}


def of_seeds(level, k):
    """Values by seed; the noise of each cell and rung is another rotation."""
    return (level + 0.3 * np.roll(NOISE, k)).tolist()


def grid(ways=WAYS, rungs=(50, 100, 200), steps=400, fid=None, **changes):
    """Cells whose NLL goes these ways, with its likelihood on validation as on test."""
    ends = {
        name: (of_seeds(way[-1], i), (fid or {}).get(name, [20.0] * 5)) for i, (name, way) in enumerate(ways.items())
    }
    made = grid_of(ends, rungs=3, **changes)
    runs = made.runs.assign(**{"nll/val": made.runs[NLL], "training.steps": str(steps)})
    lines = [
        (name, seed, "rung/nll/val", float(x), value)
        for i, (name, way) in enumerate(ways.items())
        for k, (x, level) in enumerate(zip(rungs, way[:-1], strict=True))
        for seed, value in enumerate(of_seeds(level, i + k + 1))
    ]
    curves = pd.DataFrame(lines, columns=["cell_id", "seed", "curve", "x", "y"])
    return dataclasses.replace(made, runs=runs, load_curves=lambda: curves)


def found(**given):
    return Answers.of(grid(**given)).findings[0]


def courses_of(nll):
    """(a, b) → the course of their comparison."""
    return {(one.pair.a.name, one.pair.b.name): one for one in nll.budget.courses}


def test_rungs_are_in_order_and_the_end_is_the_last():
    nll = found()
    assert [rung.steps for rung in nll.budget.rungs] == [(50, 50), (100, 100), (200, 200), (400, 400)]
    assert [rung.halvings for rung in nll.budget.rungs] == [3.0, 2.0, 1.0, 0.0]
    for k, rung in enumerate(nll.budget.rungs):
        means = [np.mean(of_seeds(way[k], 0)) for way in WAYS.values()]
        np.testing.assert_allclose([rung.mean(i) for i in range(4)], means, rtol=1e-12)
    names = [nll.cells[rung.best(-1)].name for rung in nll.budget.rungs]
    assert names == ["early", "early", "steady", "steady"]


def test_steps_that_differ_between_trainings_are_told_from_the_fewest_to_the_most():
    assert [Rung(1.0, steps, (), frozenset()).label for steps in ((50, 50), (50, 80))] == ["50", "50 to 80"]


def test_what_twice_the_steps_would_leave_is_a_paired_interval_of_the_extrapolation():
    nll = found()
    index = {name: i for i, name in enumerate(WAYS)}
    for one in nll.budget.courses:
        a, b = one.pair.a.name, one.pair.b.name
        end = np.subtract(of_seeds(WAYS[a][3], index[a]), of_seeds(WAYS[b][3], index[b]))
        half = np.subtract(of_seeds(WAYS[a][2], index[a] + 3), of_seeds(WAYS[b][2], index[b] + 3))
        ahead = 2 * end - half
        low, high = stats.ttest_1samp(ahead, 0).confidence_interval(0.95)
        assert one.ahead.difference == pytest.approx(ahead.mean(), rel=1e-9)
        assert one.ahead.half_width == pytest.approx((high - low) / 2, rel=1e-9)
        assert one.settled == (one.told_apart and low * high > 0 and np.sign(low) == np.sign(end.mean()))


def test_a_rival_that_comes_near_takes_best_back():
    """late is behind by 0.08 after 0.3 at the half: as much again, and it is ahead."""
    nll = found()
    assert nll.cells[nll.best].name == "steady"
    assert nll.leading == {nll.best}
    assert [nll.cells[i].name for i in nll.rivals] == ["late"]
    sentence = headline(nll)
    assert "is the best of" not in sentence
    assert "; with twice the training steps, late may be better if gaps go on closing at the same rate. " in sentence
    (told,) = [block for block in verdict(Answers.of(grid())).blocks if block.choice == "steady"]
    assert told.take == "For likelihood, at this budget, take"
    assert told.rest == "; 1 that is ruled out now may overtake it."


def test_without_it_the_best_is_the_best():
    nll = found(ways={name: way for name, way in WAYS.items() if name != "late"})
    assert nll.rivals == []
    assert headline(nll).startswith("NLL: steady is the best of 3, 2.40")


def test_which_verdicts_have_settled_and_which_were_the_other_way_before():
    courses = courses_of(found())
    assert courses["steady", "parallel"].settled
    assert courses["steady", "early"].settled
    assert not courses["steady", "late"].settled
    assert courses["steady", "early"].turned
    assert courses["late", "early"].verdicts == ("worse", "worse", "worse")
    assert courses["late", "early"].pair.verdict == "better"
    assert not courses["steady", "parallel"].turned
    assert "worse than late" not in course_line(courses["steady", "late"])
    assert course_line(courses["steady", "late"]).startswith("steady, better than late by 0.08")
    assert course_line(courses["steady", "late"]).endswith("bits/dim: at 200 steps better by 0.30 bits/dim.")


def test_the_sentence_counts_and_names():
    nll = found()
    text = budget_sentence(nll, nll.budget)
    assert text.startswith("NLL: 5 of the 6 differences that it shows would hold; steady may be overtaken by late; ")
    assert "the best mean was that of early from 50 steps on and that of steady from 200 steps on" in text
    assert "the contrary of the end was shown earlier of steady against early" in text


@pytest.mark.parametrize(
    ("better", "than", "fate", "said"),
    [
        ("late", "steady", "too early to say", "at 200 steps by 0.30 bits/dim, so it still moves"),
        ("early", "steady", "contrary to the paper", ""),
        ("steady", "early", "as published", ""),
        ("early", "late", "too early to say", "even the better end is worse than a histogram per pixel (2.43"),
    ],
)
def test_a_claim_is_not_contrary_while_it_comes_nearer_or_where_nothing_was_learnt(better, than, fate, said):
    claim = {"claim": "it is better", "source": "A paper", "metric": "nll"}
    claim |= {"better": {"schedule": better}, "than": {"schedule": than}}
    (outcome,) = Answers.of(grid(expects=[claim])).claims
    assert outcome.fate == fate
    assert said in why(outcome)
    assert (why(outcome).count(";") == 1) == bool(said)


def test_rungs_that_are_no_powers_of_two_are_taken_as_they_are():
    """The last at 160 of 400 steps is log₂ 2.5 halvings before the end."""
    nll = found(ways={name: way[:1] + way[3:] for name, way in WAYS.items()}, rungs=(160,))
    (first, _) = nll.budget.rungs
    assert first.halvings == pytest.approx(math.log2(2.5), rel=1e-12)
    one = nll.budget.courses[0]
    end = np.subtract(of_seeds(2.4, 0), of_seeds(2.48, 1)).mean()
    before = np.subtract(of_seeds(3.0, 1), of_seeds(3.6, 2)).mean()
    assert one.ahead.difference == pytest.approx(end + (end - before) / math.log2(2.5), rel=1e-9)


def test_what_a_declared_comparison_shows_at_a_rung_counts_there_too():
    """Behind by 3.1 standard errors: enough for one comparison that is declared, not for one of all pairs of four."""
    noise = np.subtract(of_seeds(0, 1), of_seeds(0, 2))
    near = 3.1 * noise.std(ddof=1) / math.sqrt(5)
    ways = {"a": (3.0, 2.4), "b": (3.0 + near, 2.9), "c": (3.0 + 1.5 * near, 3.5), "d": (3.0 + 2 * near, 4.0)}
    nll = {"name": NLL, "label": "NLL", "direction": "min", "relevant": None}
    declared = {
        "metrics": [nll],
        "primary": [{"compare": {"schedule": "b"}}],
        "cells": {name: {"schedule": name} for name in ways},
    }
    rungs = [
        found(ways=ways, rungs=(200,), baseline={"schedule": "a"}, **given).budget.rungs[0]
        for given in (declared, declared | {"primary": [{"compare": {"schedule": "d"}}]})
    ]
    assert [rung.leading for rung in rungs] == [{0}, {0, 1}]


def test_a_seed_without_its_rung_is_left_out_and_one_seed_says_nothing():
    made = grid()
    curves = made.load_curves()
    short = dataclasses.replace(made, load_curves=lambda: curves[(curves["cell_id"] != "late") | (curves["seed"] < 1)])
    nll = Answers.of(short).findings[0]
    course = courses_of(nll)["steady", "late"]
    assert (course.ahead, course.settled) == (None, False)
    titles = [block.title for block in budget(Answers.of(short), []).blocks if isinstance(block, Items)]
    assert titles[1:] == ["NLL: not known, since fewer than two of their seeds were scored on the way (3)"]
    assert nll.rivals == []


def test_a_metric_that_only_the_end_has_is_said_to_be_unknown():
    """All cells have a FID at the end, and an NLL on the way too."""
    section = budget(Answers.of(grid()), [])
    (holds,) = [block for block in section.blocks if isinstance(block, Items) and "twice" in block.title]
    assert holds.items[-1] == "FID: not known, since it was not measured before the end at all seeds."
    assert section.gist.endswith("; FID: not known")


@pytest.mark.parametrize(
    ("other", "scored", "said"),
    [
        ("parallel", 5, "the difference that it shows would hold"),
        ("late", 5, "the difference that it shows may not hold; steady may be overtaken by late"),
        ("late", 1, "not known of the differences that it shows"),
    ],
)
def test_one_difference_is_spoken_of_as_one(other, scored, said):
    made = grid(ways={"steady": WAYS["steady"], other: WAYS[other]})
    curves = made.load_curves()
    few = dataclasses.replace(
        made, load_curves=lambda: curves[(curves["cell_id"] != other) | (curves["seed"] < scored)]
    )
    nll = Answers.of(few).findings[0]
    assert budget_sentence(nll, nll.budget).removesuffix(".").split("; of those")[0] == f"NLL: {said}"


def test_a_metric_that_was_not_scored_on_the_way_says_nothing():
    nll, fid = Answers.of(grid()).findings
    assert nll.budget is not None
    assert fid.budget is None
    assert [block.text for block in budget(Answers.of(grid_of()), ()).blocks] == [UNKNOWN]


def test_trainings_too_short_for_a_rung_are_said_to_be():
    made = grid()
    without = made.load_curves()[:0]
    short = dataclasses.replace(made, meta=dataclasses.replace(made.meta, rungs=1), load_curves=lambda: without)
    assert [block.text for block in budget(Answers.of(short), ()).blocks] == [TOO_SHORT]


def test_a_cut_grid_says_what_the_whole_one_does():
    whole = Answers.of(grid(baseline={"schedule": "parallel"}))
    cut = best(whole, 2)
    names = [cell.name for cell in cut.cells]
    assert names == ["steady", "late", "parallel"]
    nll = cut.findings[0]
    assert [nll.cells[i].name for i in nll.rivals] == ["late"]
    assert [rung.mean(1) for rung in nll.budget.rungs] == [rung.mean(1) for rung in whole.findings[0].budget.rungs]
    assert set(courses_of(nll)) == {("steady", "late"), ("steady", "parallel"), ("late", "parallel")}


def test_it_is_in_answers_json():
    told = answers_file(Answers.of(grid()))
    rungs = [one for one in told.rungs if one.metric == NLL]
    assert [one.steps for one in rungs] == [(50, 50), (100, 100), (200, 200), (400, 400)]
    assert [one.best for one in rungs] == [2, 2, 0, 0]
    course = next(one for one in told.courses if (one.a, one.b) == (0, 1))
    assert (course.settled, len(course.verdicts), course.verdicts[-1]) == (False, 4, "better")
    assert [one.rivals for one in told.headlines if one.metric == NLL] == [(1,)]
    assert not [one for one in told.rungs if one.metric == FID]


def test_of_a_rate_that_falls_it_is_said_that_a_rung_is_no_finished_training():
    """And nothing is read off the rungs. EDM2's rate is at each step what it is in a longer training."""
    none = ("linear", "", "cosine", "linear")
    for rates, said in ((none, True), (("", "constant"), False), (("", "inverse_sqrt"), False), (("wsd",), False)):
        made = grid()
        made = dataclasses.replace(made, runs=made.runs.assign(**{"training.rate": np.resize(rates, len(made.runs))}))
        answers = Answers.of(made)
        texts = [getattr(block, "text", "") for block in budget(answers, ()).blocks]
        assert (texts == [UNFINISHED]) == said
        assert (answers.findings[0].budget is None) == said
        assert (BRANCHES in texts) == (rates == ("wsd",))


def test_cells_whose_rate_has_not_fallen_at_a_rung_are_left_out_and_the_others_stand_as_they_do_alone():
    made = grid(baseline={"schedule": "parallel"})
    rates = ["wsd", "wsd", "linear", "wsd"]
    by_cell = dict(zip(WAYS, rates, strict=True))
    runs = made.runs.assign(**{"training.rate": [by_cell[cell] for cell in made.runs["cell_id"]]})
    answers = Answers.of(dataclasses.replace(made, runs=runs))
    nll = answers.findings[0]
    early = list(WAYS).index("early")
    assert all(not rung.values[early] and early not in rung.leading for rung in nll.budget.rungs)
    assert not [pair for pair in courses_of(nll) if "early" in pair]
    without = Answers.of(best_without_early()).findings[0]
    assert {pair: course.change.before for pair, course in courses_of(nll).items()} == {
        pair: course.change.before for pair, course in courses_of(without).items()
    }
    texts = [getattr(block, "text", "") for block in budget(answers, ()).blocks]
    assert LEFT_OUT.format(names="early") in texts
    colors = {text.get_text(): text.get_color() for text in budget_figure(answers).findobj(Text)}
    assert "steady" in colors
    assert "early" not in colors
    assert colors["steady"] == ink(looks(answers.axes)["steady"].color)


def best_without_early():
    ways = {name: way for name, way in WAYS.items() if name != "early"}
    return grid(ways=ways, baseline={"schedule": "parallel"})


@pytest.mark.parametrize("rate", RATES)
def test_rates_that_fall_are_those_of_which_a_step_depends_on_how_many_there_are(rate):
    depends = share_of_peak(rate, 499, 500, 100) != share_of_peak(rate, 499, 1000, 100)
    assert (rate in (*FALLING, BRANCHED)) == depends
