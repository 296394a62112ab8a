"""Searches by metrics of which more is better: the optimizer, the winners, and a search on points from the command."""

from __future__ import annotations

import shutil

import pytest

from ablations.driver import pages
from ablations.metrics.precision_recall import PrecisionMetric
from ablations.metrics.registry import facts, objectives
from ablations.search import __main__ as search
from ablations.search.finalists import finalists
from ablations.search.study import make
from ablations.settings.arguments import parse_search
from analysis.findings.search import best_trials, front_of_trials, optimism
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from tests.ablations.conftest import TINY, said
from tests.ablations.search.test_optimizer import EVERY_SAMPLER, PRECISION, bowl, finish, installed, opened
from tests.made_once import made_once

COVERAGE = "coverage/val"
WORDS = [
    *(word for word in TINY if not word.startswith(("training.learning_rate", "evaluation.sets", "network."))),
    *("data=mixture2d", "network.width=16", "network.layers=2", "evaluation.sets=1"),
    *("training.learning_rate=interval(0.003,0.03)", "study.sampler=random", "trials=3", "confirm=2"),
    "launcher=serial",
]


@pytest.mark.thorough
@EVERY_SAMPLER
def test_going_up_is_going_down_on_the_negative(sampler, tmp_path):
    """Every sampler draws the same trials, and the best is the same."""
    ways = []
    for sign, objective in ((1, "nll/val"), (-1, PRECISION)):
        (tmp_path / objective[:3]).mkdir()
        word = f"study.sampler={installed(sampler)}"
        optimizer = opened(tmp_path / objective[:3], word, window=1, objectives=(objective,))
        for _ in range(7):
            finish(optimizer, of=lambda params, sign=sign: sign * bowl(params))
        ways.append(([trial.params for trial in optimizer.trials()], optimizer.front()))
    assert ways[0] == ways[1]
    params, (best,) = ways[1]
    assert bowl(params[best]) == min(map(bowl, params))


def test_the_front_of_less_and_more_and_who_is_between(tmp_path):
    optimizer = opened(tmp_path, window=1, objectives=("nll/val", PRECISION))
    points = [(1.0, 0.1), (2.0, 0.8), (3.0, 0.9), (3.0, 0.5), (2.5, 0.8), (1.1, 0.2)]
    for values in points:
        finish(optimizer, *values)
    beaten = [any(a <= c and b >= d and (a, b) != (c, d) for a, b in points) for c, d in points]
    assert optimizer.front() == [i for i, over in enumerate(beaten) if not over] == [0, 1, 2, 5]
    found = [(one.level, one.label, one.trial.number) for one in finalists(optimizer)]
    assert found == [("best_nll", "best NLL", 0), ("best_precision", "best precision", 2), ("between", "between", 1)]


def test_every_metric_with_a_direction_that_validation_data_can_give_may_be_searched_by():
    known = facts()
    expected = {name for name, fact in known.items() if fact.direction != "none" and fact.on_validation}
    assert set(objectives()) == expected
    assert {"nll", "fid", "precision", "recall", "density", "coverage", "is"} <= expected
    assert not {"memorisation", "psnr", "cost"} & expected


def test_the_help_says_of_what_more_is_better():
    lines = {line.split()[0]: line for line in search.help_text().splitlines() if line.startswith("  ")}
    assert lines["precision"].endswith("Precision; more is better")
    assert lines["nll"].endswith("NLL, bits/dim")


def test_a_metric_that_is_turned_makes_another_search(monkeypatch):
    """What was told of it would be read the wrong way."""
    study = make(parse_search(["study=schedule", "study.pruner=none", "study.objective=precision"]))
    before = study.identity("cell")
    monkeypatch.setattr(PrecisionMetric, "direction", "min")
    assert study.identity("cell") != before


@pytest.fixture(scope="module")
def climbed(tmp_path_factory, store):
    """The learning rate by coverage, on points; and in the same folder by NLL and density."""

    def make(results):
        shutil.copy(store, results / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "write_pages", said)
            for name, objective in {"up": "coverage", "both": "nll,density"}.items():
                words = [*WORDS, f"study.objective={objective}", f"name={name}", f"results={results}"]
                assert search.main(words) == 0
        return results

    return made_once(tmp_path_factory, "climbed", make)


@pytest.mark.thorough
def test_the_largest_value_wins(climbed):
    here = read_search(climbed / "up")
    (objective,) = here.head.objectives
    assert (objective.name, objective.direction, objective.head) == (COVERAGE, "max", "Coverage ↑")
    assert here.finished[COVERAGE].nunique() > 1, "or nothing is shown"
    (won,) = here.head.winners
    assert won.values[COVERAGE] == pytest.approx(here.finished[COVERAGE].max())
    assert best_trials(here, 1)["trial"].tolist() == [won.trial]


@pytest.mark.thorough
def test_its_confirmation_shows_what_was_searched_by(climbed):
    """At fresh seeds, on test data, though tables show coverage only where it is asked for."""
    grid = read_folder(climbed / "up")
    shown = {metric.name: metric.direction for metric in grid.meta.metrics}
    assert shown["coverage/test"] == "max"
    (found,) = optimism(grid.search, grid)
    assert found.gap == pytest.approx(found.searched - found.fresh.mean)
    assert set(found.fresh.values) == {1, 2}


@pytest.mark.thorough
def test_two_objectives_of_two_directions_end_in_a_front(climbed):
    here = read_search(climbed / "both")
    assert [objective.direction for objective in here.head.objectives] == ["min", "max"]
    points = {
        trial: (nll, density)
        for trial, nll, density in here.finished[["trial", "nll/val", "density/val"]].itertuples(index=False)
    }
    all_of = points.values()
    free = {n for n, (a, b) in points.items() if not any(c <= a and d >= b and (c, d) != (a, b) for c, d in all_of)}
    assert set(front_of_trials(here)["trial"]) == free
    assert {winner.trial for winner in here.head.winners} <= free


@pytest.mark.thorough
def test_a_search_by_another_metric_trains_nothing_anew(climbed):
    up, both = (read_search(climbed / name).trials["cell_id"].tolist() for name in ("up", "both"))
    assert both == up
