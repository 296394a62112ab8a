"""Ray on clusters of this machine: the numbers of any other launcher, whatever is killed, and whatever joins.

Several nodes are emulated by Ray itself (`ray.cluster_utils`): each has processes of its own, and is killed with them.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ablations import run
from ablations.launchers import nodes
from ablations.launchers.ray import Ray
from ablations.testing import check
from analysis.errors import InputError
from tests.ablations.conftest import rows

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

TWO_TRAININGS = ["data=mixture2d", "network=mlp", "network.width=16", "network.layers=1", "horizon=25"]
TWO_TRAININGS += ["training.warmup=10", "training.report_every=100", "evaluation.exact=2", "evaluation.strata=2"]
TWO_TRAININGS += ["parameterization=epsilon,v", "name=points"]
SHORT = [*TWO_TRAININGS, "training.steps=100"]
LONG = [*TWO_TRAININGS, "training.steps=4000"]
SECONDS = 400


def numbers_in(results):
    """What cells came to, without their seconds and bytes, and the commit that a checkout happened to be at."""
    found = rows(results / "points")
    assert all(row["status"] == "finished" for row in found)
    return [
        {key: value for key, value in row.items() if not key.startswith(("cost/", "code", "first_result"))}
        for row in found
    ]


def test_a_cluster_of_this_machine_keeps_what_launchers_keep_with_their_numbers(
    real_ray, store, tmp_path, without_pictures
):
    check(Ray("local"))
    with pytest.raises(InputError, match=r"no node of the cluster holds a cell, which needs 1 CPU\(s\) and 1 GPU"):
        Ray("local").devices("cuda", 1)
    found = []
    for words in (["launcher=serial"], ["launcher=ray", "launcher.address=local"]):
        results = tmp_path / words[0].removeprefix("launcher=")
        results.mkdir()
        shutil.copy(store, results / "mlflow.db")
        assert run.main([*SHORT, *words, f"results={results}"]) == 0
        found.append(numbers_in(results))
    assert found[0] == found[1]
    assert not list((tmp_path / "ray" / ".stages").glob(f"{nodes.TOKEN}*"))


SCRIPT = """
import os
import sys
from ablations import run
from ablations.driver import pages
from ablations.launchers import nodes
from ablations.stages import training_loop

# Workers read this file too.
training_loop.CHECKPOINT_SECONDS = 0.5
if os.environ.get("NO_FOLDER"):
    # Each worker as on a machine that shares no folder with the command.
    nodes.Place.is_seen = False
pages.write_pages = lambda folder: ""

if __name__ == "__main__":
    raise SystemExit(run.main(sys.argv[1:]))
"""
TRAINING = "ray::training"
"""What the process of a worker is called while it trains."""


class Nodes:
    """Several nodes on this machine, each with a CPU for cells, beside a head that has none; and commands on them."""

    def __init__(self, results):
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.results = results
        self.script = results.with_suffix(".py")
        self.script.write_text(SCRIPT)
        self.commands = []

    def join(self):
        """One more node."""
        return self.cluster.add_node(num_cpus=1)

    def command(self, *words):
        """A grid of two trainings, begun."""
        here = [f"results={self.results}", "launcher=ray", f"launcher.address={self.cluster.address}"]
        command = [sys.executable, str(self.script), *LONG, *here, *words]
        begun = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.commands.append(begun)
        return begun

    def trainings(self, of):
        """The processes that train on some nodes, once one of them is on its way."""
        raylets = {node.all_processes["raylet"][0].process.pid for node in of}
        found = [one for one in psutil.process_iter(["name", "cmdline", "ppid"]) if one.info["ppid"] in raylets]
        left = (self.results / ".stages").glob("*/progress")
        begun = any(not (file.parent / "result.json").exists() for file in left)
        return [one for one in found if begun and one.info["cmdline"] and one.info["cmdline"][0] == TRAINING]

    def ended(self, command):
        """What a command printed, once it has ended well."""
        printed, _ = command.communicate(timeout=SECONDS)
        assert command.returncode == 0, printed
        return printed

    def close(self):
        for command in self.commands:
            command.kill()
            command.wait()
        self.cluster.shutdown()


@pytest.fixture(params=["shared", "alone"])
def several(request, real_ray, tmp_path, monkeypatch):
    """Nodes that see the journal, and nodes that share no folder with the command."""
    if request.param == "alone":
        monkeypatch.setenv("NO_FOLDER", "yes")
    real_ray.shutdown()
    found = Nodes(tmp_path / "several")
    yield found
    found.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The numbers of the same grid by local workers, unbroken."""
    results = tmp_path_factory.mktemp("local")
    script = results / "script.py"
    script.write_text(SCRIPT)
    subprocess.run([sys.executable, str(script), *LONG, f"results={results}"], check=True)
    return numbers_in(results)


def until(found, seconds=120.0):
    """What is found, as soon as it is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if it := found():
            return it
        time.sleep(0.05)
    raise AssertionError(f"nothing after {seconds} s")


@pytest.mark.slow
def test_a_worker_that_is_killed_in_mid_training_costs_a_try(several, whole):
    node = several.join()
    command = several.command()
    until(lambda: several.trainings([node]))[0].kill()
    assert "trying it once more" in several.ended(command)
    assert numbers_in(several.results) == whole


@pytest.mark.slow
def test_a_node_that_is_killed_in_mid_training_leaves_its_stage_to_the_other(several, whole):
    first, _ = several.join(), several.join()
    command = several.command()
    until(lambda: several.trainings([first]))
    several.cluster.remove_node(first, allow_graceful=False)
    assert "trying it once more" in several.ended(command)
    assert numbers_in(several.results) == whole


@pytest.mark.slow
def test_a_training_whose_node_is_killed_goes_on_from_its_checkpoint_on_another(several, whole):
    first, stages = several.join(), several.results / ".stages"
    command = several.command()
    reports = until(lambda: next(stages.glob("*/metrics.jsonl"), None))
    until((reports.parent / "checkpoint.safetensors").exists)
    several.cluster.remove_node(first, allow_graceful=False)
    began = first_report(reports.parent)
    several.join()
    assert "trying it once more" in several.ended(command)
    assert first_report(reports.parent) == began, "what was done before took the seconds that it took then"
    assert numbers_in(several.results) == whole


def first_report(folder):
    """The first line that a training has reported, with the seconds that it took."""
    return (folder / "metrics.jsonl").read_text().splitlines()[0]


@pytest.mark.slow
def test_a_driver_that_is_killed_takes_its_stages_with_it_and_continues_from_the_journal(several, whole):
    node = several.join()
    first = several.command()
    training = until(lambda: several.trainings([node]))
    first.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(training, timeout=30)
    assert alive == []
    several.ended(several.command())
    assert numbers_in(several.results) == whole


@pytest.mark.slow
def test_a_node_that_joins_late_trains_beside_the_first(several, whole):
    first = several.join()
    command = several.command()
    until(lambda: several.trainings([first]))
    late = several.join()
    until(lambda: several.trainings([late]))
    several.ended(command)
    assert numbers_in(several.results) == whole
