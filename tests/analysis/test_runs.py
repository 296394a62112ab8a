import json

import numpy as np
import pandas as pd
import pytest

from analysis.errors import InputError
from analysis.runs import FIXED, read_folder, read_store, tidy_runs
from analysis.tables import render
from tests.analysis.conftest import DIVERGED, FID, IS, NLL, SEEDS, build, cell_id, meta, rows, write_rows


@pytest.fixture(scope="session")
def store(tmp_path_factory, shared_folder):
    """A tracking store: the grid of `shared_folder`, runs of earlier requests, an experiment without summary."""
    import logging

    import mlflow
    from mlflow.entities import Metric, Param

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    root = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{root / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    client.create_experiment("empty", artifact_location=(root / "artifacts").as_uri())
    experiment = client.create_experiment("parameterization", artifact_location=(root / "artifacts").as_uri())
    curves = pd.read_csv(shared_folder / "curves.csv", dtype=str)
    table = rows()
    earlier = {**table[0], "cell_id": "of another request"}
    for row in [*reversed(table), {**table[0], "seed": 7}, earlier]:
        tags = {name: str(row[name]) for name in FIXED}
        run = client.create_run(experiment, tags={**tags, "kind": "cell"}).info.run_id
        rest = {key: value for key, value in row.items() if key not in FIXED and value != ""}
        params = [Param(key, value) for key, value in rest.items() if "/" not in key]
        params.append(Param("cell", "mu · simple"))
        metrics = [Metric("train/network", 0.3, 0, 50)]
        metrics += [Metric(key, value, 0, 0) for key, value in rest.items() if "/" in key]
        client.log_batch(run, metrics, params)
        mine = curves[(curves["cell_id"] == row["cell_id"]) & (curves["seed"] == str(row["seed"]))]
        client.log_text(run, mine[["curve", "x", "y"]].to_csv(index=False), "curves.csv")
    summary = client.create_run(experiment, tags={"kind": "summary"}).info.run_id
    listed = {row["cell_id"]: {} for row in table}
    client.log_text(summary, json.dumps(meta(cells=listed)), "grid.json")
    return uri


def test_runs_frame(shared_folder):
    runs = read_folder(shared_folder).runs
    parameters = ["data", "horizon", "objective", "objective.space", "parameterization"]
    parameters += ["training.batch", "training.steps", "variance"]
    metrics = ["cost/parameters", FID, IS, NLL, "nll/test_se"]
    assert list(runs.columns) == [*FIXED, "notes", "axis.parameterization", "axis.loss", *parameters, *metrics]
    assert runs.shape[0] == 33
    assert runs["seed"].dtype == "int64"
    assert all(runs[name].dtype == "float64" for name in metrics)
    assert runs["reason"].iloc[0] == ""
    assert set(runs["notes"]) == {""}
    assert list(runs["seed"][:3]) == list(SEEDS)
    diverged = runs[runs["cell_id"] == cell_id(DIVERGED)]
    assert diverged[metrics].isna().all().all()
    assert set(diverged["status"]) == {"diverged"}


def test_rows_come_in_the_order_of_the_axes_whatever_the_file_says(tmp_path):
    shuffled = [rows()[i] for i in np.random.default_rng(0).permutation(33)]
    runs = read_folder(build(tmp_path / "g", shuffled)).runs
    assert list(runs["cell_id"]) == [row["cell_id"] for row in rows()]
    pd.testing.assert_frame_equal(runs, read_folder(build(tmp_path / "h")).runs)


def test_numbers_are_read_back_exactly(tmp_path):
    value = 2.3456789012345678e-7
    table = [row | ({NLL: repr(value)} if NLL in row else {}) for row in rows()]
    assert read_folder(build(tmp_path / "g", table)).runs[NLL].iloc[0] == value


def test_curves_frame(shared_folder):
    curves = read_folder(shared_folder).curves
    assert list(curves.columns) == ["cell_id", "seed", "curve", "x", "y"]
    assert [str(dtype) for dtype in curves.dtypes[["seed", "x", "y"]]] == ["int64", "float64", "float64"]
    mine = curves[(curves["cell_id"] == "mu-simple") & (curves["seed"] == 1) & (curves["curve"] == "density")]
    assert list(mine["x"]) == list(range(1, 101))
    assert set(mine["y"]) == {0.01}


def test_meta(shared_folder):
    found = read_folder(shared_folder).meta
    assert [axis.label for axis in found.axes] == ["Predicts", "Objective"]
    assert found.axes[0].label_of("x0") == "x₀"
    assert found.axes[0].label_of("v") == "v"
    assert (found.metrics[0].head, found.metrics[2].head) == ("NLL (bits/dim) ↓", "IS ↑")
    assert found.floors[FID].value == 5.12
    assert found.seeds == (0, 1, 2)


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_folder_and_store_give_equal_frames(shared_folder, store):
    ours, theirs = read_folder(shared_folder), read_store(store, "parameterization")
    pd.testing.assert_frame_equal(ours.runs, theirs.runs)
    pd.testing.assert_frame_equal(ours.curves, theirs.curves)
    assert ours.meta.axes == theirs.meta.axes
    assert render(ours, "markdown") == render(theirs, "markdown")


def test_unknown_grid_in_a_store(store):
    with pytest.raises(InputError, match=r"called 'parametrization': there are .*did you mean 'parameterization'"):
        read_store(store, "parametrization")


def test_a_store_without_summary(store):
    with pytest.raises(InputError, match=r"grid 'empty' in .* has no summary run with its grid.json: run `python -m"):
        read_store(store, "empty")


def test_a_store_that_is_missing_is_not_created(tmp_path):
    with pytest.raises(InputError, match=r"does not exist: there is no file .*nowhere.db"):
        read_store(f"sqlite:///{tmp_path}/nowhere.db", "g")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scheme", ["sqlite:///{}/bad.db", "ftp://nowhere"])
def test_a_store_that_cannot_be_read(tmp_path, scheme):
    (tmp_path / "bad.db").write_text("this is no database " * 200)
    with pytest.raises(InputError, match=r"^the tracking store .* cannot be read: ") as error:
        read_store(scheme.format(tmp_path), "g")
    assert "\n" not in str(error.value)


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
        (json.dumps(meta(seconds="long")), r"a grid: seconds: Input should be a valid number"),
        (json.dumps({key: value for key, value in meta().items() if key != "axes"}), r"a grid: axes: "),
        (
            json.dumps(meta(metrics=[{"name": "x", "label": "x", "direction": "up"}])),
            r"metrics.0.direction: Input .*'min'",
        ),
    ],
)
def test_a_corrupt_grid_json(folder, content, message):
    (folder / "grid.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_folder(folder)


def changed(**changes):
    table = rows()
    table[0] |= changes
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (changed(seed="one"), r"the column 'seed' holds 'one' where a whole number is due"),
        (changed(**{NLL: "2,5"}), r"runs.csv: the column 'nll/test' holds '2,5' where a number is due"),
        (changed(status="done"), r"holds the status 'done': expected one of finished, diverged, incompatible, pruned"),
        (
            [*rows(), {**rows()[0], "cell_id": "other"}],
            r"holds parameterization=mu, loss=vlb_learned at seed 0 more than once \(cell_id mu-vlb_learned, other\)",
        ),
        (
            [{k: v for k, v in row.items() if k != "reason"} for row in rows()],
            r"lacks the column\(s\) reason: expected",
        ),
        (
            [{k: v for k, v in row.items() if k != "axis.loss"} for row in rows()],
            r"lacks the column 'axis.loss' of the axis",
        ),
    ],
)
def test_corrupt_runs(folder, table, message):
    write_rows(folder, table)
    with pytest.raises(InputError, match=message):
        read_folder(folder)


