"""Addresses without secrets, and where a grid's runs are to be seen."""

import json

import pytest

from analysis.places import page, reason_of, tracking_of, without_password

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


def test_tracking_says_where_each_run_is():
    tracking = tracking_of("https://me:secret@host", "7", RUNS)
    assert "secret" not in json.dumps(tracking)
    assert tracking["runs"] == {"a": {0: "r0", 10: "r10"}, "b": {0: "s0"}}


def test_a_message_about_a_store_does_not_say_its_password():
    uri = "postgresql://me:p@ss@host/db?password=word"
    said = f"{uri} does not answer: http://you:other@proxy/path refused it"
    assert reason_of(OSError(said), uri) == "postgresql://host/db does not answer: http://proxy/path refused it"
