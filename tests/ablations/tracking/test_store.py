"""Stores that are not what was meant: a file that is damaged, a folder that has moved, a server that is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pytest

from ablations import publish
from ablations.driver import pages
from ablations.tracking.store import TrackingError, default_uri, make_whole, opened, refusal, rescue
from tests.ablations.settings.test_grammar import one_line_error


def test_a_damaged_store_says_what_to_do(tmp_path, store):
    path, whole = tmp_path / "mlflow.db", store.read_bytes()
    for content in (b"no database at all, " * 99, whole[:4096] + b"\xff" * (len(whole) - 4096)):
        path.write_bytes(content)
        with pytest.raises(TrackingError, match=r"does not answer: .*: move .* away, and python -m ablations.publish"):
            opened(f"sqlite:///{path}", "grid", tmp_path / ".artifacts")


@pytest.mark.parametrize(
    ("folder", "uri", "expected"),
    [
        ("results/tiny", "sqlite:///results/mlflow.db", "grid=tiny"),
        ("/far/away/tiny", "sqlite:////far/away/mlflow.db", "grid=tiny results=/far/away"),
        ("results/tiny", "http://host:5000", "grid=tiny tracking.uri=http://host:5000"),
        ("r/tiny", "postgresql://me:secret@host/x", "grid=tiny results=r tracking.uri=…"),
    ],
)
def test_what_delivers_later_names_the_folder_and_the_store(folder, uri, expected):
    assert rescue(Path(folder), uri) == f"python -m ablations.publish {expected}"


@pytest.mark.parametrize("uri", ["mysql+cymysql://me:secret@host/x", "postgresql://me:secret@host:port/x"])
def test_a_database_that_nothing_here_speaks_to_is_a_line_without_the_password(uri, tmp_path):
    with pytest.raises(TrackingError, match="does not answer: ") as error:
        opened(uri, "grid", tmp_path / ".artifacts")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_of_a_results_folder_that_has_moved_all_is_delivered_anew(move, tiny, tmp_path, without_pictures):
    before, now = tmp_path / "before", tmp_path / "now"
    shutil.copytree(tiny.results, before)
    assert publish.main([f"results={before}"]) == 0
    move(before, now)
    untouched = sorted(before.rglob("*"))
    for _ in range(2):
        assert publish.main([f"results={now}"]) == 0
    assert sorted(before.rglob("*")) == untouched
    client = mlflow.MlflowClient(default_uri(now))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment.artifact_location == (now / ".artifacts" / "tiny").as_uri()
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 5
    assert all(client.list_artifacts(one.info.run_id) for one in runs)


def test_a_store_that_is_not_there_is_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "results" / "tiny").mkdir(parents=True)
    (tmp_path / "results" / "tiny" / "grid.json").write_text("{}")
    words = [f"results={tmp_path}/results", f"tracking.uri=sqlite:///{tmp_path}/nowhere/mlflow.db"]
    assert "nowhere is no folder" in one_line_error(publish.main, words, capsys, monkeypatch)


def test_a_store_that_was_killed_while_it_was_made_is_made_anew(tmp_path):
    def killed(uri):
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert refusal(uri) == ""
    with pytest.raises(KeyboardInterrupt):
        make_whole(uri, killed)
    assert list(tmp_path.iterdir()) == []
    make_whole(uri, lambda new: Path(new.removeprefix("sqlite:///")).write_bytes(b"whole"))
    make_whole(uri, killed)
    assert (tmp_path / "mlflow.db").read_bytes() == b"whole"


@pytest.mark.parametrize("name", [":memory:", "store.db?timeout=5", "nowhere/store.db"])
def test_what_is_no_new_file_is_left_to_whoever_opens_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for uri in (f"sqlite:///{name}", "postgresql://host/store"):
        make_whole(uri, lambda new: pytest.fail(new))


def test_a_report_leads_to_the_store_that_its_runs_were_delivered_to_last(again, store, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pages, "write_pages", lambda folder: drawn.append(folder.name))
    (again.folder / "report.html").write_text("<p>links")
    shutil.copy(store, tmp_path / "other.db")
    here = [f"results={again.results}"]
    other = [*here, f"tracking.uri=sqlite:///{tmp_path}/other.db"]
    assert publish.main(here) == 0
    drawn.clear()
    for words, often in ((here, 0), (other, 1), (other, 1), (here, 2)):
        assert publish.main(words) == 0
        assert len(drawn) == often
