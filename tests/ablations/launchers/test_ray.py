"""Ray: what a cluster holds, what is refused and how, and what becomes of tasks, by a stand-in for Ray."""

from __future__ import annotations

import pickle
import socket
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from ablations.engine.lease import leased
from ablations.engine.parcels import Changes
from ablations.engine.workers import WorkerDied
from ablations.launchers import cluster as cluster_of
from ablations.launchers import nodes, tasks
from ablations.launchers.cluster import Need, Node
from ablations.launchers.nodes import DriverState, Place, new_token, perform_pickled, take_away
from ablations.launchers.ray import Ray
from ablations.testing.launchers import stage
from analysis.errors import InputError
from tests.ablations.conftest import HERE


class Spoken:
    """What a stand-in raises in Ray's name."""

    class RayError(Exception):
        pass

    class RayTaskError(RayError):
        def __init__(self, cause):
            super().__init__(f"ray::training()\n{type(cause).__name__}: {cause}")
            self.cause = cause

    class GetTimeoutError(RayError):
        pass


class StandIn:
    """Ray as far as a driver sees it: nodes with (CPUs, GPUs), and what connecting raises."""

    exceptions = Spoken

    def __init__(self, *has, raises=None):
        self.has = list(has)
        self.raises = raises
        self.cancelled, self.given, self.yields = [], [], []
        self.ended = threading.Event()

    def is_initialized(self):
        return self.raises is None

    def init(self, **_):
        raise self.raises

    def nodes(self):
        resources = [{"CPU": float(cpus), "GPU": float(gpus), "memory": 1e9} for cpus, gpus in self.has]
        here = [{"Alive": True, "NodeManagerAddress": f"10.0.0.{i}", "Resources": r} for i, r in enumerate(resources)]
        return [*here, {"Alive": False, "NodeManagerAddress": "10.0.0.99", "Resources": {"CPU": 64.0, "GPU": 8.0}}]

    def remote(self, **_):
        task = SimpleNamespace(remote=lambda *given: self.told(given))
        return lambda function: SimpleNamespace(options=lambda **options: task)

    def told(self, given):
        """What a task yields: what `yields` says, after which it is under way until it is cancelled."""
        self.given.append(given)
        yield from self.yields
        self.ended.wait()

    def put(self, value):
        return value

    def get(self, reference):
        if isinstance(reference, Exception):
            raise reference
        return reference

    def cancel(self, reference, force):
        assert force
        self.cancelled.append(reference)
        self.ended.set()


