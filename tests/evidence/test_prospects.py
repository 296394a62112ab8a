"""The simulation of the number of fresh seeds: the textbook's number is a textbook's, and the page has every kind."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from evidence import prospects
from evidence.prospects import Kind, alike, alone, followed, truth


@pytest.mark.parametrize("effect", [1.0, 2.5])
def test_the_number_alone_is_what_statsmodels_plans_at_an_even_share(effect):
    values = np.array([effect - 1, effect, effect + 1])
    planned = TTestPower().solve_power(effect_size=effect, alpha=0.05 / 2, power=0.8)
    assert alone(Kind("", cells=3), [values, values * 2]) == [math.ceil(planned)] * 2


@pytest.mark.parametrize("images", [0, 4])
def test_a_grid_that_is_what_the_old_one_looks_like_has_its_means_and_covariance(images):
    rng = np.random.default_rng(images)
    old = truth(Kind("", cells=4, images=images), rng)(3)
    fresh = alike(old, rng, 40_000)
    by_seed, now = (values.reshape(*values.shape[:2], -1).mean(-1) for values in (old, fresh))
    np.testing.assert_allclose(now.mean(1), by_seed.mean(1), atol=0.05)
    np.testing.assert_allclose(np.cov(now), np.cov(by_seed), atol=0.1)


def test_seeds_of_one_grid_share_what_is_true_of_it():
    drawn = truth(Kind("", cells=5, spread=3.0, images=20), np.random.default_rng(0))
    first, again = (drawn(4000).mean(1) for _ in range(2))
    np.testing.assert_allclose(first, again, atol=0.25)
    assert first.std() > 1


def test_numbers_that_are_followed_are_told_as_often_as_they_are_enough():
    """2 seeds tell little, and 60 nearly all."""
    kind = Kind("", cells=5, spread=2.0)
    few, many = (
        followed(kind, lambda kind, differences, n=n: [n] * len(differences), np.random.default_rng(1), 30)
        for n in (2, 60)
    )
    assert few.rates[:2] == (100.0, 2.0)
    assert few.rates[3] < 30 < 70 < many.rates[3]
    assert followed(kind, lambda kind, differences: [None] * 4, np.random.default_rng(1), 5).given == ()


def test_the_page_has_a_row_for_each_kind(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prospects, "KINDS", (Kind("three", cells=3), Kind("some", cells=3, primary=1, margin=0.5)))
    assert prospects.main(["replicates=1", f"out={tmp_path}/p.md"]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "p.md").read_text() == shown
    assert [line.split(" | ")[0] for line in shown.splitlines() if line.startswith("| ")][1:] == ["| three", "| some"]
