"""Grids whose journal is on an object store: the numbers of one in a folder, whatever dies, and wherever it goes on."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from ablations import run, sample
from ablations.engine.journal import Journal
from ablations.stages import bucket as module
from ablations.stages import training_loop
from ablations.stages.bucket import bucket_at
from ablations.stages.opening import journal_at
from ablations.stages.perform import perform
from ablations.stages.rung import RungStage
from ablations.stages.training import TrainingStage
from tests.ablations.conftest import reproducible

POINTS = [
    "data=mixture2d",
    "network=mlp",
    "network.width=16",
    "network.layers=1",
    "horizon=25",
    "training.warmup=10",
    "training.report_every=50",
    "evaluation.exact=2",
    "evaluation.strata=2",
    "name=points",
]
SHORT = [*POINTS, "training.steps=100", "evaluation.rungs=1", "parameterization=epsilon,v", "launcher=serial"]
LONG = [*POINTS, "training.steps=2000", "parameterization=epsilon,v"]
SECONDS = 300


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """name → the user's cache is another one from now on, as on another machine."""

    def use(name):
        monkeypatch.setenv("DIFFUSION_ABLATIONS_CACHE", str(tmp_path / name))

    use("here")
    return use


def numbers_in(results):
    """What cells came to, without their seconds and bytes."""
    with (Path(results) / "points" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["status"] == "finished" for row in rows), [row["reason"] for row in rows]
    return [{key: value for key, value in row.items() if not key.startswith("cost/") and key != "code"} for row in rows]


def files_in(folder):
    """Ids and files of a journal in a folder, as on a store."""
    there = folder.glob("*/*")
    return sorted(f"{path.parent.name}/{path.name}" for path in there)


@pytest.mark.slow
def test_a_grid_on_a_store_has_the_ids_and_numbers_of_one_in_a_folder_and_goes_on_anywhere(
    object_store, caches, store, tmp_path, without_pictures, capsys
):
    for name in ("folder", "bucket"):
        (tmp_path / name).mkdir()
        shutil.copy(store, tmp_path / name / "mlflow.db")
    assert run.main([*SHORT, f"results={tmp_path / 'folder'}", f"journal={tmp_path / 'kept'}"]) == 0
    assert not (tmp_path / "folder" / ".stages").exists()
    on_store = [f"results={tmp_path / 'bucket'}", f"journal={object_store.url}"]
    assert run.main([*SHORT, *on_store]) == 0
    assert numbers_in(tmp_path / "bucket") == numbers_in(tmp_path / "folder")
    kept = [key for key in object_store.objects() if not key.startswith(".now")]
    assert sorted(kept) == files_in(tmp_path / "kept")
    assert not (tmp_path / "bucket" / ".stages").exists()
    # Another machine, another folder of results, and the journal alone.
    caches("there")
    object_store.store.of_keys.clear()
    (tmp_path / "other").mkdir()
    shutil.copy(store, tmp_path / "other" / "mlflow.db")
    assert run.main([*SHORT, f"results={tmp_path / 'other'}", f"journal={object_store.url}"]) == 0
    assert numbers_in(tmp_path / "other") == numbers_in(tmp_path / "folder")
    assert [key for method, key in object_store.store.of_keys if method == "PUT" and key.endswith("result.json")] == []
    cell = numbers_in(tmp_path / "other")[0]["cell_id"]
    words = [f"cell={cell}", "n=4", f"results={tmp_path / 'other'}", f"out={tmp_path / 'drawn'}"]
    capsys.readouterr()
    assert sample.main([*words, f"journal={object_store.url}"]) == 0
    assert (tmp_path / "drawn.csv").exists()
    assert sample.main(words) == 2
    assert "was not trained here" in capsys.readouterr().err


@pytest.fixture
def training():
    """A small training, which is scored on its way."""
    from ablations.driver.plan import plan
    from ablations.grids.grid import make
    from ablations.launchers.serial import Serial
    from ablations.settings.arguments import parse_run

    request = parse_run([*POINTS, "training.steps=200", "evaluation.rungs=1"])
    stages = plan(make(request), Serial(), ["cpu"]).stages()
    (found,) = [stage for stage in stages if isinstance(stage, TrainingStage)]
    (rung,) = [stage for stage in stages if isinstance(stage, RungStage)]
    return found, rung


