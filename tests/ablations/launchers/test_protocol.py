"""A launcher is a choice: every file builds one, its fields are checked, and it says on which devices stages run."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from ablations.engine import processes
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.engine.workers import WorkerDied
from ablations.launchers import warm
from ablations.launchers.local import Local
from ablations.launchers.protocol import Launcher, launcher_of
from ablations.launchers.serial import Serial
from ablations.settings.arguments import parse_run
from ablations.settings.grammar import options_of
from ablations.settings.registry import classes
from ablations.testing.launchers import stage
from analysis.errors import InputError
from tests.sampling import sampled


def asked(*words):
    return launcher_of(parse_run(list(words)))


def test_every_file_builds_the_launcher_of_its_name():
    built = {name: type(asked(f"launcher={name}")) for name in options_of("launcher")}
    assert built == classes(Launcher)
    assert built.items() >= {"local": Local, "serial": Serial}.items()
    assert isinstance(asked(), Local)


def test_its_fields_are_set_as_a_choices_are():
    assert asked("launcher.workers=3") == asked("launcher=local", "launcher.workers=3") == Local(workers=3)


@pytest.fixture
def gpus(monkeypatch):
    """(count) → a machine that has so many."""

    def of(count):
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr("torch.cuda.device_count", lambda: count)

    return of


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("launcher=slurm", "no launcher called 'slurm': there are local, ray, serial"),
        ("launcher.workers=0", "launcher.workers must be at least 1, got 0"),
        ("launcher.per_gpu=0", "launcher.per_gpu must be at least 1, the cells at a time on a GPU, or auto, got 0"),
        ("launcher.per_gpu=some", "launcher.per_gpu must be at least 1, .* or auto, got some"),
        ("launcher.together=0", "launcher.together must be auto, or from 1 to 64 trainings .* in a worker, got 0$"),
        ("launcher.together=65", "launcher.together must be auto, or from 1 to 64 trainings .* in a worker, got 65$"),
        ("launcher.together=some", "launcher.together must be auto, or from 1 to 64 trainings .* worker, got some$"),
        ("launcher.together=1.5", "^launcher.together must be a whole number, got 1.5$"),
        ("launcher.together=true", "^launcher.together must be a whole number, got True$"),
        ("launcher.per_gpu=1.5", "^launcher.per_gpu must be a whole number, got 1.5$"),
        ("launcher.together=1,2", "launcher.together takes one value, got 2"),
        ("launcher=serial launcher.together=2", "launcher=serial has nothing to set"),
        ("launcher.workers=many", "launcher.workers must be a whole number, got 'many'"),
        ("launcher.workers=1,2", "launcher.workers takes one value, got 2"),
        ("launcher.wrokers=1", "no field of launcher=local called 'wrokers'.*did you mean 'workers'"),
        ("launcher=serial launcher.workers=2", "launcher=serial has nothing to set"),
    ],
)
def test_a_wrong_launcher_is_one_line(words, message):
    with pytest.raises(InputError, match=message):
        asked(*words.split())


def test_devices_on_a_cpu():
    cores = len(os.sched_getaffinity(0))
    assert Local().devices("cpu", threads=1) == ["cpu"] * cores
    assert Local().devices("cpu", threads=cores + 1) == ["cpu"]
    assert Local(workers=5).devices("cpu", threads=2) == ["cpu"] * 5
    assert Serial().devices("cpu", threads=1) == ["cpu"]


def test_devices_with_gpus(gpus):
    gpus(3)
    assert Local().devices("auto", threads=1) == Local().devices("cuda", threads=9) == ["cuda:0", "cuda:1", "cuda:2"]
    assert Local(workers=2).devices("cuda", threads=1) == ["cuda:0", "cuda:1"]
    assert Local(per_gpu=2).devices("cuda:1", threads=1) == ["cuda:1", "cuda:1"]
    assert Local(per_gpu=2, workers=4).devices("cuda", threads=1) == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    assert Local().devices("cuda:2", threads=1) == ["cuda:2"]
    assert Serial().devices("auto", threads=1) == ["cuda:0"]
    with pytest.raises(InputError, match="device=cuda:3 is not here: this machine has 3 CUDA devices"):
        Serial().devices("cuda:3", threads=1)


@pytest.mark.parametrize("fit", [1, 3])
def test_as_many_cells_as_fit_are_asked_for_by_auto_alone(fit):
    asked = []

    def fits(gpus):
        asked.append(gpus)
        return fit

    two = ["cuda:0", "cuda:1"]
    assert Local(per_gpu="auto").packed(two, fits) == two * fit
    assert asked == [two]
    assert Local(per_gpu="auto", workers=3).packed(two, fits) == (two * fit)[:3]
    asked.clear()
    assert Local(per_gpu="auto").packed(["cpu", "cpu"], fits) == ["cpu", "cpu"]
    assert Local(per_gpu=2).packed(two * 2, fits) == two * 2
    assert Serial().packed(two, fits) == two
    assert asked == []


def test_before_it_is_measured_auto_is_a_cell_on_each_gpu(gpus):
    gpus(2)
    assert asked("launcher.per_gpu=auto").devices("cuda", threads=1) == ["cuda:0", "cuda:1"]


def test_each_gpu_has_workers_of_its_own(tmp_path):
    """A process that has opened one card opens no other."""
    with closing(Local().start(str(tmp_path), ["cuda:0", "cuda:1", "cuda:0"])) as workers:
        found = [(worker.device, worker.pool._context.workers) for worker in workers.workers]
    assert found == [("cuda:0", 1), ("cuda:1", 1), ("cuda:0", 1)]


def killed(pool):
    """Kill the one process of a pool."""
    (process,) = pool._pool_manager.worker_manager.workers.values()
    process.kill()
    process.join()


def test_a_worker_that_dies_while_it_has_nothing_to_do_costs_nothing(tmp_path):
    """It broke the whole pool once, and with it the command."""
    with closing(Local().start(str(tmp_path), ["cpu", "cpu"])) as workers:
        for name in ("first", "second"):
            assert workers.status(workers.submit(stage(name), "cpu")) == "finished"
            killed(workers.workers[0].pool)
            while workers.workers[0].pool.active:
                time.sleep(0.01)


@pytest.mark.parametrize("seconds", sampled([0.02, 0.0, 0.05, 0.1, 0.2], 5))
def test_a_worker_that_dies_as_it_is_given_a_stage_costs_a_try(tmp_path, seconds):
    """Whenever that is: before it takes the stage, as it does, or after."""
    with closing(Local().start(str(tmp_path), ["cpu"])) as workers:
        assert workers.status(workers.submit(stage("before"), "cpu")) == "finished"
        future = workers.submit(stage("stage"), "cpu")
        time.sleep(seconds)
        killed(workers.workers[0].pool)
        try:
            assert workers.status(future) == "finished"
        except WorkerDied:
            assert workers.status(workers.submit(stage("stage"), "cpu")) == "finished"


@pytest.mark.parametrize(
    ("status", "lost", "ends"), [("failed", True, True), ("failed", False, False), ("finished", True, False)]
)
def test_a_worker_ends_where_its_gpu_no_longer_answers(status, lost, ends, monkeypatch):
    def synchronize(device):
        if lost:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    ended = []
    monkeypatch.setattr(processes, "perform", lambda *given: status)
    monkeypatch.setattr("torch.cuda.synchronize", synchronize)
    monkeypatch.setattr(processes.os, "_exit", ended.append)
    assert processes._perform(stage("any"), Journal(Path("root")), "cuda:0") == status
    assert ended == ([1] if ends else [])
    assert processes._perform(stage("any"), Journal(Path("root")), "cpu") == status
    assert ended == ([1] if ends else [])


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CPU"])
def test_a_device_that_is_none_is_refused(device):
    with pytest.raises(InputError, match="device must be auto, cpu, cuda or cuda:N"):
        Local().devices(device, threads=1)


DRIVER = """
import sys, time
from ablations.launchers.local import Local

