"""A tracking store gives what the folder gives, from its newest summary run alone, and leaves nothing behind."""

import dataclasses
import gc
import json
import shutil

import pandas as pd
import pytest

from analysis.errors import InputError
from analysis.findings.answers import Answers
from analysis.links import tracking_of
from analysis.read import store as reading
from analysis.read.runs import read_folder
from analysis.read.store import read_store
from analysis.tables import render
from tests.analysis.conftest import NLL, build, rows
from tests.analysis.read.test_images import with_images
from tests.analysis.rounds import in_round
from tests.analysis.searches import one_objective
from tests.sampling import sampled

GRID = "parameterization"
FORMULAS = 'figure,series,x,y\nprior,linear,0.5,1e-6\ngap,"cosine, β̃",1000,0.0123\n'
IDS = {(row["cell_id"], row["seed"]): f"run{i}" for i, row in enumerate(rows())}

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


class Store:
    """A store that is filled as the writer fills it: an experiment's summary run carries the files of a folder."""

    def __init__(self, path, root):
        import mlflow

        self.uri = f"sqlite:///{path}"
        self.client = mlflow.MlflowClient(self.uri)
        self.artifacts = root

    def experiment(self, name):
        known = self.client.get_experiment_by_name(name)
        if known is not None:
            return known.experiment_id
        return self.client.create_experiment(name, artifact_location=(self.artifacts / name).as_uri())

    def publish(self, name, folder, start=None):
        """The id of the summary run."""
        run = self.client.create_run(self.experiment(name), start, {"kind": "summary"}).info.run_id
        for path in sorted(folder.iterdir()):
            if path.is_file():
                self.client.log_artifact(run, str(path))
            elif path.name != "samples":
                self.client.log_artifacts(run, str(path), path.name)
        self.client.set_terminated(run)
        return run


@pytest.fixture(scope="module")
def tracker(tmp_path_factory, store):
    root = tmp_path_factory.mktemp("stores")
    shutil.copy(store, root / "mlflow.db")
    return Store(root / "mlflow.db", root / "artifacts")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def whole(folder, experiment):
    """All that a results folder can hold. Two codes made it, one row by both; a row went through a VQ code."""
    codes = ["1+a", "1+b", "1+a, 1+b"]
    table = [row | {"code": codes[i % 3], "numerics": "1", "data_digest": "d0"} for i, row in enumerate(rows())]
    table[-1] |= {"autoencoder_id": "0123456789ab", "not_comparable": "nll", "notes": "one\ntwo"}
    with_images(one_objective(build(folder, table)))
    (folder / "formulas.csv").write_text(FORMULAS, encoding="utf-8")
    for name in ("strips", "reconstructions", "figures"):
        shutil.copytree(folder / "samples", folder / name)
    for name in ("report.html", "table.md", "table.tex", "table.csv"):
        (folder / name).write_text("made of the rest")
    tracking = tracking_of("http://me:secret@publisher", experiment, IDS)
    (folder / "tracking.json").write_text(json.dumps(dataclasses.asdict(tracking)))
    return folder


@pytest.fixture(scope="module")
def published(tracker, tmp_path_factory):
    """A whole folder, and the run that carries it."""
    folder = whole(tmp_path_factory.mktemp("whole") / GRID, tracker.experiment(GRID))
    return folder, tracker.publish(GRID, folder)


def images_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_store_has_a_grid_as_of_its_round(tracker, tmp_path):
    folder = in_round(tmp_path / "on_the_way")
    tracker.publish("on_the_way", folder)
    ours, theirs = read_folder(folder), read_store(tracker.uri, "on_the_way")
    assert theirs.meta == ours.meta
    assert theirs.basis == ours.basis
    pd.testing.assert_frame_equal(ours.runs, theirs.runs)
    assert render(Answers.of(theirs), "markdown") == render(Answers.of(ours), "markdown")


def test_folder_and_store_give_equal_grids(published, tracker):
    ours, theirs = read_folder(published[0]), read_store(tracker.uri, GRID)
    assert ours.meta == theirs.meta
    assert ours.codes == theirs.codes == [("1+a", 22), ("1+b", 22)]
    for name in ("runs", "curves", "images", "formulas"):
        frame = getattr(ours, name)
        assert len(frame) > 0
        pd.testing.assert_frame_equal(frame, getattr(theirs, name))
    assert pd.isna(theirs.runs[NLL].iloc[-1])
    assert ours.search.head == theirs.search.head
    pd.testing.assert_frame_equal(ours.search.trials, theirs.search.trials)
    pd.testing.assert_frame_equal(ours.search.rungs, theirs.search.rungs)
    assert images_in(ours.strips) == images_in(theirs.strips)
    assert images_in(ours.reconstructions) == images_in(theirs.reconstructions)
    assert render(Answers.of(ours), "markdown") == render(Answers.of(theirs), "markdown")
    # Sample sheets are left in the runs of their cells.
    assert (ours.samples, theirs.samples) == (published[0] / "samples", None)


