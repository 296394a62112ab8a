import json

import numpy as np
import pandas as pd
import pytest

from analysis.curves import read_curves
from analysis.errors import InputError
from analysis.read.runs import read_folder
from analysis.schema import CURVES, CURVES_FILE, METADATA
from tests.analysis.conftest import (
    DIVERGED,
    FID,
    IS,
    MEANS,
    NLL,
    SEEDS,
    build,
    cell_id,
    meta,
    rows,
    write_curves,
    write_rows,
)


def test_runs_frame(shared_folder):
    runs = read_folder(shared_folder).runs
    parameters = ["data", "horizon", "objective", "objective.space", "parameterization"]
    parameters += ["training.batch", "training.steps", "variance"]
    metrics = ["cost/parameters", FID, IS, NLL, "nll/test_se"]
    assert list(runs.columns) == [*METADATA, "axis.parameterization", "axis.loss", *parameters, *metrics]
    assert runs.shape[0] == 33
    assert runs["seed"].dtype == "int64"
    assert all(runs[name].dtype == "float64" for name in metrics)
    assert runs["reason"].iloc[0] == ""
    assert set(runs["notes"]) == set(runs["autoencoder_id"]) == set(runs["not_comparable"]) == {""}
    assert list(runs["seed"][:3]) == list(SEEDS)
    diverged = runs[runs["cell_id"] == cell_id(DIVERGED)]
    assert diverged[metrics].isna().all().all()
    assert set(diverged["status"]) == {"diverged"}


def test_rows_come_in_the_order_of_the_axes_whatever_the_file_says(tmp_path):
    shuffled = [rows()[i] for i in np.random.default_rng(0).permutation(33)]
    runs = read_folder(build(tmp_path / "g", shuffled)).runs
    assert list(runs["cell_id"]) == [row["cell_id"] for row in rows()]
    pd.testing.assert_frame_equal(runs, read_folder(build(tmp_path / "h")).runs)


def test_results_are_a_line_in_a_terminal_and_a_table_in_a_notebook(shared_folder):
    results = read_folder(shared_folder)
    assert repr(results).startswith(f"<results of {results.meta.name}: 11 cells, runs 29 finished, 4 diverged; axes: ")
    assert "\n" not in repr(results)
    html = results._repr_html_()
    assert html.startswith(f"<p>results of {results.meta.name}: 11 cells")
    assert "<th>axis.parameterization</th>" in html
    assert FID in html


def test_numbers_are_read_back_exactly(tmp_path):
    value = 2.3456789012345678e-7
    table = [row | ({NLL: repr(value)} if NLL in row else {}) for row in rows()]
    assert read_folder(build(tmp_path / "g", table)).runs[NLL].iloc[0] == value


def test_curves_frame(shared_folder):
    curves = read_folder(shared_folder).curves
    assert tuple(curves.columns) == CURVES
    assert [str(dtype) for dtype in curves.dtypes[["seed", "x", "y"]]] == ["int64", "float64", "float64"]
    mine = curves[(curves["cell_id"] == "mu-simple") & (curves["seed"] == 1) & (curves["curve"] == "alpha_bar")]
    assert list(mine["x"]) == list(range(1, 101))
    assert float(mine["y"].iloc[0]) == 1 - 1e-3
    assert (mine["y"].diff().dropna() < 0).all()


def test_meta(shared_folder):
    found = read_folder(shared_folder).meta
    assert [axis.label for axis in found.axes] == ["Target", "Objective"]
    assert found.axes[0].label_of("x0") == "x₀"
    assert found.axes[0].label_of("v") == "v"
    assert (found.metrics[0].head, found.metrics[2].head) == ("NLL (bits/dim) ↓", "IS ↑")
    assert found.floors[FID].value == 5.12
    assert found.seeds == (0, 1, 2)


def test_a_missing_folder_names_its_neighbours(tmp_path):
    build(tmp_path / "parameterization")
    with pytest.raises(InputError, match=r"called 'parametrization': there are parameterization; did you mean"):
        read_folder(tmp_path / "parametrization")
    with pytest.raises(InputError, match=r"there are none"):
        read_folder(tmp_path / "deep" / "down")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"grid.json is not the description of a grid: the file: Invalid JSON"),
        ("[]", r"grid.json is not the description of a grid: the file: .*; delete it and run the grid again"),
        (json.dumps({key: value for key, value in meta().items() if key != "axes"}), r"a grid: axes: "),
        (json.dumps(meta(metrics=[{"name": "x", "label": "x", "direction": "up"}])), r"metrics.0.direction: .*'min'"),
    ],
)
def test_a_corrupt_grid_json(folder, content, message):
    (folder / "grid.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_folder(folder)


def refused(folder, table, message):
    write_rows(folder, table)
    with pytest.raises(InputError, match=message):
        read_folder(folder)


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("seed", "one", r"the column 'seed' holds 'one' where a whole number is due"),
        (NLL, "2,5", r"runs.csv: the column 'nll/test' holds '2,5' where a number is due"),
        ("axis.loss", "odd", r"runs.csv holds loss=odd, which grid.json does not list: expected"),
        ("training.steps", "abc", r"'training.steps' holds 'abc' where a whole number above 0 is due"),
        ("training.batch", "0", r"'training.batch' holds '0' where a whole number above 0 is due"),
        ("status", "done", r"holds the status 'done': expected one of finished, diverged, incompatible, pruned"),
    ],
)
def test_a_field_that_cannot_be_is_refused(folder, column, text, message):
    first, *rest = rows()
    refused(folder, [first | {column: text}, *rest], message)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("reason", r"lacks the column\(s\) reason: expected"),
        ("axis.loss", r"lacks the column 'axis.loss' of the axis"),
    ],
)
def test_a_column_that_is_missing_is_named(folder, column, message):
    refused(folder, [{name: text for name, text in row.items() if name != column} for row in rows()], message)