@pytest.fixture
def cluster(monkeypatch):
    """(has, …) → a stand-in of such nodes, which is what `import ray` finds."""

    def of(*has, raises=None):
        found = StandIn(*has, raises=raises)
        monkeypatch.setitem(sys.modules, "ray", found)
        return found

    return of


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"gpus_per_cell": 0.0}, r"launcher\.gpus_per_cell must be a share of a GPU, .* got 0\.0"),
        ({"gpus_per_cell": 1.5}, r"or a whole number of them, got 1\.5"),
        ({"address": "nowhere"}, r"launcher\.address must be HOST:PORT of a head, auto or local, got nowhere"),
        ({"address": "ray://head:10001"}, "got ray://head:10001"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        Ray(**fields)


@pytest.mark.parametrize(
    ("need", "stages"),
    [
        (Need(1, 0), 8),
        (Need(3, 0), 2),
        (Need(9, 0), 0),
        (Need(1, 1), 2),
        (Need(1, 0.25), 8),
        (Need(2, 0.25), 4),
        (Need(1, 0.4), 4),  # two on each: a stage has its share of one GPU
        (Need(1, 2), 1),
        (Need(1, 3), 0),
    ],
)
def test_a_node_of_8_cpus_and_2_gpus_holds_so_many(need, stages):
    assert Node("here", 8, 2).holds(need) == stages


def test_a_stage_at_a_time_for_each_that_the_nodes_hold(cluster):
    cluster((4, 0), (8, 2), (1, 1))
    assert Ray().devices("cpu", 2) == ["cpu"] * 6
    assert Ray().devices("auto", 1) == Ray().devices("cuda", 1) == ["cuda:0"] * 3
    assert Ray(gpus_per_cell=0.25).devices("cuda", 1) == ["cuda:0"] * 9
    assert Ray(gpus_per_cell=2).devices("cuda", 1) == ["cuda:0+cuda:1"]
    cluster((4, 0))
    assert Ray().devices("auto", 1) == ["cpu"] * 4


@pytest.mark.parametrize(
    ("has", "device", "threads", "fields", "complaint"),
    [
        ([(4, 0)], "cuda", 1, {}, r"needs 1 CPU\(s\) and 1 GPU\(s\): 10\.0\.0\.0 has 4 CPU\(s\) and 0 GPU\(s\)$"),
        ([(4, 0), (2, 0)], "cpu", 5, {}, r"no node .* needs 5 CPU\(s\): 10.0.0.0 has 4 .*, 10.0.0.1 has 2 CPU\(s\)"),
        ([(4, 1), (4, 1)], "cuda", 1, {"gpus_per_cell": 2.0}, r"needs 1 CPU\(s\) and 2 GPU\(s\)"),
        ([(1, 0)] * 7, "cpu", 2, {}, "and 2 more"),
        ([], "auto", 1, {}, "there is none"),
        ([(4, 4)], "cuda:1", 1, {}, "takes whichever GPUs are free, got device=cuda:1: take device=cuda"),
    ],
)
def test_what_no_node_has_is_refused_at_once_with_what_they_have(has, device, threads, fields, complaint, cluster):
    cluster(*has)
    with pytest.raises(InputError, match=complaint):
        Ray(**fields).devices(device, threads)


def started(launcher, root, monkeypatch, now):
    monkeypatch.setattr(tasks.time, "monotonic", lambda: now[0])
    return launcher.start(str(root), launcher.devices("cpu", 1))


def test_a_node_that_joins_brings_its_devices_and_one_that_takes_anothers_place_brings_none(
    cluster, tmp_path, monkeypatch
):
    found, now = cluster((2, 0)), [0.0]
    workers = started(Ray(), tmp_path, monkeypatch, now)
    found.has.append((3, 0))
    assert workers.more() == [], "nodes are looked at now and then"
    now[0] += tasks.LOOK_SECONDS
    assert workers.more() == ["cpu"] * 3
    for has, more in (([(3, 0)], 0), ([(3, 0), (2, 0)], 0), ([(3, 0), (4, 0)], 2)):
        found.has[:] = has
        now[0] += tasks.LOOK_SECONDS
        assert workers.more() == ["cpu"] * more


def test_stages_that_no_node_is_left_for_are_an_error_after_a_while(cluster, tmp_path, monkeypatch):
    found, now = cluster((2, 0)), [0.0]
    workers = started(Ray(), tmp_path, monkeypatch, now)
    workers.submit(stage("lost"), "cpu")
    found.has.clear()
    now[0] += tasks.PATIENCE
    assert workers.more() == [], "a node may come back"
    now[0] += tasks.LOOK_SECONDS
    with pytest.raises(InputError, match=r"no node is left that holds a cell, which needs 1 CPU.*there is none; start"):
        workers.more()
    workers.close()
    assert len(found.cancelled) == 1


@pytest.mark.parametrize(
    ("raised", "comes", "message"),
    [
        (Spoken.RayError("The node died\nof old age"), WorkerDied, "^The node died$"),
        (Spoken.RayTaskError(OSError(28, "No space left")), OSError, "No space left"),
        (Spoken.RayTaskError(InputError("the node n does not see /x")), InputError, "^the node n does not see /x$"),
        (
            Spoken.RayTaskError(ModuleNotFoundError("No module named 'ablations'")),
            InputError,
            "could not begin .ModuleNotFoundError: No module named 'ablations'.: install the same packages",
        ),
    ],
)
def test_what_becomes_of_a_task_is_said_in_the_protocols_words(raised, comes, message, cluster, tmp_path):
    found = cluster((2, 0))
    workers = Ray().start(str(tmp_path), ["cpu"])
    found.yields = [raised]
    future = workers.submit(stage("any"), "cpu")
    with pytest.raises(comes, match=message):
        workers.status(future)


@pytest.mark.parametrize(
    ("raises", "said"),
    [
        (ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379"), "export the same RAY_AUTH_MODE"),
        (RuntimeError("Token authentication is enabled but no token was found"), "export the same RAY_AUTH_MODE"),
        (ConnectionError("Could not find any running Ray instance."), "no Ray cluster answers .*ray start --head"),
    ],
)
def test_a_cluster_that_cannot_be_entered_is_a_line_that_says_what_to_do(raises, said, cluster, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster(raises=raises)
    with pytest.raises(InputError, match=said) as caught:
        Ray().devices("cpu", 1)
    assert "\n" not in str(caught.value)


def test_an_address_where_nothing_listens_is_told_in_seconds(cluster):
    cluster(raises=AssertionError("Ray would try for minutes"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(InputError, match=rf"no Ray cluster answers at launcher\.address={address} .*refused"):
        Ray(address).devices("cpu", 1)
    assert time.monotonic() - began < cluster_of.ANSWER_SECONDS


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"launcher=ray needs Ray: pip install 'diffusion-ablations\[ray\]'"):
        Ray().devices("cpu", 1)


@pytest.fixture
def told(monkeypatch):
    """This process, of which no worker is to be made."""
    monkeypatch.setattr(nodes.spawn, "prepare", lambda known: None)
    nodes._prepare.cache_clear()
    return DriverState.here()


OTHER = {"float32": "bf16", "bf16": "float32"}[HERE]


def test_a_node_that_is_not_as_the_command_believes_refuses_a_stage(told, tmp_path):
    token = new_token(str(tmp_path))
    given = pickle.dumps(stage("good"))

    def statuses(told, place, parcel=None):
        return [changes.status for changes in perform_pickled(told, place, given, parcel, "cpu")]

    assert statuses(told, Place(str(tmp_path), token, HERE)) == ["finished"]
    with pytest.raises(InputError, match=f"training.precision=auto means {HERE} on the node .* and {OTHER} to the"):
        statuses(told, Place(str(tmp_path), token, OTHER))
    with pytest.raises(InputError, match=r"has other code .* than the command \(0 with torch 0\): install the same"):
        statuses(DriverState(told.folder, (), (), "0 with torch 0"), Place(str(tmp_path), token, HERE))
    elsewhere = Place(str(tmp_path / "elsewhere"), token, HERE)
    assert statuses(told, elsewhere) == [nodes.UNSEEN]
    assert statuses(told, elsewhere, {})[-1] == "finished"
    assert not (tmp_path / "elsewhere").exists()


def test_a_node_that_does_not_see_the_journal_is_sent_what_a_stage_reads(cluster, tmp_path):
    found = cluster((2, 0))
    workers = Ray().start(str(tmp_path), ["cpu"])
    found.ended.set()
    found.yields = [Changes(status=nodes.UNSEEN)]
    assert workers.status(workers.submit(stage("first"), "cpu")) == nodes.UNSEEN
    assert [given[3] for given in found.given] == [None, {}], "the second time it had a parcel"
    left = {("first", "result.json"): b"{}"}
    found.yields = [Changes(left), Changes(status="finished")]
    assert workers.status(workers.submit(stage("first"), "cpu")) == "finished"
    assert [path.name for path in (tmp_path / "first").iterdir()] == ["result.json"]
    with leased(tmp_path / "second"):
        assert workers.status(workers.submit(stage("second"), "cpu")) == "elsewhere"


def test_each_command_knows_a_journal_by_a_file_of_its_own_and_only_very_old_ones_go(tmp_path):
    old = tmp_path / ".seen-by-2020-02-29-0123"
    old.touch()
    first = Place(str(tmp_path), new_token(str(tmp_path)), HERE)
    second = Place(str(tmp_path), new_token(str(tmp_path)), HERE)
    assert first.is_seen
    assert second.is_seen
    take_away(second)
    assert first.is_seen
    assert not second.is_seen
    assert not old.exists()
