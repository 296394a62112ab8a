"""The benchmark of inference: what it takes for many grids at once is what the rules say of each."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.families import beaten_by, judge
from evidence import inference, inference_errors, inference_pages, inference_power, inference_scales
from evidence import inference_rules as rules
from evidence.inference_tables import Table


def drawn(images: int) -> np.ndarray:
    """Grids [60, 7, 4 (, images)] some of whose cells differ by more and more."""
    rng = np.random.default_rng(images)
    values = rng.normal(size=(60, 7, 4)) * np.exp(0.5 * rng.normal(size=(60, 7, 1)))
    values[:, 1:4] += np.array([3.0, 8.0, 40.0])[:, None]
    if images == 1:
        return values
    return values[..., None] + 2 * rng.normal(size=(60, 7, 1, images)) + rng.normal(size=(60, 7, 4, images))


@pytest.mark.parametrize("images", [1, 12])
@pytest.mark.parametrize("margin", [float("nan"), 4.0, 8.0])
def test_many_grids_at_once_are_judged_as_each_by_itself(images, margin):
    differences = rules.against_first(drawn(images))
    different, same = rules.claimed(rules.moments_of(differences), margin)
    told = [[one.verdict(1) for one in judge(list(grid), margins=margin)] for grid in differences]
    assert (np.isin(told, ["better", "worse"]) == different).all()
    assert ((np.array(told) == "equal") == same).all()
    assert different.any()
    assert not different.all()
    assert same.any() == (margin == margin)


@pytest.mark.parametrize("images", [1, 12])
def test_many_grids_at_once_lose_the_cells_that_each_loses(images):
    values = drawn(images)
    kept = np.array([[not rivals for rivals in beaten_by(grid, 1)] for grid in values])
    gone = np.stack([rules.excluded(values, cell) for cell in range(values.shape[1])], axis=1)
    assert (kept == ~gone).all()
    assert gone.any()


def test_what_a_page_says_is_what_each_of_its_grids_says():
    values = np.concatenate([drawn(1)[:30], np.random.default_rng(2).normal(size=(30, 7, 4))])
    listed, unmarked = inference_pages.false_claims(values)
    for grid, differs, out in zip(values, listed, unmarked, strict=True):
        verdicts = [one.verdict(1) for one in judge(list(grid[1:] - grid[0]))]
        worse = {i + 1 if word == "worse" else 0 for i, word in enumerate(verdicts) if word in ("better", "worse")}
        assert differs == bool(worse)
        assert out == bool(worse or any(beaten_by(grid, 1)))
    assert listed.any()
    assert not listed.all()


@pytest.mark.parametrize("noise", [*inference_scales.NOISES, *inference_scales.IMAGED], ids=lambda noise: noise.name)
def test_cells_of_other_scales_have_their_level_as_the_mean_there(noise, monkeypatch):
    """By a great many seeds: an interval holds the true difference, and misses one of the other scale."""
    monkeypatch.setattr(inference_scales, "IMAGES", 4)
    level = inference_scales.levels(3, 10.0, least_first=True)
    linear, log = inference_scales.drawn(noise, level, 2000, 20)
    assert level.tolist() == [1, 1, 10]
    assert linear.missed.mean() < 0.2
    assert log.missed.mean() < 0.2
    assert np.median(linear.span) == pytest.approx(10, rel=0.3)


def test_grids_are_compared_on_the_scale_of_their_span():
    as_is = inference_scales.Wrong(np.array([1, 1, 0, 0]) > 0, np.zeros(4) > 0, np.full(4, 0.5), np.array([2, 4, 6, 8]))
    in_logs = inference_scales.Wrong(np.zeros(4) > 0, np.ones(4) > 0, np.zeros(4), np.array([2, 4, 6, 8]))
    assert inference_scales.at_limit(as_is, in_logs, 5.0) == (50, 50, 75)
    assert inference_scales.at_limit(as_is, in_logs, 0.0) == (0, 100, 100)
    assert inference_scales.at_limit(as_is, in_logs, np.inf) == (50, 0, 50)


def test_the_page_holds_every_table_and_marks_what_misses_its_target(tmp_path, monkeypatch, capsys):
    small = {"SEEDS": (2, 3), "CELLS": (3,), "IMAGES": 5, "PAGES": (3,), "NUMBERS": (3,)}
    small |= {"SPANS": (100.0,), "SIZES": [(3, 3)], "WITH_IMAGES": [(3, 3)]}
    for name, value in small.items():
        for room in (inference_errors, inference_pages, inference_power, inference_scales):
            monkeypatch.setattr(room, name, value, raising=False)
    assert inference.main(["replicates=2", f"out={tmp_path}/t.md"]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "t.md").read_text() == shown
    assert shown.count("\n|---") == 17
    table = Table({"a": [5.0, 5.6], "b": [9.0, float("nan")]}, 5.5, free=("b",))
    assert table.lines(["", "x", "y"])[2:] == ["| a | 5.0 | **5.6** ✗ |", "| b | 9.0 |  |", ""]
