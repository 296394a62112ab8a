"""Stores that are not what was meant: a new one beside another, a file that is damaged, a folder that moved."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from ablations import publish, run
from ablations.driver import pages
from ablations.tracking.mlflow_client import TrackingError, guard, opened
from ablations.tracking.sqlite_file import answers_of, follow_artifacts, make_whole
from ablations.tracking.uris import default_uri, refusal, rescue
from tests.ablations.settings.test_grammar import one_line_error


@pytest.mark.parametrize("name", ["b.db", "a.db.db", "a2.db", "mlflow.db"])
def test_a_new_store_is_not_refused_because_anothers_name_is_near(name, tmp_path):
    (tmp_path / "a.db").touch()
    assert refusal(f"sqlite:///{tmp_path}/{name}") == ""
    assert not (tmp_path / name).exists()


def test_a_damaged_store_says_what_to_do(tmp_path, store):
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"no database at all, but long enough to have a header of its own" * 10)
    assert refusal(f"sqlite:///{path}").endswith(
        f"move {path} away, and python -m ablations.publish delivers all that is in the results folder to a new one"
    )
    whole = store.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(TrackingError, match=r"does not answer: .*malformed.*: move .* away, and python -m ablations"):
        guard(f"sqlite:///{path}", lambda: opened(f"sqlite:///{path}", "grid", tmp_path / ".artifacts"))


KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("pragma cache_size = 1")
database.execute("create table more (text)")
database.execute("begin")
for _ in range(3000):
    database.execute("insert into more values (?)", ["x" * 1000])
os.kill(os.getpid(), 9)
"""


def test_a_store_that_a_command_was_killed_at_as_it_wrote_is_used_as_it_was_before(tmp_path, store):
    """Whoever opened it for reading alone could not, since what was half written has to be undone first."""
    path = tmp_path / "mlflow.db"
    shutil.copy(store, path)
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    assert path.with_name("mlflow.db-journal").stat().st_size > 0
    assert refusal(f"sqlite:///{path}") == ""
    assert answers_of(path, "select count(*) from more") == [(0,)]
    assert not path.with_name("mlflow.db-journal").exists()


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


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("mysql+cymysql://me:secret@host/x", r"needs cymysql, which is not installed: pip install 'cymysql'"),
        ("postgresql+nothing://me:secret@host/x", "cannot be used: .*postgresql.nothing"),
        ("postgresql://me:secret@host:port/x", "cannot be used"),
    ],
)
def test_a_database_that_nothing_here_speaks_to_is_refused_at_once(uri, why, tmp_path, capsys, monkeypatch):
    words = ["data=mixture2d", f"results={tmp_path}", f"tracking.uri={uri}"]
    told = one_line_error(run.main, words, capsys, monkeypatch)
    assert re.search(why, told)
    assert "secret" not in told


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_artifacts_follow_a_results_folder(move, tiny, tmp_path, capsys, without_pictures):
    before, now = tmp_path / "before", tmp_path / "now"
    shutil.copytree(tiny.results, before)
    assert follow_artifacts(before / "mlflow.db", before / ".artifacts") == 1
    move(before, now)
    untouched = sorted(before.rglob("*"))
    (now / "tiny" / "samples" / "more.txt").write_text("new")
    (now / "tiny" / "tracking.json").unlink()
    assert publish.main([f"results={now}"]) == 0
    assert sorted(before.rglob("*")) == untouched
    client = mlflow.MlflowClient(default_uri(now))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment.artifact_location == (now / ".artifacts" / "tiny").as_uri()
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 5
    for one in runs:
        assert one.info.artifact_uri.startswith(experiment.artifact_location + "/")
        assert client.list_artifacts(one.info.run_id)
    assert follow_artifacts(now / "mlflow.db", now / ".artifacts") == 0


def test_a_store_beside_other_folders_is_left_as_it_is(tiny, tmp_path):
    (tmp_path / "central").mkdir()
    shutil.copy(tiny.results / "mlflow.db", tmp_path / "central" / "mlflow.db")
    assert follow_artifacts(tmp_path / "central" / "mlflow.db", tiny.results / ".artifacts") == 0
    assert follow_artifacts(tmp_path / "central" / "none.db", tmp_path / "central" / ".artifacts") == 0
    assert not (tmp_path / "central" / "none.db").exists()


def test_a_store_that_is_not_there_is_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "mlflow.db").touch()
    (tmp_path / "results" / "tiny").mkdir(parents=True)
    (tmp_path / "results" / "tiny" / "grid.json").write_text("{}")
    words = [f"results={tmp_path}/results", f"tracking.uri=sqlite:///{tmp_path}/mflow.db"]
    assert "error" in one_line_error(publish.main, words, capsys, monkeypatch)


def test_a_store_that_breaks_under_a_delivery_is_a_line_and_no_traceback(tmp_path, store, capfd):
    shutil.copy(store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = opened(uri, "grid", tmp_path / ".artifacts")
    run = client.create_run(experiment).info.run_id
    with sqlite3.connect(tmp_path / "mlflow.db") as broken:
        broken.execute("DROP TABLE metrics")
    broken.close()
    with pytest.raises(TrackingError, match=r"does not answer: .*no such table: metrics"):
        guard(uri, lambda: client.log_metric(run, "nll", 1.0))
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_store_that_was_killed_while_it_was_made_is_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"

    def killed(uri):
        with sqlite3.connect(uri.removeprefix("sqlite:///")) as half:
            half.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", killed)
        with pytest.raises(KeyboardInterrupt):
            opened(f"sqlite:///{path}", "grid", tmp_path / ".artifacts")
    client, experiment = opened(f"sqlite:///{path}", "grid", tmp_path / ".artifacts")
    assert client.get_experiment(experiment).name == "grid"
    assert {one.name for one in tmp_path.iterdir()} <= {"mlflow.db", ".locks", ".artifacts"}


@pytest.mark.parametrize("name", [":memory:", "store.db?timeout=5", "nowhere/store.db", "there.db"])
def test_what_is_no_new_file_is_left_to_whoever_opens_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.db").touch()
    made = []
    make_whole(f"sqlite:///{name}", made.append)
    make_whole("postgresql://host/store", made.append)
    assert (made, [path.name for path in tmp_path.iterdir()]) == ([], ["there.db"])


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