def state_of(journal, stage):
    """The weights that a training left, and its numbers but for what it cost."""
    from ablations.stages.artifacts import read_artifact

    result = journal.result(stage.id)
    tensors, _ = read_artifact(journal.holding(stage.id, "weights.safetensors"), "weights.safetensors")
    metrics = {name: value for name, value in result.metrics.items() if not name.startswith("cost/")}
    return {name: value.tolist() for name, value in tensors.items()}, metrics, reproducible(result.curves)


def test_a_training_that_is_cut_goes_on_from_its_checkpoint_on_another_machine(
    object_store, caches, training, tmp_path, monkeypatch
):
    stage, rung = training
    assert perform(stage, str(tmp_path / "whole"), "cpu") == "finished"
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)
    real = training_loop.train

    def cut(*given):
        for report in real(*given):
            if report.step > 150:
                raise KeyboardInterrupt
            yield report

    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "train", cut)
        with pytest.raises(KeyboardInterrupt):
            perform(stage, object_store.url, "cpu")
    assert f"{stage.id}/checkpoint.safetensors" in object_store.objects()
    assert f"{rung.id}/result.json" in object_store.objects()
    caches("there")
    object_store.store.of_keys.clear()
    assert perform(stage, object_store.url, "cpu") == "finished"
    assert ("GET", f"{stage.id}/checkpoint.safetensors") in object_store.store.of_keys
    whole, found = Journal(tmp_path / "whole"), journal_at(object_store.url)
    assert state_of(found, stage) == state_of(whole, stage)
    assert found.result(rung.id).metrics["nll/val"] == whole.result(rung.id).metrics["nll/val"]
    left = {key.partition("/")[2] for key in object_store.objects() if key.startswith(stage.id)}
    assert left == {"average-100.safetensors", "metrics.jsonl", "progress", "result.json", "weights.safetensors"}


@pytest.mark.thorough
def test_a_training_whose_store_stays_away_fails_as_a_machine_does_and_a_later_one_goes_on(
    object_store, caches, training, tmp_path, monkeypatch
):
    stage, _ = training
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)
    for name, value in (("PATIENCE", 0.3), ("PAUSES", (0.1,))):
        monkeypatch.setattr(module, name, value)
    real, store = training_loop.train, object_store.store

    def cut_off(*given):
        for report in real(*given):
            yield report
            if report.step == 150:
                store.stop()

    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "train", cut_off)
        with pytest.raises(OSError, match=f"^{object_store.url}: Could not connect"):
            perform(stage, object_store.url, "cpu")
    store.busy = False
    store.start()
    assert perform(stage, object_store.url, "cpu") == "elsewhere", "its lease is still there, and this process too"
    bucket_at(object_store.url).remove(f"{stage.id}/lease.1")
    caches("there")
    assert perform(stage, object_store.url, "cpu") == "finished"
    assert perform(stage, str(tmp_path / "whole"), "cpu") == "finished"
    assert state_of(journal_at(object_store.url), stage) == state_of(Journal(tmp_path / "whole"), stage)


SCRIPT = """
import sys
from ablations import run
from ablations.driver import pages
from ablations.stages import training_loop

# Read by workers too, which read this file.
training_loop.CHECKPOINT_SECONDS = 0.5
pages.write_pages = lambda folder: ""

if __name__ == "__main__":
    raise SystemExit(run.main(sys.argv[1:]))
"""


