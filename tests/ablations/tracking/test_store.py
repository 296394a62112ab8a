"""Stores that are not what was meant: a file that is damaged, a folder that has moved, a server that is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pytest

from ablations import publish
from ablations.tracking.store import TrackingError, default_uri, delivery_command, make_whole, open_store
from analysis import pages
from tests.ablations.settings.test_grammar import one_line_error
from tests.analysis.folders import make_folder


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
    assert delivery_command(Path(folder), uri) == f"python -m ablations.publish {expected}"


@pytest.mark.parametrize(
    "uri", ["mysql+cymysql://me:secret@host/x", "postgresql://me:secret@host:port/x", "sqlite:///{folder}/mlflow.db"]
)
def test_a_store_that_is_damaged_or_that_nothing_here_speaks_to_is_a_line_without_the_password(uri, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database at all, " * 99)
    with pytest.raises(TrackingError, match=r"^the tracking store .* does not answer: ") as error:
        open_store(uri.format(folder=tmp_path), "grid", tmp_path / ".artifacts")
    assert "secret" not in str(error.value)


def test_of_a_copied_results_folder_all_is_delivered_anew_and_the_first_is_left_alone(tiny, tmp_path, without_pictures):
    before, now = tmp_path / "before", tmp_path / "now"
    for place in (before, now):
        shutil.copytree(before if place == now else tiny.results, place)
        untouched = sorted(before.rglob("*"))
        assert publish.main([f"results={place}"]) == 0
    assert sorted(before.rglob("*")) == untouched
    client = mlflow.MlflowClient(default_uri(now))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment.artifact_location == (now / ".artifacts" / "tiny").as_uri()
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 5
    assert all(client.list_artifacts(one.info.run_id) for one in runs)


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        ("sqlite:////nowhere/mlflow.db", "nowhere is no folder"),
        ("somewhere", "tracking.uri=somewhere is no store: give sqlite:///PATH"),
        ("http://me:secret@127.0.0.1:1", "the tracking store http://127.0.0.1:1 does not answer: "),
    ],
)
def test_a_store_that_is_not_there_is_one_line(uri, line, tmp_path, capsys):
    make_folder(tmp_path / "tiny", {"μ": [2.5]})
    words = [f"results={tmp_path}", f"tracking.uri={uri}"]
    assert line in one_line_error(publish.main, words, capsys)


def test_a_store_that_was_killed_while_it_was_made_is_made_anew(tmp_path):
    def killed(uri):
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(KeyboardInterrupt):
        make_whole(uri, killed)
    assert list(tmp_path.iterdir()) == []
    make_whole(uri, lambda new: Path(new.removeprefix("sqlite:///")).write_bytes(b"whole"))
    for other in (uri, "sqlite:///:memory:", f"sqlite:///{tmp_path}/nowhere/store.db", "postgresql://host/store"):
        make_whole(other, killed)
    assert (tmp_path / "mlflow.db").read_bytes() == b"whole"


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