def test_a_grid_that_lacks_what_others_have_is_read_too(tracker, tmp_path):
    tracker.publish("plain", build(tmp_path / "plain"))
    grid = read_store(tracker.uri, "plain")
    assert len(grid.runs) == len(rows())
    assert grid.images.empty
    assert grid.formulas.empty
    assert grid.search is grid.strips is grid.reconstructions is None
    assert grid.tracking.runs == {}


def test_links_lead_into_the_store_that_is_read_and_those_of_another_experiment_nowhere(published, tracker, tmp_path):
    assert read_store(tracker.uri, GRID).tracking == tracking_of(tracker.uri, tracker.experiment(GRID), IDS)
    tracker.publish("moved", whole(tmp_path / "moved", "4711"))
    assert read_store(tracker.uri, "moved").tracking == tracking_of(tracker.uri, tracker.experiment("moved"), {})


def test_the_newest_summary_is_read(tracker, tmp_path):
    for start, seeds in ((2000, (0, 1)), (1000, (0, 1, 2))):
        table = [row for row in rows() if row["seed"] in seeds]
        tracker.publish("twice", build(tmp_path / str(start), table, seeds=list(seeds)), start)
    assert read_store(tracker.uri, "twice").meta.seeds == (0, 1)


def test_what_is_made_of_other_files_is_not_downloaded(published, tracker, temporary):
    grid = read_store(tracker.uri, GRID)
    (downloaded,) = temporary.iterdir()
    left = {path.name for path in published[0].iterdir()} - {path.name for path in downloaded.iterdir()}
    assert left == {"samples", "figures", "report.html", "table.md", "table.tex", "table.csv"}
    assert grid.strips.parent == downloaded


def test_files_lie_here_as_long_as_the_grid_or_a_copy_of_it_and_no_longer(published, tracker, temporary):
    grid = read_store(tracker.uri, GRID)
    copy = dataclasses.replace(grid, runs=grid.runs.head(1))
    del grid
    gc.collect()
    assert len(copy.curves) > 0
    assert list(copy.strips.iterdir())
    del copy
    gc.collect()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", reading.NEEDED)
def test_a_file_that_the_summary_lacks_is_named(name, tracker, tmp_path, temporary):
    folder = build(tmp_path / "g")
    (folder / name).unlink()
    run = tracker.publish(f"without {name}", folder)
    message = f"^run {run} lacks its artifact {name}: run `python -m ablations.publish`$"
    with pytest.raises(InputError, match=message):
        read_store(tracker.uri, f"without {name}")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", sampled(["runs.csv", "grid.json", "curves.csv", "images.csv", "formulas.csv"], 3))
def test_a_damaged_file_is_said_of_its_run(name, tracker, tmp_path, temporary):
    folder = whole(tmp_path / "g", "1")
    (folder / name).write_text("{")
    run = tracker.publish(f"damaged {name}", folder)
    with pytest.raises(InputError, match=rf"^run {run}: {name} (is|lacks|holds) ") as error:
        _ = (grid := read_store(tracker.uri, f"damaged {name}")).curves, grid.images, grid.formulas
    assert str(temporary) not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_search_that_confirmed_nothing_is_no_grid(tracker, tmp_path):
    tracker.publish("search", one_objective(tmp_path / "search"))
    with pytest.raises(InputError, match=r"^run \w+ holds a search that has confirmed nothing, so it has no table"):
        read_store(tracker.uri, "search")


@pytest.mark.usefixtures("published")
def test_unknown_grid_in_a_store(tracker):
    with pytest.raises(InputError, match=r"called 'parametrization': there are .*did you mean 'parameterization'"):
        read_store(tracker.uri, "parametrization")


def test_a_deleted_experiment_is_none(tracker, tmp_path):
    tracker.publish("gone", build(tmp_path / "gone"))
    tracker.client.delete_experiment(tracker.experiment("gone"))
    with pytest.raises(InputError, match=r"no grid in sqlite:.* called 'gone'"):
        read_store(tracker.uri, "gone")


def test_a_store_without_summary(tracker):
    tracker.experiment("empty")
    with pytest.raises(InputError, match=r"grid 'empty' in .* has no summary run with its grid.json: run `python -m"):
        read_store(tracker.uri, "empty")


def test_a_store_that_is_missing_is_not_created(tmp_path, temporary):
    with pytest.raises(InputError, match=r"does not exist: there is no file .*nowhere.db"):
        read_store(f"sqlite:///{tmp_path}/nowhere.db", "g")
    assert list(tmp_path.iterdir()) == [temporary]


@pytest.mark.parametrize("address", ["sqlite:///{}/bad.db", "ftp://nowhere", "http://127.0.0.1:9"])
def test_a_store_that_cannot_be_read(address, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "bad.db").write_text("this is no database " * 200)
    with pytest.raises(InputError, match=r"^the tracking store .* cannot be read: ") as error:
        read_store(address.format(tmp_path), "g")
    assert "\n" not in str(error.value)