class Commands:
    """Commands as on machines of their own: each name has its own cache and folder of results."""

    def __init__(self, folder, empty_store):
        self.folder = folder
        self.empty_store = empty_store
        self.script = folder / "script.py"
        self.script.write_text(SCRIPT)
        self.begun = []

    def results(self, name):
        return self.folder / name / "results"

    def cache(self, name):
        return self.folder / name / "cache"

    def begin(self, name, *words):
        self.results(name).mkdir(parents=True, exist_ok=True)
        if not (self.results(name) / "mlflow.db").exists():
            shutil.copy(self.empty_store, self.results(name) / "mlflow.db")
        command = subprocess.Popen(
            [sys.executable, str(self.script), *LONG, f"results={self.results(name)}", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "DIFFUSION_ABLATIONS_CACHE": str(self.cache(name))},
        )
        self.begun.append(command)
        return command

    @staticmethod
    def ended(command, code=0):
        """What a command printed, once it has ended so."""
        printed, _ = command.communicate(timeout=SECONDS)
        assert command.returncode == code, printed
        return printed

    def close(self):
        for command in self.begun:
            command.kill()
            command.communicate()


@pytest.fixture
def commands(tmp_path, store):
    found = Commands(tmp_path, store)
    yield found
    found.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, store):
    """The numbers of the long grid with a journal in a folder, unbroken."""
    found = Commands(tmp_path_factory.mktemp("whole"), store)
    found.ended(found.begin("whole", "launcher.workers=1"))
    return numbers_in(found.results("whole"))


def until(found, seconds=120.0):
    """What is found, as soon as it is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if it := found():
            return it
        time.sleep(0.05)
    raise AssertionError(f"nothing after {seconds} s")


def at_work(object_store):
    """A training that has left a checkpoint, and who runs it."""
    for key, body in object_store.objects().items():
        stage_id, _, name = key.partition("/")
        if name.startswith("lease.") and f"{stage_id}/checkpoint.safetensors" in object_store.objects():
            return stage_id, json.loads(body)["pid"]
    return None


def read_anew(object_store, stage_id):
    return ("GET", f"{stage_id}/checkpoint.safetensors") in object_store.store.of_keys


def results_put(object_store):
    """How often the result of each stage was delivered."""
    put = [key for method, key in object_store.store.of_keys if method == "PUT" and key.endswith("/result.json")]
    return Counter(put)


@pytest.mark.slow
def test_a_worker_that_is_killed_goes_on_from_its_checkpoint_with_an_empty_cache(commands, whole, object_store):
    command = commands.begin("here", f"journal={object_store.url}", "launcher.workers=1")
    stage_id, pid = until(lambda: at_work(object_store))
    os.kill(pid, signal.SIGKILL)
    shutil.rmtree(commands.cache("here"))
    assert "trying it once more" in commands.ended(command)
    assert read_anew(object_store, stage_id)
    assert numbers_in(commands.results("here")) == whole


@pytest.mark.slow
def test_a_command_that_is_killed_is_gone_on_with_by_another_machine(commands, whole, object_store):
    first = commands.begin("here", f"journal={object_store.url}", "launcher=serial")
    stage_id, _ = until(lambda: at_work(object_store))
    first.kill()
    first.wait()
    commands.ended(commands.begin("there", f"journal={object_store.url}", "launcher.workers=1"))
    assert read_anew(object_store, stage_id)
    assert numbers_in(commands.results("there")) == whole
    assert set(results_put(object_store).values()) == {1}


@pytest.mark.slow
def test_two_commands_with_a_bucket_alone_in_common_share_the_work(commands, whole, object_store):
    begun = [commands.begin(name, f"journal={object_store.url}", "launcher.workers=1") for name in ("here", "there")]
    texts = [commands.ended(command) for command in begun]
    assert not any("was stopped here" in text for text in texts)
    assert numbers_in(commands.results("here")) == numbers_in(commands.results("there")) == whole
    # What points score, two trainings, and of each two bounds and the samples.
    assert list(results_put(object_store).values()) == [1] * (1 + 2 * 4)
    assert [key for key in object_store.objects() if "lease." in key] == []


@pytest.mark.slow
def test_an_outage_of_seconds_costs_seconds(commands, whole, object_store):
    command = commands.begin("here", f"journal={object_store.url}", "launcher.workers=1")
    until(lambda: at_work(object_store))
    with object_store.store.away():
        time.sleep(5)
    commands.ended(command)
    assert numbers_in(commands.results("here")) == whole
