"""The share of drawing in the noise of a difference, by hand and against variances that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import read
from analysis.remarks import best_sets, drawing, of_table
from tests.analysis.folders import FID, make_folder


def made(path, differences, *, noise=0.0, **costs):
    """A grid of two cells whose log FID differ so, a row per seed and a column per set; the first is noise alone."""
    first = noise * np.random.default_rng(1).standard_normal(differences.shape)
    logs = {"p": first, "q": first - differences}
    values = {cell: [{FID: math.exp(of.mean())} | costs for of in own] for cell, own in logs.items()}
    points = [
        (cell, seed, f"sets/{FID}", k + 1, math.exp(value))
        for cell, own in logs.items()
        for seed, of in enumerate(own)
        for k, value in enumerate(of)
    ]
    return read(make_folder(path, values, metrics=[FID], curves=points))


def found(analysis):
    (metric,) = analysis.deciding
    return drawing(analysis, metric)


def test_the_share_of_drawing_by_hand(tmp_path):
    # Means of 2 and 6 vary by 8 over seeds; sets by 2 within each, and so their mean by 1.
    costs = {"cost/sample_seconds": 2.0, "cost/train_seconds": 14.0}
    analysis = made(tmp_path, np.array([[1.0, 3.0], [5.0, 7.0]]), noise=1.0, **costs)
    noise = found(analysis)
    assert noise[:3] == (pytest.approx(1 / 8), 2, 1)
    # σ_set²/σ_seed² = 2/7, and all else takes the time of 14 sets.
    assert noise[3] == round(math.sqrt(2 / 7 * 14)) == 2
    assert any("drawing the samples makes 12 % (median of 1 comparison" in text for text in of_table(analysis))


def test_the_share_of_drawing_of_known_variances(tmp_path):
    random = np.random.default_rng(0)
    d = 0.3 * random.standard_normal((4000, 1)) + 0.2 * random.standard_normal((4000, 4))
    assert found(made(tmp_path, d))[0] == pytest.approx(0.01 / (0.09 + 0.01), rel=0.1)


def test_one_set_or_one_seed_tells_no_share(tmp_path):
    assert found(made(tmp_path / "set", np.array([[1.0], [2.0]]))) is None
    assert found(made(tmp_path / "seed", np.array([[1.0, 2.0]]))) is None


def test_most_sets_are_best_where_drawing_is_all_the_noise():
    assert (best_sets(1.0, 2, 5.0), best_sets(0.0, 2, 5.0)) == (16, 1)


def test_sets_that_cells_share_take_their_time_once(tmp_path):
    costs = {"cost/sample_seconds": 2.0, "cost/train_seconds": 14.0, "training_id": "shared"}
    noise = found(made(tmp_path, np.array([[1.0, 3.0], [5.0, 7.0]]), **costs))
    assert noise[3] == round(math.sqrt(2 / 7 * 14)) == 2