@pytest.mark.parametrize("content", [b"", b'a,b\n"1,2\n', b"a\n1,2,3\n1,2\n", b"\xff\xfe\x00a"])
def test_runs_that_are_no_csv(folder, content):
    (folder / "runs.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"runs.csv (is not a CSV file|lacks the column)"):
        read_folder(folder)


def test_missing_files(folder):
    (folder / "curves.csv").unlink()
    grid = read_folder(folder)
    with pytest.raises(InputError, match=r"curves.csv is missing: run the grid again"):
        _ = grid.curves
    (folder / "runs.csv").unlink()
    with pytest.raises(InputError, match=r"runs.csv is missing: run the grid again"):
        read_folder(folder)


def test_samples_folder(folder):
    assert read_folder(folder).samples == folder / "samples"


def test_notes_are_read_where_there_are_any(tmp_path):
    table = [row | ({"notes": "one\ntwo"} if i == 0 else {}) for i, row in enumerate(rows())]
    runs = read_folder(build(tmp_path / "g", table)).runs
    assert list(runs["notes"]) == ["one\ntwo", *[""] * 32]


def test_long_reasons_are_cut_as_stores_cut_them(shared_folder):
    grid = read_folder(shared_folder)
    texts = pd.read_csv(shared_folder / "runs.csv", dtype=str, keep_default_na=False)
    texts["reason"] = "x" * 9000
    assert set(tidy_runs(texts, grid.meta, "here")["reason"].str.len()) == {5000}
