"""What `ablations.doctor` finds: everything that was broken here on purpose, with what to do, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
from types import SimpleNamespace

import pytest
import torch

from ablations.doctor import machine, stages
from ablations.doctor.__main__ import main
from ablations.doctor.machine import Finding, page
from ablations.engine.journal import Failure, Journal
from ablations.engine.lease import leased
from diffusion_core.networks import fused


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


def test_names_and_values_are_aligned():
    parts = {
        "first": [Finding("a", "one"), Finding("longer", "two", "wrong", "mend it")],
        "empty": [],
        "second": [Finding("b", "three", "note", "better")],
    }
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
    assert f"→ delete {trained[1] / 'result.json'}" in said_of(text, trained[1].name)
    assert text.endswith("4 things are wrong (!).\n")


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
    assert text.count(" failed: ") == 10
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


def test_a_disk_without_room_is_wrong(tmp_path, monkeypatch):
    usage = SimpleNamespace(total=1e12, used=1e12, free=9e8)
    monkeypatch.setattr(stages.shutil, "disk_usage", lambda place: usage)
    found = next(stages.disk(tmp_path))
    assert found.mark == "wrong"
    assert "900 MB free of 1 TB" in found.value
    assert "python -m ablations.clean" in found.todo


def test_what_files_say_does_nothing_to_a_terminal(doctor, again):
    Journal(again.results / ".stages").write_failure("a" * 12, Failure("error", "a \x1b[2J\u202ereason"))
    text = doctor()[1]
    assert "a \\x1b[2J\\u202ereason" in said_of(text, "a" * 12)
    assert "\x1b" not in text


def test_a_library_that_is_missing_is_wrong_and_an_extra_is_noted(doctor, monkeypatch):
    monkeypatch.setattr(machine, "LIBRARIES", ("torch", "no-such-library"))
    monkeypatch.setattr(machine, "EXTRAS", {"more": ("no-such-extra", "something")})
    code, text = doctor()
    assert code == 1
    assert "! no-such-library not installed → pip install" in said_of(text, "no-such-library")
    assert said_of(text, "no-such-extra").startswith("· no-such-extra not installed → needed for something alone")


def test_a_library_that_cannot_be_imported_ends_the_page_with_a_line(doctor, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ablations.doctor.stages", None)
    assert main([]) == 1
    seen = capsys.readouterr()
    assert "python " in seen.out
    assert "`pip check` says what is missing" in seen.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch can use the card")
def test_a_card_that_torch_cannot_use_is_wrong(doctor, monkeypatch, tmp_path):
    assert "cuda" not in doctor()[1]
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(machine, "CARDS", str(tmp_path / "nvidia[0-9]*"))
    code, text = doctor()
    assert code == 1
    assert "this torch, built" in said_of(text, "cuda")
    assert "nvidia-smi" in said_of(text, "cuda")


def test_without_a_compiler_it_says_what_is_slower(doctor, monkeypatch):
    monkeypatch.setattr(fused, "works", lambda: False)
    code, text = doctor()
    assert code == 0
    assert "apt install g++" in said_of(text, "compiler")
    monkeypatch.setenv(fused.SWITCH, "off")
    _, text = doctor()
    assert "unset DIFFUSION_CORE_KERNEL" in said_of(text, "compiler")


def test_a_wrong_word_is_refused():
    from ablations.settings.exits import outcome

    assert outcome(main, ["result=here"]) == 2
