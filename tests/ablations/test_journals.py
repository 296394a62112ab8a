"""Grids whose journal is on an object store: the numbers of one in a folder, whatever dies, and wherever it goes on."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from ablations import run, sample
from ablations.stages import bucket as module
from ablations.stages.bucket import bucket_at
from ablations.stages.journal import Journal
from ablations.stages.kinds import RungStage, TrainingStage
from ablations.stages.opening import journal_at
from ablations.workers import train
from ablations.workers.perform import perform

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
LONG = [*POINTS, "training.steps=6000", "training.report_every=100", "parameterization=epsilon,v"]
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


def files_in(results):
    """Ids and files of a journal in a folder that are kept, as on a store."""
    there = (Path(results) / ".stages").glob("*/*")
    return sorted(f"{path.parent.name}/{path.name}" for path in there)


@pytest.mark.slow
def test_a_grid_on_a_store_has_the_ids_and_numbers_of_one_in_a_folder_and_goes_on_anywhere(
    object_store, caches, store, tmp_path, without_pictures, capsys
):
    for name in ("folder", "bucket"):
        (tmp_path / name).mkdir()
        shutil.copy(store, tmp_path / name / "mlflow.db")
    assert run.main([*SHORT, f"results={tmp_path / 'folder'}"]) == 0
    on_store = [f"results={tmp_path / 'bucket'}", f"journal={object_store.url}"]
    assert run.main([*SHORT, *on_store]) == 0
    assert numbers_in(tmp_path / "bucket") == numbers_in(tmp_path / "folder")
    kept = [key for key in object_store.objects() if not key.startswith(".now")]
    assert sorted(kept) == files_in(tmp_path / "folder")
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
    from ablations.stages.artifacts import read_tensors

    result = journal.result(stage.id)
    tensors, _ = read_tensors(journal.needed(stage.id, "weights.safetensors"))
    metrics = {name: value for name, value in result.metrics.items() if not name.startswith("cost/")}
    return {name: value.tolist() for name, value in tensors.items()}, metrics, result.curves


def test_a_training_that_is_cut_goes_on_from_its_checkpoint_on_another_machine(
    object_store, caches, training, tmp_path, monkeypatch
):
    stage, rung = training
    assert perform(stage, str(tmp_path / "whole"), "cpu") == "finished"
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0)
    real = train.train

    def cut(*given):
        for report in real(*given):
            if report.step > 150:
                raise KeyboardInterrupt
            yield report

    with monkeypatch.context() as patch:
        patch.setattr(train, "train", cut)
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


def test_a_training_whose_store_stays_away_fails_as_a_machine_does_and_a_later_one_goes_on(
    object_store, caches, training, tmp_path, monkeypatch
):
    stage, _ = training
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0)
    for name, value in (("PATIENCE", 0.3), ("PAUSES", (0.1,))):
        monkeypatch.setattr(module, name, value)
    real, store = train.train, object_store.store

    def cut_off(*given):
        for report in real(*given):
            yield report
            if report.step == 150:
                store.stop()

    with monkeypatch.context() as patch:
        patch.setattr(train, "train", cut_off)
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
