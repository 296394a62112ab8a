"""A tracking store gives the frames that a folder gives; its files are fetched once, its runs are asked anew."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.errors import InputError
from analysis.read.links import tracking_of
from analysis.read.runs import FIXED, VERSIONS, read_folder
from analysis.read.store import Experiment, read_store
from analysis.tables import render
from tests.analysis.conftest import NLL, build, meta, rows
from tests.analysis.read.test_images import image_rows, with_images
from tests.analysis.searches import one_objective

GRID = "parameterization"
TAGS = (*FIXED, "autoencoder_id", "not_comparable", *VERSIONS)
FORMULAS = 'figure,series,x,y\nprior,linear,0.5,1e-6\ngap,"cosine, β̃",1000,0.0123\n'

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A migrated store without experiments of ours: making one takes seconds."""
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def versioned():
    """The rows with what made them: two codes, one of the rows by both; the last cell's went through a VQ code."""
    codes = ["1+a", "1+b", "1+a, 1+b"]
    table = [row | {"code": codes[i % 3], "numerics": "1", "data_digest": "d0"} for i, row in enumerate(rows())]
    coded = [row | {"autoencoder_id": f"{i:012x}", "not_comparable": "nll"} for i, row in enumerate(table[-3:])]
    return [*table[:-3], *coded]


class Store:
    """A store with one experiment, filled by hand. Files of `remote` runs are such as must be downloaded."""

    def __init__(self, empty, root, *, remote=False):
        import mlflow

        shutil.copy(empty, root / "mlflow.db")
        self.uri = f"sqlite:///{root / 'mlflow.db'}"
        self.client = mlflow.MlflowClient(self.uri)
        self.artifacts = root / "artifacts"
        # What lies at a plain path is downloaded, as from a server; what lies at file: is read in place.
        location = str(self.artifacts) if remote else self.artifacts.as_uri()
        self.experiment = self.client.create_experiment(GRID, artifact_location=location)

    def run(self, row, curves, **tags):
        from mlflow.entities import Metric, Param

        own = {name: str(row[name]) for name in TAGS if row.get(name, "") != ""}
        images = [line for line in image_rows([row]) if row["seed"] != 1]
        own |= {"images": str(len(images))} if images else {}
        run = self.client.create_run(self.experiment, tags={**own, "kind": "cell", **tags}).info.run_id
        rest = {key: value for key, value in row.items() if key not in TAGS and value != ""}
        params = [Param(key, value) for key, value in rest.items() if "/" not in key]
        metrics = [Metric("train/network", 0.3, 0, 50)]
        metrics += [Metric(key, value, 0, 0) for key, value in rest.items() if "/" in key]
        self.client.log_batch(run, metrics, [*params, Param("cell", "mu · simple")])
        mine = curves[(curves["cell_id"] == row["cell_id"]) & (curves["seed"] == str(row["seed"]))]
        self.client.log_text(run, mine[["curve", "x", "y"]].to_csv(index=False), "curves.csv")
        if images:
            text = "".join(",".join(line[2:]) + "\n" for line in images)
            self.client.log_text(run, "metric,0,1,2,3,4\n" + text, "images.csv")
        self.client.set_terminated(run)
        return run

    def summary(self, head, formulas="", files=(), **tags):
        run = self.client.create_run(self.experiment, tags={"kind": "summary", **tags}).info.run_id
        self.client.log_text(run, json.dumps(head), "grid.json")
        if formulas:
            self.client.log_text(run, formulas, "formulas.csv")
        for path in files:
            self.client.log_artifact(run, str(path))
        self.client.set_terminated(run)


def head(table):
    return meta(cells={row["cell_id"]: {} for row in table})