if __name__ == "__main__":
    workers = Local().start(sys.argv[1], ["cpu", "cpu"])
    futures = [worker.pool.schedule(time.sleep, args=[600]) for worker in workers.workers]
    while not all(future.running() for future in futures):
        time.sleep(0.01)
    print("running", flush=True)
    time.sleep(600)
"""


@pytest.mark.thorough
def test_workers_end_with_a_driver_that_is_killed(tmp_path):
    (tmp_path / "driver.py").write_text(DRIVER)
    command = [sys.executable, tmp_path / "driver.py", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "running\n"
        (server,) = [p for p in psutil.Process(driver.pid).children() if "forkserver" in " ".join(p.cmdline())]
        processes = [server, *server.children()]
        assert len(processes) == 3
        driver.kill()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []


def test_workers_are_forked_from_a_process_that_knows_their_work():
    """What a worker imports first is what takes long; the name is one that can be imported."""
    assert importlib.import_module(warm.WORK).perform is perform
    assert warm.LOCAL in options_of("launcher")


def test_large_cells_have_several_gpus_each(gpus):
    gpus(5)
    assert Local(gpus_per_cell=2).devices("cuda", threads=1) == ["cuda:0+cuda:1", "cuda:2+cuda:3"]
    assert Local(gpus_per_cell=5).devices("auto", threads=1) == ["cuda:0+cuda:1+cuda:2+cuda:3+cuda:4"]
    assert Local(gpus_per_cell=2, workers=1).devices("cuda", threads=1) == ["cuda:0+cuda:1"]
    with pytest.raises(InputError, match=r"launcher\.gpus_per_cell=6 asks for so many GPUs, and device=cuda means 5"):
        Local(gpus_per_cell=6).devices("cuda", threads=1)
    with pytest.raises(InputError, match="device=cuda:1 means 1 here"):
        Local(gpus_per_cell=2).devices("cuda:1", threads=1)
    with pytest.raises(InputError, match="device=cpu means 0 here"):
        Local(gpus_per_cell=2).devices("cpu", threads=1)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"gpus_per_cell": 0}, r"launcher\.gpus_per_cell must be at least 1, got 0"),
        (
            {"gpus_per_cell": 2, "per_gpu": 2},
            r"gpus_per_cell=2 spreads a large cell over GPUs, and .*per_gpu=2",
        ),
        ({"gpus_per_cell": 2, "per_gpu": "auto"}, r"launcher\.per_gpu=auto puts small ones on the same"),
    ],
)
def test_gpus_per_cell_that_make_no_sense_are_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        Local(**fields)