def test_two_rows_of_one_place_are_refused(folder):
    said = r"holds parameterization=mu, loss=vlb_learned at seed 0 more than once \(cell_id mu-vlb_learned, other\)"
    refused(folder, [*rows(), rows()[0] | {"cell_id": "other"}], said)


@pytest.mark.parametrize("content", [b"", b'a,b\n"1,2\n', b"a\n1,2,3\n1,2\n", b"\xff\xfe\x00a"])
def test_runs_that_are_no_csv(folder, content):
    (folder / "runs.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"runs.csv (is not a CSV file|lacks the column)"):
        read_folder(folder)


def test_missing_files(folder):
    (folder / "runs.csv").unlink()
    with pytest.raises(InputError, match=r"runs.csv is missing: run the grid again"):
        read_folder(folder)


def test_a_folder_of_an_earlier_version_is_refused_with_the_command_that_makes_it_anew(folder):
    (folder / CURVES_FILE).unlink()
    with pytest.raises(InputError, match=rf"lacks {CURVES_FILE}: run `python -m ablations.run grid=parameterization`"):
        read_folder(folder)
    (folder / "curves.csv").touch()
    said = rf"is of an earlier version, with curves.csv for {CURVES_FILE}: run `.*` again, which repeats no finished"
    with pytest.raises(InputError, match=said):
        read_folder(folder)


def test_what_a_formula_gives_is_a_curve_of_each_seed_of_its_cell(folder):
    points = [("a", None, "log_snr", 1, 2.0), ("a", 0, "train/network", 9, 0.5), ("a", 3, "train/network", 9, 0.25)]
    write_curves(folder, [*points, ("b", 1, "log_snr", 1, 7.0)])
    found = read_curves(folder)
    assert list(found[found["curve"] == "log_snr"].itertuples(index=False, name=None)) == [
        ("b", 1, "log_snr", 1.0, 7.0),
        ("a", 0, "log_snr", 1.0, 2.0),
        ("a", 3, "log_snr", 1.0, 2.0),
    ]


def test_notes_are_read_where_there_are_any(tmp_path):
    table = [row | ({"notes": "one\ntwo"} if i == 0 else {}) for i, row in enumerate(rows())]
    runs = read_folder(build(tmp_path / "g", table)).runs
    assert list(runs["notes"]) == ["one\ntwo", *[""] * 32]


def test_values_that_are_not_comparable_are_left_out(tmp_path):
    more = {"nll/val": 2.0, "nll_ode/test": 2.1, "autoencoder_id": "0123456789ab"}
    says = {0: {"not_comparable": "nll"}, 1: {"not_comparable": "nll_ode, nll"}}
    runs = read_folder(build(tmp_path / "g", [row | more | says.get(i, {}) for i, row in enumerate(rows())])).runs
    assert list(runs["not_comparable"][:3]) == ["nll", "nll_ode, nll", ""]
    assert set(runs["autoencoder_id"]) == {"0123456789ab"}
    for name in (NLL, "nll/val", "nll/test_se"):
        assert runs[name][:3].isna().tolist() == [True, True, False], name
    assert runs["nll_ode/test"][:3].isna().tolist() == [False, True, False]
    assert runs[FID][:3].notna().all()
    runs = read_folder(build(tmp_path / "none", [row | {"not_comparable": "nll"} for row in rows()])).runs
    assert (NLL in runs, FID in runs) == (False, True)


@pytest.mark.parametrize(
    ("name", "said"), [("runs.csv", "is cut off in its last line"), (CURVES_FILE, r"cannot be read \(.*\)")]
)
def test_a_file_that_is_cut_off_is_refused(folder, name, said):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=rf"{name} {said}: run the grid again"):
        _ = read_folder(folder).curves


def test_rows_that_grid_json_lists_and_the_file_lacks_are_missed(tmp_path):
    listed = {cell_id(levels): {} for levels in MEANS}
    whole = read_folder(build(tmp_path / "whole", cells=listed))
    assert len(whole.runs) == 33
    cut = build(tmp_path / "cut", rows()[:-2], cells=listed)
    with pytest.raises(InputError, match=r"lacks 2 of the rows that grid.json lists \(cell_id x0-weighted at seed 1"):
        read_folder(cut)