@pytest.fixture(scope="module")
def whole(tmp_path_factory, empty_store):
    """A folder with images of two seeds, its store with runs of earlier requests, and the ids of the grid's own."""
    root = tmp_path_factory.mktemp("whole")
    table = versioned()
    folder = with_images(build(root / GRID, table), [line for line in image_rows(rows()) if line[1] != 1])
    curves = pd.read_csv(folder / "curves.csv", dtype=str)
    store = Store(empty_store, root)
    store.client.create_experiment("empty", artifact_location=store.artifacts.as_uri())
    earlier = {**table[0], "cell_id": "of another request", "numerics": "0"}
    ids = {(row["cell_id"], row["seed"]): store.run(row, curves) for row in reversed(table)}
    for row in ({**table[0], "seed": 7}, earlier):
        store.run(row, curves)
    (folder / "formulas.csv").write_text(FORMULAS, encoding="utf-8")
    store.summary(head(table), FORMULAS)
    return folder, store, ids


def test_folder_and_store_give_equal_frames(whole):
    folder, store, _ = whole
    ours, theirs = read_folder(folder), read_store(store.uri, GRID)
    pd.testing.assert_frame_equal(ours.runs, theirs.runs)
    pd.testing.assert_frame_equal(ours.curves, theirs.curves)
    pd.testing.assert_frame_equal(ours.images, theirs.images)
    pd.testing.assert_frame_equal(ours.formulas, theirs.formulas)
    assert ours.formulas["y"].tolist() == [1e-6, 0.0123]
    assert len(ours.images) == 2 * sum(row["status"] == "finished" and row["seed"] != 1 for row in rows())
    assert ours.codes == theirs.codes == [("1+a", 22), ("1+b", 22)]
    assert theirs.runs["autoencoder_id"].tolist() == [*[""] * 30, "000000000000", "000000000001", "000000000002"]
    assert theirs.runs[NLL][-3:].isna().all()
    assert "not comparable" in render(theirs, "markdown")
    assert ours.meta.axes == theirs.meta.axes
    assert render(ours, "markdown") == render(theirs, "markdown")


def test_a_store_knows_its_runs(whole):
    _, store, ids = whole
    assert read_store(store.uri, GRID).tracking == tracking_of(store.uri, store.experiment, ids)


def test_files_that_lie_here_are_read_in_place(whole, cache):
    _, store, _ = whole
    _ = read_store(store.uri, GRID).curves
    assert not cache.exists()


@pytest.fixture
def small(tmp_path, empty_store):
    """A store of six runs whose files are downloaded, and the rows and curves that are in it."""
    table = versioned()[:6]
    folder = build(tmp_path / GRID, table)
    curves = pd.read_csv(folder / "curves.csv", dtype=str)
    store = Store(empty_store, tmp_path, remote=True)
    ids = [store.run(row, curves) for row in table]
    store.summary(head(table))
    return store, table, curves, ids


def frames(store):
    grid = read_store(store.uri, GRID)
    return grid.runs, grid.curves, grid.images


def assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_what_was_downloaded_is_not_downloaded_again(small):
    store, *_ = small
    first = frames(store)
    assert len(first[2]) == 8
    shutil.rmtree(store.artifacts)
    assert_equal(frames(store), first)


def test_a_store_without_formulas_has_none_and_with_them_downloads_them(small):
    store, table, *_ = small
    assert read_store(store.uri, GRID).formulas.empty
    store.summary(head(table), FORMULAS)
    assert read_store(store.uri, GRID).formulas["series"].tolist() == ["linear", "cosine, β̃"]


def test_folder_and_store_give_equal_searches(small, tmp_path):
    store, table, *_ = small
    assert read_store(store.uri, GRID).search is None
    folder = one_objective(tmp_path / GRID)
    for names in (("search.json", "trials.csv", "rungs.csv"), ("search.json", "trials.csv")):
        store.summary(head(table), files=[folder / name for name in names])
        theirs = read_store(store.uri, GRID).search
        ours = read_folder(folder).search
        assert ours.head == theirs.head
        pd.testing.assert_frame_equal(ours.trials, theirs.trials)
        pd.testing.assert_frame_equal(ours.rungs, theirs.rungs)
        (folder / "rungs.csv").unlink(missing_ok=True)
    assert theirs.rungs.empty


