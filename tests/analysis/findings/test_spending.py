"""What the next minute is best spent on, on hand-made numbers."""

import math

import numpy as np
import pytest

from ablations.settings.evaluation import MOST_SETS
from analysis.findings.answers import Answers
from analysis.findings.spending import MANY, spending
from analysis.report.answers import noise
from analysis.report.page import Text
from tests.analysis.findings.test_verdicts import grid_of

FIDS = {"a": ([2.0] * 4, [10.0, 11.0, 10.5, 10.2]), "b": ([2.1] * 4, [12.0, 12.1, 12.8, 12.0])}


def priced(set_sd=0.2, seed=30.0, samples=4.0, **changes):
    """Two cells whose seeds take so long, samples apart, at two sets."""
    grid = grid_of(FIDS, sets=set_sd, **changes)
    grid.runs["cost/train_seconds"], grid.runs["cost/bound_seconds"] = seed - 5, 5.0
    grid.runs["cost/sample_seconds"] = samples
    return grid


def test_sets_by_hand():
    found = spending(Answers.of(priced()).findings[1])
    total = np.var(np.log(FIDS["a"][1]) - np.log(FIDS["b"][1]), ddof=1)
    one_set = sum(np.mean((0.2 / np.array(fids)) ** 2) for _, fids in FIDS.values())
    seeds = total - one_set / 2
    assert (found.sets, found.share) == (2, pytest.approx(one_set / 2 / total))
    assert (found.seed_seconds, found.set_seconds) == (30.0, 2.0)
    assert found.best == pytest.approx(math.sqrt(one_set * 30 / (seeds * 2)))
    assert found.enough == pytest.approx(10 * one_set / seeds)


def test_the_best_number_of_sets_is_where_a_second_buys_most():
    found = spending(Answers.of(priced()).findings[1])
    ratio = found.enough / 10

    def variance(k):
        """Of a difference at 1 h: (1 + b/(ak))/n, with n = 3600/(T + kS) seeds."""
        return (1 + ratio / k) * (found.seed_seconds + k * found.set_seconds) / 3600

    assert variance(found.best) < min(variance(0.9 * found.best), variance(1.1 * found.best))


def test_seeds_that_differ_by_drawing_alone():
    grid = priced(set_sd=5.0)
    found = spending(Answers.of(grid).findings[1])
    assert (found.share, found.best) == (1.0, math.inf)
    told = [block.text for block in noise(Answers.of(grid)).blocks if isinstance(block, Text)]
    costs = "(a seed of a cell takes 30 s, a generated set 2 s)"
    assert any(
        f"If it causes all of it, more generated sets are worth more than more seeds {costs}." in line for line in told
    )


def test_what_the_next_minute_is_best_spent_on_in_words():
    answers = Answers.of(priced())
    found = spending(answers.findings[1])
    (line,) = [
        block.text for block in noise(answers).blocks if isinstance(block, Text) and block.text.startswith("FID")
    ]
    assert line.endswith(
        "Here each seed is judged by 2 generated sets. Drawing samples causes at most "
        f"{100 * found.share:.0f} % of the variance that the difference of two cells has between seeds. In a given "
        f"time, differences are known best with about {round(found.best)} sets a seed (a seed of a cell takes 30 s, a "
        f"generated set 2 s); with "
        f"{math.ceil(found.enough)} or more, drawing adds less than a tenth to the variance between seeds."
    )


def test_a_number_of_sets_that_nobody_draws_is_not_named():
    answers = Answers.of(priced(set_sd=0.5))
    assert spending(answers.findings[1]).enough > MANY == MOST_SETS
    (line,) = [
        block.text for block in noise(answers).blocks if isinstance(block, Text) and block.text.startswith("FID")
    ]
    assert line.endswith("; even with 16, drawing adds more than a tenth to the variance between seeds.")


def test_where_noise_or_cost_is_not_known_nothing_is_said():
    assert spending(Answers.of(priced()).findings[0]) is None, "a likelihood draws no samples"
    assert spending(Answers.of(grid_of(FIDS, sets=0.2)).findings[1]) is None
    assert spending(Answers.of(priced(set_sd=None)).findings[1]) is None
    grid = priced()
    grid.runs.loc[grid.runs["cell_id"] == "a", "evaluation.sets"] = "3"
    assert spending(Answers.of(grid).findings[1]) is None, "no number of sets that all have"
