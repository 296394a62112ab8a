"""Cells of hand-made grids: means, places, rows, and what is printed in bold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis import read
from tests.analysis.folders import NLL, make_folder

A, B, C = [2.50, 2.57, 2.43], [2.41, 2.46, 2.33], [2.49, 2.59, 2.45]


def cells(path, values, metric=NLL, **more):
    frame = read(make_folder(path, values, **more)).cells
    return frame[frame["metric"] == metric].set_index("cell_id")


def test_means_intervals_and_ranks(tmp_path):
    found = cells(tmp_path / "g", {"a": A, "b": B, "c": [2.6, None, None], "d": [None] * 3})
    assert found["n"].tolist() == [3, 3, 1, 0]
    assert found["mean"].tolist()[:3] == pytest.approx([2.5, 2.4, 2.6])
    assert found["rank"].tolist() == [1, 0, 2, -1]
    half = stats.t.isf(0.025, 2) * stats.sem(A)
    assert found.loc["a", ["half_width", "sd"]].tolist() == pytest.approx([half, np.std(A, ddof=1)])
    assert np.isnan(found.loc["c", ["half_width", "sd"]].astype(float)).all()
    assert found["place"].tolist() == ["worse", "best", "not tested", "not tested"]


def test_the_best_and_what_is_equal_to_it_are_bold(tmp_path):
    """The example of the documentation, and cells that share values or are shown to be as good."""
    found = cells(tmp_path / "g", {"a": A, "b": B, "c": C}, relevant={"nll": 0.01})
    assert found["place"].tolist() == ["worse", "best", "worse"]
    assert found["beaten_by"].tolist() == [("b",), (), ("b",)]
    near = [x + d for x, d in zip(B, (0.001, 0.002, 0.0015), strict=True)]
    values = {"a": A, "b": B, "twin": B, "near": near, "noisy": [2.3, 2.6, 2.5]}
    found = cells(tmp_path / "h", values, relevant={"nll": 0.02})
    assert found["place"].tolist() == ["worse", "best", "as good", "as good", "may be best"]
    assert found["bold"].tolist() == [False, True, True, True, False]


def test_without_seeds_or_a_better_direction_there_are_no_marks(tmp_path):
    found = cells(tmp_path / "one", {"a": [2.5], "b": [2.4]})
    assert (found["place"].tolist(), found["bold"].any()) == (["not tested", "best"], False)
    found = cells(tmp_path / "none", {"a": A, "b": B}, metrics={NLL: {"direction": "none"}})
    assert not found["bold"].any()


def test_a_cell_that_the_list_calls_worse_is_beaten(tmp_path):
    """Of six cells with noise, one pair is declared: its share finds what a test among all pairs does not."""
    noise = np.random.default_rng(0).normal(size=(7, 3))
    values = {name: (5 + 3 * noise[i]).tolist() for i, name in enumerate("abcde")}
    values |= {"p": [1.0, 1.1, 0.9], "q": [1.03, 1.129, 0.931]}
    found = cells(tmp_path / "g", values, primary=[{"compare": {"a": "q"}, "to": {"a": "p"}}])
    assert "p" in found.loc["q", "beaten_by"]


def test_each_row_has_its_own_places(tmp_path):
    values = {("beta", "5"): [4.0, 4.02, 4.01], ("tilde", "5"): [3.5, 3.53, 3.51]}
    values |= {("beta", "10"): [2.0, 2.02, 2.01], ("tilde", "10"): [2.5, 2.53, 2.51]}
    found = cells(tmp_path / "g", values, primary=[{"compare": {"a": "tilde"}, "at": {"b": ["5", "10"]}}])
    assert found["row"].tolist() == ["5", "5", "10", "10"]
    assert found["place"].to_dict() == {"beta-5": "worse", "beta-10": "best", "tilde-5": "best", "tilde-10": "worse"}
