"""What `ablations.doctor` finds: everything that was broken here on purpose, with what to do, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from ablations.doctor import machine, stores
from ablations.doctor.__main__ import main
from ablations.doctor.page import Finding, Part, page
from ablations.doctor.stages import expected
from ablations.engine.journal import Failure, Journal, Result
from ablations.engine.lease import leased
from diffusion_core.networks import fused

DAY = 24 * 3600


@pytest.fixture
def doctor(again, capsys):
    """Looks at the copy of the tiny run; the exit code, and what is said."""

    def looked(*words: str) -> tuple[int, str]:
        code = main([f"results={again.results}", *words])
        return code, capsys.readouterr().out

    return looked


def said_of(text: str, name: str) -> str:
    """The line of a thing with those below it that say what to do, in one line."""
    found = re.search(rf"^ .[ !·] {re.escape(name)} .*(?:\n {{10}}.*)*", text, re.MULTILINE)
    assert found is not None, text
    return " ".join(found[0].split())


def test_of_a_finished_grid_nothing_is_wrong(doctor):
    code, text = doctor()
    assert code == 0
    assert text.endswith("\n\nNothing is wrong.\n")
    assert "!" not in text
    assert "15 of 15 have their result" in text
    assert ": whole" in said_of(text, "tracking")
    assert max(map(len, text.splitlines())) <= 120 or "/" in text


def test_names_and_values_are_aligned():
    parts = [
        Part("first", [Finding("a", "one"), Finding("longer", "two", "wrong", "mend it")]),
        Part("empty", []),
        Part("second", [Finding("b", "three", "note", "better")]),
    ]
    assert page(parts) == (
        "first\n    a       one\n  ! longer  two\n            → mend it\n\n"
        "second\n  · b       three\n            → better\n\n1 thing is wrong (!)."
    )


def test_stages_that_are_damaged_are_named_with_what_to_do(doctor, again):
    root = again.results / ".stages"
    trained = sorted(path.parent for path in root.glob("*/weights.safetensors"))
    (trained[0] / "weights.safetensors").write_bytes(b"no tensors")
    altered = bytearray((trained[1] / "weights.safetensors").read_bytes())
    altered[-1] ^= 1
    (trained[1] / "weights.safetensors").write_bytes(altered)
    drawn = next(root.glob("*/samples.safetensors"))
    whole = drawn.read_bytes()
    drawn.write_bytes(whole[:-1])
    bound = next(root.glob("*/bound.safetensors")).parent
    (bound / "result.json").write_text('{"status": "fin')
    code, text = doctor()
    assert code == 1
    assert "weights.safetensors has 10 bytes of" in said_of(text, trained[0].name)
    assert f"samples.safetensors has {len(whole) - 1} bytes of {len(whole)}" in said_of(text, drawn.parent.name)
    assert "result.json is no stage's result" in said_of(text, bound.name)
    assert "→ the same command makes it anew" in said_of(text, bound.name)
    assert text.endswith("3 things are wrong (!).\n")
    code, text = doctor("digests=yes")
    assert "weights.safetensors has been altered since it was written" in said_of(text, trained[1].name)
    assert f"once {trained[1] / 'result.json'} is deleted" in said_of(text, trained[1].name)
    assert text.endswith("4 things are wrong (!).\n")


@pytest.mark.parametrize(
    ("metrics", "files"),
    [
        ({"cost/parameters": 1.0, "cost/train_seconds": 1.0}, ["weights.safetensors"]),
        ({"cost/train_seconds": 1.0, "nll/val": 1.0}, []),
        ({"cost/bound_seconds": 1.0, "cost/ode_seconds": 1.0}, ["bound.safetensors", "ode.safetensors"]),
        ({"fid/train/digits-cnn": 1.0}, []),
    ],
    ids=["training", "rung", "bound", "floor"],
)
def test_what_a_stage_leaves_is_told_by_what_it_measured(metrics, files):
    assert expected(Result("finished", "", metrics, {}, {})) == files
    assert expected(Result("diverged", "", metrics, {}, {})) == []


def test_stages_that_failed_or_were_stopped_come_with_their_reason_in_a_line(doctor, again):
    journal = Journal(again.results / ".stages")
    journal.write_failure("a" * 12, Failure("error", "ValueError: too much\nof it"))
    journal.write_failure("b" * 12, Failure("stopped", "the command was stopped"))
    for i in range(12):
        journal.write_failure(f"c{i:011}", Failure("machine", "the disk is full"))
    code, text = doctor()
    assert code == 1
    assert "failed: ValueError: too much →" in said_of(text, "a" * 12)
    assert said_of(text, "b" * 12).startswith("· bbbbbbbbbbbb stopped: the command was stopped → the same command runs")
    assert "and 3 more that are failed" in text
    for folder in [*journal.root.glob("a*"), *journal.root.glob("c*")]:
        if not (folder / "result.json").exists():
            shutil.rmtree(folder)
    assert doctor()[0] == 0, "a stage that was stopped is nothing that is wrong"


def test_leases_are_named_with_who_holds_them(doctor, again):
    with leased(again.results / ".leases" / "tiny"):
        code, text = doctor()
    assert code == 0
    assert f"(process {os.getpid()})" in said_of(text, "tiny")


def test_a_store_that_is_damaged_or_none_is_wrong(doctor, again):
    store = again.results / "mlflow.db"
    pages = bytearray(store.read_bytes())
    middle = len(pages) // 4096 // 2 * 4096
    pages[middle : middle + 4096 * 20] = os.urandom(4096 * 20)
    store.write_bytes(pages)
    code, text = doctor()
    assert code == 1
    assert "is damaged" in said_of(text, "tracking")
    store.write_bytes(b"no database" * 100)
    code, text = doctor()
    assert code == 1
    assert "file is not a database" in said_of(text, "tracking")
    store.unlink()
    assert doctor()[0] == 0, "it is made by the next run"


def test_a_server_that_does_not_answer_is_wrong_and_its_password_is_not_said(doctor, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, text = doctor("tracking.uri=http://me:secret@127.0.0.1:9")
    assert code == 1
    assert "does not answer" in said_of(text, "tracking")
    assert "secret" not in text


def test_a_searchs_storage_is_looked_at_too(doctor, again):
    with sqlite3.connect(again.results / "optuna.db") as database:
        database.execute("create table one (n)")
    database.close()
    assert doctor()[0] == 0
    (again.results / "optuna.db").write_bytes(b"nothing of the kind" * 100)
    code, text = doctor()
    assert code == 1
    assert "file is not a database" in said_of(text, "searches")


@pytest.mark.parametrize(
    ("asked", "mark"), [("numpy>=1.26", ""), ("numpy>=1.26,<1.27", "wrong"), ("no-such-package>=3", "wrong")]
)
def test_packages_are_held_against_their_ranges(asked, mark):
    found = machine._package(Requirement(asked))
    assert found.mark == mark
    assert (f"pip install '{Requirement(asked).name}" in found.todo) == bool(mark)


def test_a_package_out_of_its_range_is_the_exit_code(doctor, monkeypatch):
    monkeypatch.setattr(machine, "_asked", lambda extra="": ([Requirement("numpy<1")] if not extra else [], ">=3.11"))
    code, text = doctor()
    assert code == 1
    assert "where <1 is asked for" in said_of(text, "numpy")
    monkeypatch.setattr(machine, "_asked", lambda extra="": ([], ">=4"))
    assert "make an environment with Python >=4" in said_of(doctor()[1], "python")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file", "c++"), "there is no C++ compiler (c++)"),
        (subprocess.CalledProcessError(1, "c++", stderr=b"fatal: no omp.h\nmore"), "refuses it (fatal: no omp.h)"),
        (subprocess.TimeoutExpired("c++", 120), "timed out"),
    ],
)
def test_why_the_kernel_is_not_used_is_said_and_nothing_is_wrong(error, words, monkeypatch):
    def refused() -> None:
        raise error

    monkeypatch.setattr(fused, "library", refused)
    assert words in machine.kernel_trouble()
    (found,) = [one for one in machine.machine().findings if one.name == "norm kernel"]
    assert found.mark == "note"


def test_cards_are_told_with_their_precision():
    new = SimpleNamespace(name="A100", total_memory=80e9, major=8, minor=0)
    old = SimpleNamespace(name="V100", total_memory=16e9, major=7, minor=0)
    assert machine.card(new) == "A100, 80 GB: training.precision=auto is bf16, and TF32 for what stays float32"
    assert "auto is float32" in machine.card(old)


def test_data_sets_are_found_or_it_is_said_where_they_were_looked_for(doctor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = doctor()[1]
    assert "cifar10 is not in data.root=data" in said_of(text, "cifar10")
    assert "sklearn/datasets/data" in said_of(text, "digits")
    assert "not found" in said_of(text, "folder")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "one.png").write_bytes(b"")
    batches = pictures / "cifar-10-batches-bin"
    batches.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (batches / f"{name}.bin").write_bytes(b"")
    text = doctor(f"data.root={pictures}")[1]
    assert f"{pictures} (1 images)" in said_of(text, "folder")
    assert str(batches) in said_of(text, "cifar10")


def test_a_disk_without_room_is_wrong(tmp_path, monkeypatch):
    usage = SimpleNamespace(total=1e12, used=1e12, free=9e8)
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda place: usage)
    (found, *_) = stores.disk(tmp_path).findings
    assert found.mark == "wrong"
    assert "900 MB free of 1 TB" in found.value
    assert "python -m ablations.clean" in found.todo


def test_what_files_say_does_nothing_to_a_terminal(doctor, again):
    Journal(again.results / ".stages").write_failure("a" * 12, Failure("error", "a \x1b[2J\u202ereason"))
    text = doctor()[1]
    assert "a \\x1b[2J\\u202ereason" in said_of(text, "a" * 12)
    assert "\x1b" not in text


def test_a_wrong_word_is_refused():
    from ablations.settings.exits import outcome

    assert outcome(main, ["result=here"]) == 2


def test_results_that_cannot_be_read_are_wrong(doctor, again):
    (again.folder / "grid.json").write_text("garbage")
    code, text = doctor()
    assert code == 1
    assert "0 of 1 can be read" in said_of(text, "folders")
    assert "is not the description of a grid" in said_of(text, "tiny")


def test_every_folder_is_looked_at_whatever_is_wrong_with_others(doctor, again):
    head = json.loads((again.folder / "grid.json").read_text())
    for name, changes in (("deep", None), ("twice", {"axes": head["axes"] * 2}), ("none", {"cells": {"gone": {}}})):
        folder = again.results / name
        folder.mkdir()
        (folder / "runs.csv").write_bytes((again.folder / "runs.csv").read_bytes())
        (folder / "grid.json").write_text("[" * 100_000 if changes is None else json.dumps(head | changes))
    code, text = doctor()
    assert code == 1
    assert "1 of 4 can be read" in said_of(text, "folders")
    assert "is not the description of a grid" in said_of(text, "deep")
    assert "is there twice" in said_of(text, "twice")
    assert "of the rows that grid.json lists" in said_of(text, "none")
