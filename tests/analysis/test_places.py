"""Addresses without secrets, and where a grid's runs are to be seen."""

import json

import pytest

from analysis import read
from analysis.errors import InputError
from analysis.grid_json import Tracking, read_tracking
from analysis.places import page, tracking_of, without_password, without_passwords
from tests.analysis.folders import make_folder

RUNS = {("a", 0): "r0", ("a", 10): "r10", ("b", 0): "s0"}


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("https://me:sec@ret@host/mlflow", "https://host/mlflow"),
        ("postgresql+psycopg://me:secret@host:5432/db", "postgresql+psycopg://host:5432/db"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db"),
        ("https://token@host", "https://host"),
    ],
)
def test_addresses_hold_no_passwords(uri, public):
    assert without_password(uri) == public


def test_the_page_of_a_local_store_is_that_of_mlflow_ui():
    charts = "compareRunsMode=CHART&workflowType=machine_learning&viewStateShareKey=grid"
    assert page("sqlite:///x.db", "3") == f"http://127.0.0.1:5000/#/experiments/3/runs?{charts}"
    assert page("https://me:secret@host/mlflow/", "3") == f"https://host/mlflow/#/experiments/3/runs?{charts}"


def test_tracking_comes_back_from_its_file(tmp_path):
    folder = make_folder(tmp_path / "made", {"a": [2.5]})
    assert read(folder).tracking is None
    tracking = tracking_of("https://me:secret@host", "7", RUNS)
    text = json.dumps(tracking)
    (folder / "tracking.json").write_text(text)
    assert "secret" not in text
    found = read(folder).tracking
    assert found == Tracking(**tracking)


@pytest.mark.parametrize("content", ["", "[]", '{"uri": "x"}', '{"uri":"x","experiment":"1","link":"y","runs":[]}'])
def test_a_damaged_file_says_what_to_do(tmp_path, content):
    path = tmp_path / "tracking.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"tracking.json is damaged: delete it and run `python -m ablations.publish`"):
        read_tracking(path)


def test_a_message_about_a_store_does_not_say_its_password():
    uri = "postgresql://me:p@ss@host/db?password=word"
    said = f"{uri} does not answer: http://you:other@proxy/path refused it"
    assert without_passwords(said, uri) == "postgresql://host/db does not answer: http://proxy/path refused it"
