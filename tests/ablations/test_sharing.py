"""Several commands on one journal and one server, really run: nothing twice, nothing lost, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablations.tracking.tracker import Tracker
from analysis.search import read_search
from tests.ablations.conftest import TINY, rows
from tests.mlflow_server import mlflow_server

pytestmark = pytest.mark.slow

WORDS = [
    "parameterization=v,epsilon",
    "variance=beta,beta_tilde",
    *[word for word in TINY if not word.startswith("training.steps")],
]
SECONDS = 600


@pytest.fixture
def server(store, tmp_path):
    """An MLflow server with a database in a file."""
    (tmp_path / "server.db").write_bytes(store.read_bytes())
    with mlflow_server(tmp_path) as address:
        yield address


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
    assert len({run.data.tags.get("cell_id") for run in runs}) == len(runs) == cells + 1, "one is the summary"
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in (run for run in runs if run.data.tags["kind"] == "cell"):
        found = [point.step for point in tracker.client.get_metric_history(run.info.run_id, "train/network")]
        assert found == steps


def test_two_grids_at_once_share_their_stages_and_deliver_each_result_once(server, tmp_path):
    """A second command on one folder is refused meanwhile."""
    words = [*WORDS, "training.steps=1000"]
    first = started(tmp_path / "results", server, *words, "name=one")
    under_way(tmp_path / "results", first)
    other, again = (started(tmp_path / "results", server, *words, f"name={name}") for name in ("two", "one"))
    text, _ = again.communicate(timeout=SECONDS)
    assert again.returncode == 2, text
    assert f"(process {first.pid})" in text
    for command in (first, other):
        ended(command)
    # Two trainings, four cells' two bounds and samples, and what real images score.
    assert len(list((tmp_path / "results" / ".stages").glob("*/result.json"))) == 2 + 4 * 3 + 1
    for name in ("one", "two"):
        assert [row["status"] for row in rows(tmp_path / "results" / name)] == ["finished"] * 4
        delivered_once(server, name, 4, list(range(20, 1001, 20)))


def test_a_search_keeps_its_trials_in_a_database_and_has_one_driver(store, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(store.read_bytes())
    words = ["schedule=log_snr_linear", "schedule.gamma_min=interval(-14,-2)", "study.startup=2", "study.pruner=median"]
    words += [*WORDS[2:], "training.steps=800", "trials=4", "confirm=2", "name=wide"]
    words += [f"storage=sqlite:///{tmp_path}/trials.db"]
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
