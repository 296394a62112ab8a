"""Ray: what a cluster holds and what is refused, by a stand-in; and on a cluster of this machine a worker is killed."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings

import pytest
import torch

from ablations.engine.journal import Journal
from ablations.engine.scheduler import Scheduler
from ablations.launchers import ray as module
from ablations.launchers.ray import Ray, _perform
from ablations.settings.making import make_cell
from ablations.stages.metrics import FloorStage
from analysis.errors import InputError
from diffusion_core.precision import resolve_precision
from tests.ablations.engine.test_scheduler import told
from tests.ablations.engine.toys import PLAN, RUNS, SUMS


class StandIn:
    """Ray as far as a driver sees it: nodes with (CPUs, GPUs), and what connecting raises."""

    def __init__(self, has, raises):
        self.has, self.raises = has, raises

    def init(self, **_):
        if self.raises is not None:
            raise self.raises

    def nodes(self):
        here = [{"Alive": True, "Resources": {"CPU": float(cpus), "GPU": float(gpus)}} for cpus, gpus in self.has]
        return [*here, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]


@pytest.fixture
def cluster(monkeypatch):
    """(has, …) → `import ray` finds a stand-in of such nodes."""
    return lambda *has, raises=None: monkeypatch.setitem(sys.modules, "ray", StandIn(has, raises))


def test_a_stage_at_a_time_for_each_that_the_nodes_hold(cluster):
    cluster((4, 0), (8, 2), (1, 1))
    assert Ray().devices("cpu", 2) == ["cpu"] * 6
    assert Ray().devices("auto", 1) == Ray().devices("cuda", 1) == ["cuda:0"] * 3
    assert Ray(gpus_per_cell=0.25).devices("cuda", 1) == ["cuda:0"] * 9
    cluster((4, 0))
    assert Ray().devices("auto", 1) == ["cpu"] * 4


@pytest.mark.parametrize(
    ("has", "device", "threads"),
    [([(4, 0)], "cuda", 1), ([(4, 0), (2, 0)], "cpu", 5), ([], "auto", 1), ([(4, 4)], "cuda:1", 1)],
)
def test_what_no_node_has_is_refused_at_once(has, device, threads, cluster):
    cluster(*has)
    with pytest.raises(InputError, match=f"^no node .* holds a cell with threads={threads} and device={device}: .*$"):
        Ray().devices(device, threads)


def test_a_cluster_that_cannot_be_entered_is_told_in_rays_own_words(cluster):
    cluster(raises=ConnectionError("Could not find any"))
    with pytest.raises(InputError, match=r"^no Ray cluster at launcher\.address=auto .*: Could not find any$"):
        Ray().devices("cpu", 1)


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"launcher=ray needs Ray: pip install 'diffusion-ablations\[ray\]'"):
        Ray().devices("cpu", 1)


FLOOR = FloorStage("floor", make_cell([{"data": "mixture2d", "network": "mlp"}], seed=0))
CODE, HERE = module._code(), resolve_precision("auto", torch.device("cpu"))


@pytest.mark.parametrize(
    ("believed", "refusal"),
    [
        (("code 0", HERE), f"has code .* torch .* and {HERE}, the command code 0 and {HERE}: take nodes of one kind"),
        ((CODE, "other"), f"has code .* torch .* and {HERE}, the command code .* and other: take nodes of one kind"),
        ((CODE, HERE), "does not see .*/nowhere: give results= a folder that all nodes share"),
    ],
)
def test_a_node_that_would_give_other_numbers_or_does_not_see_the_journal_is_refused(believed, refusal, tmp_path):
    with pytest.raises(InputError, match=refusal):
        _perform(FLOOR, Journal(tmp_path / "nowhere"), "cpu", os.getcwd(), [], believed)


@pytest.fixture
def real_ray(monkeypatch):
    """Ray itself, with a token of its own; what it starts ends with the test."""
    for name, value in {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64}.items():
        monkeypatch.setenv(name, value)
    ray = pytest.importorskip("ray")
    yield ray
    ray.shutdown()
    with warnings.catch_warnings():
        # Ray leaves the logs of the processes that it started open.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_worker_that_is_killed_costs_a_try_and_no_number(real_ray, tmp_path):
    journal, launcher = Journal(tmp_path), Ray("local")
    scheduler = Scheduler(journal, launcher.start(journal, launcher.devices("cpu", 1)))
    scheduler.add(PLAN)
    events, killed = [], False
    for event in scheduler.run():
        events += told([event])
        if not killed and event.kind == "progress" and 0 < event.share < 1:
            os.kill(int((journal.folder(event.stage.id) / RUNS).read_text()), signal.SIGKILL)
            killed = True
    assert [kind for kind, *_ in events].count("retried") == 1
    assert {name: journal.result(name).metrics["sum"] for name in SUMS} == SUMS
