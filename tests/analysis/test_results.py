"""Results folders as frames: their order, what is left out of them, and the faults that are refused in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import read
from analysis.errors import InputError, NothingYet
from tests.analysis.folders import FID, NLL, make_folder

VALUES = {"a": [2.5, 2.6, 2.4], "b": [2.3, 2.5, None], "c": [None, None, None]}
ROUND = {"number": 1, "of": 2, "seeds": 2, "preliminary": True, "finished": 6, "trainings": 9}
CURVES = [("a", 0, "bound_per_t", 2, 0.5), ("a", 0, "bound_per_t", 1, 0.7), ("b", -1, "beta", 1, 0.1)]


def having(column, texts, other=""):
    """A change of rows: the text of a column by cell and seed, and else."""
    return lambda row: row | {column: texts.get((row["cell_id"], row["seed"]), other)}


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "made", VALUES, curves=CURVES)


def test_a_folder_is_read_as_frames(folder):
    found = read(folder)
    assert list(found.runs["status"]) == ["finished"] * 5 + ["diverged"] * 4
    assert found.runs[NLL].fillna(0).tolist() == [2.5, 2.6, 2.4, 2.3, 2.5, 0, 0, 0, 0]
    value = 2.3456789012345678e-7
    values = {("b", "x"): [1.0], ("a", "y"): [value], ("b", "y"): [2.0]}
    mixed = read(make_folder(folder / "mixed", values, of_the_future=1))
    assert mixed.cell_ids == ["b-x", "b-y", "a-y"], "in the order of the axes' levels"
    assert mixed.runs[NLL].tolist() == [1.0, 2.0, value]


def test_curves_come_by_cell_and_by_x_and_a_formula_is_of_each_seed(folder):
    found = read(folder)
    points = [["a", 0, 1], ["a", 0, 2], *(["b", seed, 1] for seed in range(3))]
    assert found.curves[["cell_id", "seed", "x"]].to_numpy().tolist() == points
    assert found.curve("bound_per_t")["a"][0].to_dict() == {1: 0.7, 2: 0.5}
    assert list(found.curve("beta")["b"].columns) == [0, 1, 2]


def test_values_that_are_not_comparable_are_dropped(tmp_path):
    says = {("a", 0): "nll", ("a", 1): "fid, nll"}
    both = {"a": [{NLL: 2.5, FID: 30.0}] * 3, "b": [{NLL: 2.4, FID: 20.0}] * 3}
    found = read(make_folder(tmp_path / "g", both, metrics=(NLL, FID), change=having("not_comparable", says)))
    assert found.runs[NLL].isna().tolist() == [True, True] + [False] * 4
    assert found.runs[FID].isna().tolist() == [False, True] + [False] * 4
    assert (found.comparable("a", NLL), found.comparable("b", NLL)) == (False, True)
    assert set(found.comparisons["n"]) == {1, 2}
    every = read(make_folder(tmp_path / "h", both, metrics=(NLL, FID), change=having("not_comparable", {}, "nll")))
    assert [metric.name for metric in every.metrics] == [FID]


def test_seeds_of_unlike_machines_are_not_paired(tmp_path):
    """Another processor rounds differently, which changes a training as much as another seed does."""
    apart = {("b", 1): "two", ("a", 2): "", ("b", 2): ""}
    values = {"a": [2.5, 2.6, 2.4], "b": [2.3, 9.9, 2.25]}
    found = read(make_folder(tmp_path / "g", values, change=having("machine", apart, "one")))
    assert found.comparisons["by_seed"].item() == pytest.approx([0.2, 0.15])
    assert found.cells["n"].tolist() == [3, 3]


def test_a_relative_metric_with_values_of_zero_or_less_is_compared_as_it_is(tmp_path):
    for low, scale, difference in ((20.0, "log", np.log(20 / 40)), (0.0, "linear", -40.0), (-1.0, "linear", -41.0)):
        values = {"a": [low] * 3, "b": [40.0] * 3}
        found = read(make_folder(tmp_path / str(low), values, metrics=(FID,), relevant={"fid": 0.05}))
        assert found.metric(FID).scale == scale
        assert found.comparisons.iloc[0].difference == pytest.approx(difference)
        assert np.isnan(found.comparisons.iloc[0].margin) == (scale == "linear")


# What is refused


def refused(folder, message):
    with pytest.raises(InputError) as error:
        _ = read(folder).curves
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def made_by(path, fields):
    """A folder whose rows say what made them, and the first of which has these fields."""
    other = {"numerics": "6", "data_digest": "aa", "data": "digits"}
    first = dict.fromkeys([("a", 0)], fields)
    return make_folder(path, VALUES, change=lambda row: row | other | first.get((row["cell_id"], row["seed"]), {}))


FIELDS = {
    "runs.csv cannot be read ('odd' is not in list)": {"axis.a": "odd"},
    "the column 'nll/test' holds a text where a number is due": {NLL: "2,5"},
    "more than one numerics (5, 6)": {"numerics": "5"},
    "more than one data_digest (aa, bb)": {"data_digest": "bb"},
}


@pytest.mark.parametrize("message", FIELDS)
def test_a_field_that_cannot_be_is_refused_in_one_line(tmp_path, message):
    refused(made_by(tmp_path, FIELDS[message]), message)


FAULTS = {
    "runs.csv cannot be read (it is cut off in its last line": ("runs.csv", lambda content: content[:-3]),
    "runs.csv cannot be read (Error tokenizing data": ("runs.csv", lambda content: b'a,b\n"1,2\n'),
    "runs.csv cannot be read (\"['axis.a'] not in index": ("runs.csv", lambda text: text.replace(b"axis.a", b"x", 1)),
    "curves.parquet cannot be read": ("curves.parquet", lambda content: content[:-9]),
    "grid.json is not the description of a grid: the file: Invalid JSON": ("grid.json", lambda content: content[:-9]),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_damaged_file_is_refused_in_one_line(folder, message):
    name, damaged = FAULTS[message]
    (folder / name).write_bytes(damaged((folder / name).read_bytes()))
    refused(folder, message)


def test_a_file_and_a_folder_that_are_missing_say_what_to_do(folder):
    (folder / "runs.csv").unlink()
    refused(folder, "No such file or directory: ")
    refused(folder.parent / "maed", "called 'maed': there are made; did you mean")


# Rounds


def under_way(path, **changes):
    return make_folder(path, VALUES, round=ROUND | changes, expects=[claim()])


def claim():
    return {"claim": "b is better", "source": "a paper", "metric": "nll", "better": {"a": "b"}, "than": {"a": "a"}}


def test_a_preliminary_round_shows_its_seeds_and_no_verdict(tmp_path):
    found = read(under_way(tmp_path / "g"))
    assert (found.meta.preliminary, found.meta.seeds, found.planned) == (True, (0, 1), 3)
    assert set(found.runs["seed"]) == {0, 1}
    row = found.comparisons.iloc[0]
    assert (row.verdict, row.n, row.difference) == ("open", 2, pytest.approx(0.15))
    assert np.isnan([row.p_adjusted, row.p_equal]).all()
    assert set(found.comparisons["kind"]) == {"comparison"}
    assert set(found.cells["place"]) == {"best", "not tested"}
    assert not found.cells["bold"].any()
    assert found.effects.empty


def test_the_last_round_is_as_if_there_had_been_none_and_before_the_first_there_is_nothing_to_show(tmp_path):
    whole = read(make_folder(tmp_path / "a", VALUES, expects=[claim()]))
    last = read(under_way(tmp_path / "b", number=2, seeds=3, preliminary=False))
    pd.testing.assert_frame_equal(last.comparisons, whole.comparisons)
    pd.testing.assert_frame_equal(last.cells, whole.cells)
    with pytest.raises(NothingYet, match=r"6 of 9 trainings finished; nothing to show yet"):
        read(under_way(tmp_path / "c", number=0, seeds=0))
