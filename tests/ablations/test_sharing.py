"""Several commands on one results folder and one server, really run: nothing twice, nothing lost, whoever is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import requests

from ablations.tracking.mlflow_store import Tracker
from analysis.read.search import read_search
from tests.ablations.conftest import TINY, rows
from tests.postgres import postgres

pytestmark = pytest.mark.slow

WORDS = [
    "parameterization=v,epsilon",
    "variance=beta,beta_tilde",
    *[word for word in TINY if not word.startswith("training.steps")],
]
SECONDS = 600


@pytest.fixture
def sqlite(store, tmp_path):
    """A file of sqlite with MLflow's tables."""
    (tmp_path / "server.db").write_bytes(store.read_bytes())
    return f"sqlite:///{tmp_path / 'server.db'}"


@pytest.fixture
def postgresql():
    """An empty database of PostgreSQL."""
    with postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request, tmp_path):
    """An MLflow server with a database behind it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", request.getfixturevalue(request.param)]
    words += ["--artifacts-destination", str(tmp_path / "artifacts")]
    process = subprocess.Popen([sys.executable, "-m", "mlflow", "server", *words], start_new_session=True)
    uri, began = f"http://127.0.0.1:{port}", time.monotonic()
    try:
        while time.monotonic() - began < SECONDS:
            assert process.poll() is None
            try:
                requests.get(f"{uri}/health", timeout=1).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(0.5)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def started(results: Path, uri: str, *words: str, command: str = "run") -> subprocess.Popen[str]:
    here = [f"results={results}", f"tracking.uri={uri}", "launcher.workers=1"]
    return subprocess.Popen(
        [sys.executable, "-m", f"ablations.{command}", *words, *here],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )


def under_way(results: Path, command: subprocess.Popen[str]) -> None:
    """Wait until a training of a command has reported."""
    while not list((results / ".stages").glob("*/metrics.jsonl")):
        assert command.poll() is None
        time.sleep(0.1)


def ended(command: subprocess.Popen[str]) -> str:
    text, _ = command.communicate(timeout=SECONDS)
    assert command.returncode == 0, text
    return text


def delivered_once(uri: str, name: str, cells: int, steps: list[int]) -> None:
    """Each cell of a grid is a run that is over, and has each point of its curve once."""
    tracker = Tracker(uri, name, Path("unused"))
    runs = tracker.client.search_runs([tracker.experiment_id])
    keys = Counter((run.data.tags["kind"], run.data.tags.get("cell_id"), run.data.tags.get("seed")) for run in runs)
    assert set(keys.values()) == {1}
    assert Counter(kind for kind, *_ in keys) == {"cell": cells, "summary": 1}
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in (run for run in runs if run.data.tags["kind"] == "cell"):
        found = [point.step for point in tracker.client.get_metric_history(run.info.run_id, "train/network")]
        assert found == steps


def test_three_commands_of_two_grids_share_their_stages_and_deliver_each_result_once(server, tmp_path):
    words = [*WORDS, "training.steps=400"]
    names = ["same", "same", "other"]
    commands = [started(tmp_path / "results", server, *words, f"name={name}") for name in names]
    texts = [ended(command) for command in commands]
    # Two trainings, four cells' two bounds and samples, and what real images score.
    assert len(list((tmp_path / "results" / ".stages").glob("*/result.json"))) == 2 + 4 * 3 + 1
    assert list((tmp_path / "results").rglob("lease.*")) == []
    assert not any("was stopped here" in text for text in texts)
    for name in ("same", "other"):
        assert [row["status"] for row in rows(tmp_path / "results" / name)] == ["finished"] * 4
        delivered_once(server, name, 4, list(range(20, 401, 20)))


def test_who_waits_goes_on_where_a_command_was_killed(server, tmp_path):
    words = [*WORDS[2:], "training.steps=4000", "name=killed"]
    first = started(tmp_path / "results", server, *words)
    under_way(tmp_path / "results", first)
    second = started(tmp_path / "results", server, *words)
    for line in second.stdout:
        if "that another command runs" in line:
            break
    first.send_signal(signal.SIGKILL)
    first.communicate()
    ended(second)
    assert [row["status"] for row in rows(tmp_path / "results" / "killed")] == ["finished"]
    delivered_once(server, "killed", 1, list(range(20, 4001, 20)))


def test_of_two_requests_that_begin_at_once_under_one_name_one_is_refused(server, tmp_path):
    emas = ("0.9", "0.5")
    words = [*WORDS, "training.steps=60", "name=mine"]
    commands = [started(tmp_path / "results", server, *words, f"training.ema={ema}") for ema in emas]
    texts = [command.communicate(timeout=SECONDS)[0] for command in commands]
    assert sorted(command.returncode for command in commands) == [0, 2]
    (refused,) = [text for text, command in zip(texts, commands, strict=True) if command.returncode]
    assert "results of other choices" in refused
    assert "Traceback" not in refused
    assert [row["status"] for row in rows(tmp_path / "results" / "mine")] == ["finished"] * 4


def test_commands_share_a_database_that_no_server_stands_before(postgresql, tmp_path):
    words = [*WORDS, "training.steps=400"]
    commands = [started(tmp_path / "results", postgresql, *words, f"name={name}") for name in ("one", "one", "two")]
    for command in commands:
        ended(command)
    for name in ("one", "two"):
        assert [row["status"] for row in rows(tmp_path / "results" / name)] == ["finished"] * 4
        delivered_once(postgresql, name, 4, list(range(20, 401, 20)))


def test_a_search_keeps_its_trials_in_a_database_and_has_one_driver(postgresql, store, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(store.read_bytes())
    words = ["schedule=log_snr_linear", "schedule.gamma_min=interval(-14,-2)", "study.startup=2", "study.pruner=median"]
    words += [*WORDS[2:], "training.steps=400", "trials=4", "confirm=2", "name=wide", f"storage={postgresql}"]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first = started(tmp_path / "results", uri, *words, command="search")
    under_way(tmp_path / "results", first)
    elsewhere = started(tmp_path / "elsewhere", uri, *words, command="search")
    text, _ = elsewhere.communicate(timeout=SECONDS)
    assert elsewhere.returncode == 2, text
    assert "Traceback" not in text
    first.send_signal(signal.SIGKILL)
    first.communicate()
    ended(started(tmp_path / "results", uri, *words, command="search"))
    assert len(read_search(tmp_path / "results" / "wide").trials) == 4
