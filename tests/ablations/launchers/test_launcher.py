"""A launcher is a choice: every file builds one, its fields are checked, and it says on which devices stages run."""

from __future__ import annotations

import os

import pytest

from ablations.launchers.launcher import Local, Serial, launcher_of
from ablations.settings.arguments import parse_run
from ablations.settings.grammar import options_of
from ablations.settings.registry import classes
from analysis.errors import InputError


def asked(*words):
    return launcher_of(parse_run(list(words)))


def test_every_file_builds_the_launcher_of_its_name():
    built = {name: type(asked(f"launcher={name}")) for name in options_of("launcher")}
    assert built == classes("launcher")
    assert built.items() >= {"local": Local, "serial": Serial}.items()
    assert isinstance(asked(), Local)
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
        ("launcher=ray launcher.gpus_per_cell=2", "gpus_per_cell must be less than or equal to 1, got 2"),
        ("launcher.together=true", "^launcher.together must be a valid integer, got True$"),
        ("launcher.workers=1,2", "launcher.workers takes one value, got 2"),
        ("launcher=serial launcher.workers=2", "no field of launcher=serial called .workers.: there are none"),
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
