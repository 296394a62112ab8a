"""A journal: results that appear whole and last, and survive a kill; failures in a line."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
import torch

from ablations.engine.journal import Failure, Result, cleaning_lock, results_lock
from analysis.errors import InputError
from analysis.files import read_json, replace_file, write_json


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def broken(temporary):
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        replace_file(path, broken)
    assert read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


GOOD = {"status": "finished", "reason": "", "metrics": {"nll/test": 2.0}, "curves": {"a": [[1], [2]]}}
GOOD |= {"metadata": {}, "stage": "abc", "files": {}}


def signed(content):
    """A result.json of this content, with the digest that says so."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps(content | {"sha256": digest})


OTHERS = [signed(GOOD | {"files": {"bound.safetensors": 3}}), signed(GOOD | {"stage": "def"})]


@pytest.mark.parametrize("content", ['{"status": ', "{}", "[]", "null2", "\x00", json.dumps(GOOD), *OTHERS])
def test_a_result_that_is_torn_altered_or_anothers_is_as_good_as_not_there(content, journal):
    journal.folder("abc").mkdir()
    (journal.folder("abc") / "result.json").write_text(content)
    assert journal.result("abc") is None
    (journal.folder("abc") / "result.json").write_text(signed(GOOD))
    assert journal.result("abc").metrics == {"nll/test": 2.0}


def test_a_result_is_there_while_its_files_are(journal):
    journal.folder("abc").mkdir()
    for name in ("bound.safetensors", "checkpoint.safetensors"):
        (journal.folder("abc") / name).write_bytes(b"tensors")
    result = Result("finished", "", {}, {}, {})
    journal.write_result("abc", result)
    (journal.folder("abc") / "checkpoint.safetensors").unlink()
    assert journal.result("abc") == result
    path = journal.folder("abc") / "bound.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert journal.result("abc") is None


@pytest.mark.parametrize("at", [40, 160, 280])
def test_a_digit_of_a_result_that_is_another_is_found_out(journal, at):
    metrics = {"nll/test": 2.125, "fid/test": 31.5}
    journal.write_result("abc", Result("finished", "", metrics, {"a": ([1.0], [2.5])}, {}))
    path = journal.folder("abc") / "result.json"
    text = path.read_text()
    place = next(i for i in (*range(at, len(text)), *range(at)) if text[i].isdigit())
    path.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    assert journal.result("abc") is None


def test_a_stage_without_result_is_not_finished(journal):
    assert (journal.result("abc"), journal.failure("abc"), journal.progress("abc")) == (None, None, 0.0)
    journal.write_failure("abc", Failure("error", "why", "Traceback …"))
    assert journal.failure("abc") == Failure("error", "why", "Traceback …")
    assert journal.result("abc") is None
    for name in ("progress", "status.json"):
        (journal.folder("abc") / name).write_text("torn")
    assert (journal.failure("abc"), journal.progress("abc")) == (None, 0.0)


NO_MORE = "RuntimeError: [x] DefaultCPUAllocator: can't allocate"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(28, "No space left on device"), "machine", "OSError: [Errno 28] No space left on device"),
        (MemoryError("no more"), "machine", "MemoryError: no more"),
        (RuntimeError("[x] DefaultCPUAllocator: can't allocate"), "machine", NO_MORE),
        (ValueError("a code\nhas no density"), "error", "ValueError: a code has no density; mine.py, line 35"),
        (torch.OutOfMemoryError("CUDA out of memory"), "error", "OutOfMemoryError: CUDA out of memory"),
        (InputError("w.safetensors is missing: run again"), "error", "w.safetensors is missing: run again"),
    ],
)
def test_an_exception_is_a_failure_of_one_line_and_only_the_machines_is_an_accident(error, kind, message):
    if isinstance(error, ValueError) and not isinstance(error, InputError):
        error.add_note("mine.py, line 35")
    failure = Failure.of(error)
    assert (failure.kind, failure.message, failure.status) == (kind, message, "failed")
    assert failure.accidental == (kind == "machine")


@pytest.mark.parametrize("kind", ["died", "stopped"])
def test_what_no_exception_ended_is_an_accident(kind):
    assert Failure(kind, "").accidental
    assert Failure(kind, "").status == ("interrupted" if kind == "stopped" else "failed")


def test_a_second_command_on_a_folder_is_refused_and_names_the_first(tmp_path):
    with results_lock(tmp_path / "grid"), results_lock(tmp_path / "other"):
        refusal = rf"^another command works on {tmp_path}/grid \(process {os.getpid()}\): wait until it has ended"
        with pytest.raises(InputError, match=refusal), results_lock(tmp_path / "grid"):
            pass
    with results_lock(tmp_path / "grid"):
        pass


def test_what_nobody_needs_is_deleted_only_while_no_command_works(tmp_path):
    folder = tmp_path / "grid"
    with results_lock(folder), pytest.raises(InputError, match="works on a folder of"), cleaning_lock(tmp_path):
        pass
    refusal = rf"cleans {tmp_path} \(process {os.getpid()}\)"
    with cleaning_lock(tmp_path), pytest.raises(InputError, match=refusal), results_lock(folder):
        pass
    with results_lock(folder):
        pass