def test_a_damaged_search_of_a_store_names_its_run(small, tmp_path):
    store, table, *_ = small
    folder = one_objective(tmp_path / GRID)
    (folder / "search.json").write_text("{}")
    store.summary(head(table), files=[folder / "search.json", folder / "trials.csv"])
    with pytest.raises(InputError, match=r"^run \w+: search.json is not the description of a search: name: Field"):
        read_store(store.uri, GRID)


def test_a_damaged_cache_is_mended(small, cache):
    store, *_ = small
    first = frames(store)
    for path in cache.rglob("*.gz"):
        path.write_bytes(path.read_bytes()[:-20])
    assert_equal(frames(store), first)


def test_without_a_place_for_a_cache_all_is_read(small, cache):
    store, *_ = small
    first = frames(store)
    shutil.rmtree(cache)
    cache.write_text("no folder")
    assert_equal(frames(store), first)


def test_a_run_that_is_gone_or_replaced_is_never_read_from_the_cache(small):
    store, table, curves, ids = small
    runs, before, _ = frames(store)
    store.client.delete_run(ids[0])
    assert len(frames(store)[0]) == len(runs) - 1
    doubled = curves.assign(y=[str(2 * float(y)) for y in curves["y"]])
    store.run({**table[0], NLL: 9.5}, doubled)
    again, after, images = frames(store)
    assert again[NLL].tolist() == [9.5, *runs[NLL][1:]]
    mine = (before["cell_id"] == table[0]["cell_id"]) & (before["seed"] == 0)
    expected = np.where(mine, 2, 1) * before["y"]
    np.testing.assert_array_equal(after["y"].to_numpy(), expected.to_numpy())
    assert images.iloc[0].mean() == pytest.approx(9.5)


def test_a_run_that_has_not_ended_is_not_cached(small, cache):
    store, _, _, ids = small
    _ = frames(store)
    kept = len(list(cache.rglob("*.gz")))
    store.client.update_run(ids[0], "RUNNING")
    shutil.rmtree(cache)
    _ = frames(store)
    # curves.csv and images.csv of the run that goes on.
    assert len(list(cache.rglob("*.gz"))) == kept - 2


def test_runs_of_another_request_are_left_to_the_store(small, monkeypatch):
    store, table, curves, _ = small
    mine = [store.run({**row, NLL: 1.0}, curves, request="new") for row in table[:3]]
    store.summary(head(table[:3]), request="new")
    asked = []
    search = Experiment.search
    monkeypatch.setattr(Experiment, "search", lambda self, query: asked.append(search(self, query)) or asked[-1])
    assert set(frames(store)[0][NLL]) == {1.0}
    assert sorted(run.info.run_id for run in asked[1]) == sorted(mine)


def test_a_file_that_a_run_lacks_is_named(small):
    store, _, _, ids = small
    (store.artifacts / ids[3] / "artifacts" / "curves.csv").unlink()
    grid = read_store(store.uri, GRID)
    with pytest.raises(InputError, match=rf"run {ids[3]} lacks its artifact curves.csv: run `python -m") as error:
        _ = grid.curves
    assert "\n" not in str(error.value)


def test_runs_on_other_images_are_refused(small):
    store, table, _, ids = small
    (path,) = [Path(store.artifacts) / ids[0] / "artifacts" / "images.csv"]
    path.write_text(f"metric,0,1\n{NLL},1.5,2.5\n")
    assert table[0]["seed"] == 0
    grid = read_store(store.uri, GRID)
    with pytest.raises(InputError, match=r"the experiment 1 in sqlite.* holds runs on 2 images and on 5: run"):
        _ = grid.images


def test_unknown_grid_in_a_store(whole):
    with pytest.raises(InputError, match=r"called 'parametrization': there are .*did you mean 'parameterization'"):
        read_store(whole[1].uri, "parametrization")


def test_a_store_without_summary(whole):
    with pytest.raises(InputError, match=r"grid 'empty' in .* has no summary run with its grid.json: run `python -m"):
        read_store(whole[1].uri, "empty")


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
