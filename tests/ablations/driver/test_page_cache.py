"""A finished grid's second command draws and delivers nothing, and says what the first said."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking._tracking_service import utils

from ablations import run
from ablations.driver import page_cache, pages
from ablations.driver.page_cache import Shown, content_of, last_shown, remember, still_there
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.sqlite_file import Summary
from analysis.files import write_json
from analysis.pages import write_pages
from analysis.schema import PAGES
from tests.ablations.conftest import said, tracker_in
from tests.sampling import sampled


@pytest.fixture
def drawn(again, monkeypatch):
    """How often the pages of a copied run were drawn since it was run anew, which delivered it."""
    calls = []

    def draw(folder):
        calls.append(folder)
        (folder / "report.html").write_text("<html>")
        return said(folder)

    monkeypatch.setattr(pages, "write_pages", draw)
    assert run.main(again.arguments) == 0
    assert len(calls) == 1
    calls.clear()
    return calls


def test_a_second_command_draws_and_delivers_nothing_and_says_the_same(again, drawn, capsys, monkeypatch):
    capsys.readouterr()
    assert run.main(again.arguments) == 0
    first = capsys.readouterr().out
    assert "MLflow" in first

    def opened(self):
        raise AssertionError("the store was opened")

    monkeypatch.setattr(Tracker, "begin", opened)
    assert run.main(again.arguments) == 0
    assert drawn == []
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    "change", sampled(["a page is gone", "a page was edited", "a file is new", "the code draws anew"], 3)
)
def test_what_changed_is_drawn_again(change, again, drawn, monkeypatch):
    assert last_shown(again.folder) is not None
    if change == "a page is gone":
        (again.folder / "table.md").unlink()
    if change == "a page was edited":
        (again.folder / "report.html").write_text("<html>mine")
    if change == "a file is new":
        (again.folder / "formulas.csv").write_text("")
    if change == "the code draws anew":
        monkeypatch.setattr(page_cache, "_drawing", lambda: b"other code")
    assert last_shown(again.folder) is None
    assert run.main(again.arguments) == 0
    assert len(drawn) == 1
    assert last_shown(again.folder) is not None


def test_what_a_store_has_lost_is_delivered_again(again, drawn, capsys):
    file = again.results / "mlflow.db"
    with closing(sqlite3.connect(file)) as store, store:
        store.execute("update runs set lifecycle_stage = 'deleted'")
    assert run.main(again.arguments) == 0
    # With links to its new runs.
    assert len(drawn) == 1
    tracker = tracker_in(again.results)
    assert len(tracker.client.search_runs([tracker.experiment_id])) == 5
    assert "warning" not in capsys.readouterr().out


def test_another_store_is_given_all(again, drawn, tmp_path, store):
    other = tmp_path / "other.db"
    other.write_bytes(store.read_bytes())
    assert run.main([*again.arguments, f"tracking.uri=sqlite:///{other}"]) == 0
    tracker = Tracker(f"sqlite:///{other}", "tiny", again.results)
    assert len(tracker.client.search_runs([tracker.experiment_id])) == 5


@pytest.mark.slow
def test_the_pages_are_all_that_drawing_writes(tiny, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    for path in tiny.folder.iterdir():
        if path.name not in PAGES:
            (folder / path.name).symlink_to(path)
    here = {path.name for path in folder.iterdir()}
    write_pages(folder)
    assert {path.name for path in folder.iterdir()} - here == set(PAGES)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"content": 1, "pages": 2, "said": 3, "summary": {"uri": 4}}'])
def test_a_record_that_is_none_is_no_record(content, tmp_path):
    folder = tmp_path / "grid"
    folder.mkdir()
    remember(folder, "said", None)
    assert last_shown(folder) == Shown(content_of(folder), last_shown(folder).pages, "said", None, str(folder))
    (tmp_path / ".shown" / "grid.json").write_text(content)
    assert last_shown(folder) is None


def test_a_store_that_is_no_file_is_asked_again(tmp_path):
    folder = tmp_path / "grid"
    folder.mkdir()
    write_json(folder / "grid.json", {})
    there = Summary("http://127.0.0.1:1", "a", "link")
    remember(folder, "said", there)
    assert last_shown(folder).summary is None
    assert still_there(replace(last_shown(folder), summary=there), there.uri) is None
    assert still_there(None, there.uri) is None


def forget_stores():
    """A process remembers where a run's artifacts are, and where a store's file was."""
    utils._artifact_repos_cache.clear()
    utils._tracking_store_registry._get_store_with_resolved_uri.cache_clear()
    while SqlAlchemyStore._engine_map:
        SqlAlchemyStore._engine_map.popitem()[1].dispose()


@pytest.mark.thorough
def test_a_project_that_was_moved_takes_the_addresses_of_its_artifacts_along(again, drawn, tmp_path, monkeypatch):
    words = [word for word in again.arguments if not word.startswith("results=")]
    place = again.results
    for name in ("project", "elsewhere"):
        forget_stores()
        (tmp_path / name).mkdir()
        place = place.rename(tmp_path / name / "results")
        monkeypatch.chdir(tmp_path / name)
        assert run.main([*words, "results=results"]) == 0
        with closing(sqlite3.connect(place / "mlflow.db")) as store:
            addresses = store.execute("select artifact_uri from runs where lifecycle_stage = 'active'").fetchall()
        assert len(addresses) == 5
        assert {address.startswith(f"{place.as_uri()}/.artifacts/tiny/") for (address,) in addresses} == {True}
        assert still_there(last_shown(place / "tiny"), "sqlite:///results/mlflow.db") is not None
    # At first alone, since the store's address is another.
    assert len(drawn) == 1
