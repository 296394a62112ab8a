"""Costs of cells, and the check for a hidden change of the weight of t."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis import read
from analysis.costs import weight_notes, work_seconds
from tests.analysis.folders import NLL, make_folder

T = np.arange(1, 11)


def costs(path, of, **meta):
    """The costs of two cells whose runs state these."""
    values = {"p": [{NLL: 2.5} | of] * 2, "q": [{NLL: 2.4}] * 2}
    return read(make_folder(path, values, **meta)).costs


def test_operations_are_as_stated_or_the_parts_or_three_forward_passes(tmp_path):
    amounts = {"training.steps": 100, "training.batch": 8, "cost/flops_per_image": 5.0}
    parts = {"cost/train_flops": 9e11, "cost/autoencoder_flops": 4e11}
    cases = [(amounts, 3 * 5 * 800), (amounts | parts, 1.3e12), (parts | {"cost/total_flops": 7e11}, 7e11)]
    for i, (stated, flops) in enumerate(cases):
        found = costs(tmp_path / str(i), stated)["flops"]
        assert (found["p"], math.isnan(found["q"])) == (flops, True)


def test_seconds_are_those_of_all_trainings_and_of_one_sample(tmp_path):
    stated = {"cost/train_seconds": 90.0, "cost/autoencoder_seconds": 12.0, "cost/guide_seconds": 7.0}
    found = costs(tmp_path / "g", stated | {"cost/sample_seconds": 900.0}, quality_n=450, quality_sets=2)
    assert found.loc["p", ["train_seconds", "sample_seconds"]].tolist() == [109.0, 1.0]
    assert found.loc["q"].isna().all()


def test_the_work_of_a_grid_counts_a_stage_that_cells_share_once():
    """Two cells of a seed on one autoencoder and one guide; two others that share their training."""
    columns = ("seed", "training_id", "autoencoder_id", "cost/train_seconds", "cost/autoencoder_seconds")
    rows = [(0, "a", "z", 10.0, 5.0), (0, "b", "z", 20.0, 5.0), (1, "c", "", 10.0, np.nan), (1, "c", "", 10.0, np.nan)]
    runs = pd.DataFrame(rows, columns=columns).assign(**{"cost/sample_seconds": [1.0, 1.0, 2.0, 3.0]})
    assert work_seconds(runs) == (10 + 20 + 10) + 5 + (1 + 1 + 2 + 3)


def notes(path, other, choice):
    """The footnotes of a grid of two cells that differ in a choice, with the weight t and another."""
    points = [(cell, -1, "expected_weight", t, of[t - 1]) for cell, of in (("p", T), ("q", other)) for t in T]
    values = {"p": [2.5, 2.4], "q": [2.5, 2.4]}
    folder = make_folder(path, values, curves=points, change=lambda row: row | {choice: row["cell_id"]})
    return weight_notes(read(folder))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (5.0 * T, None),
        (T * np.where(T == 4, 1.005, 1.0), None),
        (T * np.where(T == 4, 37.0, 1.0), "(by up to ×10, at t = 4): see figures/weights."),
        (np.where(T == 4, 0.0, T), "(some have none at t = 4, where others have some): see figures/weights."),
    ],
)
def test_an_axis_that_changes_the_weight_of_t_without_saying_so_has_a_note(tmp_path, other, said):
    """A constant factor counts for nothing. ×37 at t = 4 makes the mean 19.9 of 5.5: ×10.2 relative to it."""
    found = notes(tmp_path / "g", other, "network")
    assert list(found) == ([] if said is None else ["a"])
    assert all(note.endswith(said) for note in found.values())
    assert notes(tmp_path / "h", other, "objective") == {}, "it is declared"
