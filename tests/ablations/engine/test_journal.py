"""Whole files or none, results that survive a kill, and weights that cannot run code."""

from __future__ import annotations

import hashlib
import json
import pickle
import resource
import shutil

import pytest
import torch

from ablations.data.tensors import read_tensors, write_tensors
from ablations.engine.files import Damaged
from ablations.engine.journal import Failure, Journal, Result
from ablations.stages import artifacts
from ablations.stages.artifacts import forget_damaged, read_artifact, read_checkpoint, write_artifact, write_checkpoint
from analysis.errors import InputError
from analysis.files import read_json, replace_file, write_json
from tests.forked import forked


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def broken(temporary):
        temporary.write_text("half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        replace_file(path, broken)
    assert read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_tensors_and_words_come_back_exactly(tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.tensor(7), "c": torch.tensor([-torch.inf], dtype=torch.float64)}
    write_tensors(tmp_path / "x.safetensors", tensors, step="12")
    found, words = read_tensors(tmp_path / "x.safetensors")
    assert words == {"step": "12"}
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code was run",))


def test_a_foreign_or_cut_checkpoint_is_refused_and_runs_no_code(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="not a readable safetensors file"):
        read_tensors(path)
    write_tensors(path, {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        read_tensors(path)
    path.unlink()
    with pytest.raises(InputError, match="is missing"):
        read_tensors(path)


def test_corrupt_json_says_what_to_do(tmp_path):
    (tmp_path / "grid.json").write_text('{"status": ')
    with pytest.raises(InputError, match=r"not valid JSON .*delete it"):
        read_json(tmp_path / "grid.json")


GOOD = {
    "status": "finished",
    "reason": "",
    "metrics": {"nll/test": 2.0},
    "curves": {"a": [[1], [2]]},
    "metadata": {},
    "stage": "abc",
    "files": {},
}


def signed(content):
    """A result.json of this content, with the digest that says so."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps(content | {"sha256": digest})


@pytest.mark.parametrize(
    "content",
    [
        '{"status": ',
        "{}",
        "[]",
        "null2",
        "\x00",
        json.dumps(GOOD),
        signed(GOOD | {"more": 1}),
        signed(GOOD | {"status": 3}),
        signed(GOOD | {"metrics": {"nll/test": "2.0"}}),
        signed(GOOD | {"metrics": [2.0]}),
        signed(GOOD | {"curves": {"a": [[1], []]}}),
        signed(GOOD | {"curves": {"a": 1}}),
        signed(GOOD | {"metadata": {"device": None}}),
        signed(GOOD | {"files": ["bound.safetensors"]}),
        signed(GOOD | {"stage": "def"}),
    ],
)
def test_a_result_that_is_none_is_as_good_as_not_there(content, tmp_path):
    folder = tmp_path / "abc"
    folder.mkdir()
    (folder / "result.json").write_text(content)
    journal = Journal(tmp_path)
    assert journal.result("abc") is None
    assert journal.damage("abc").startswith("result.json is ")
    (folder / "result.json").write_text(signed(GOOD))
    assert journal.result("abc").metrics == {"nll/test": 2.0}
    assert journal.damage("abc") == ""


def test_a_result_is_there_while_its_files_are(tmp_path):
    journal = Journal(tmp_path)
    write_artifact(journal.folder("abc"), "bound.safetensors", {"a": torch.zeros(3)})
    write_artifact(journal.folder("abc"), "checkpoint.safetensors", {"a": torch.zeros(3)})
    result = Result("finished", "", {}, {}, {})
    journal.write_result("abc", result)
    (journal.folder("abc") / "checkpoint.safetensors").unlink()
    assert journal.result("abc") == result
    path = journal.folder("abc") / "bound.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert journal.result("abc") is None
    assert journal.damage("abc") == f"bound.safetensors has {len(whole) - 1} bytes of {len(whole)}"
    path.unlink()
    assert journal.damage("abc") == "bound.safetensors is missing"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_one_bit_of_an_artefact_is_missed_by_nobody(dtype, tmp_path):
    folder = tmp_path / "abc"
    write_artifact(folder, "x.safetensors", {"a": torch.ones(4, 2).to(dtype), "empty": torch.zeros(0)}, step="1")
    assert read_artifact(folder, "x.safetensors")[1] == {"stage": "abc", "step": "1"}
    content = bytearray((folder / "x.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "x.safetensors").write_bytes(content)
    with pytest.raises(Damaged, match="safetensors has been altered") as error:
        read_artifact(folder, "x.safetensors")
    assert error.value.folder == folder


def test_an_artefact_of_another_stage_is_told_apart(tmp_path):
    write_artifact(tmp_path / "abc", "x.safetensors", {"a": torch.zeros(1)})
    (tmp_path / "def").mkdir()
    shutil.copy(tmp_path / "abc" / "x.safetensors", tmp_path / "def")
    with pytest.raises(Damaged, match="was left by another stage, abc"):
        read_artifact(tmp_path / "def", "x.safetensors")


def test_a_training_goes_on_from_the_last_checkpoint_that_is_whole(tmp_path):
    assert read_checkpoint(tmp_path).start is None
    reports = [{"step": step, "seconds": step / 10} for step in (10, 20, 30)]
    for n in (1, 2, 3):
        write_checkpoint(tmp_path, reports[:n], {"a": torch.full((3,), 10.0 * n)})
    last = read_checkpoint(tmp_path)
    assert (last.step, last.seconds, list(last.history), last.passed_over) == (30, 3.0, reports, "")
    assert last.start[1]["a"].tolist() == [30.0] * 3
    cut = (tmp_path / "checkpoint.safetensors").read_bytes()[:-1]
    (tmp_path / "checkpoint.safetensors").write_bytes(cut)
    before = read_checkpoint(tmp_path)
    assert (before.step, before.seconds, list(before.history)) == (20, 2.0, reports[:2])
    assert before.start[1]["a"].tolist() == [20.0] * 3
    assert before.passed_over.startswith("checkpoint.safetensors is not a readable safetensors file")
    forget_damaged(tmp_path)
    # A writer that gets no further than this has not lost the one that was whole.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "write_artifact", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_checkpoint(tmp_path, reports, {})
    assert read_checkpoint(tmp_path).step == 20
    (tmp_path / "checkpoint.safetensors").write_bytes(cut)
    (tmp_path / "checkpoint-before.safetensors").write_bytes(cut)
    assert read_checkpoint(tmp_path).start is None
    assert "; checkpoint-before.safetensors is not a readable" in read_checkpoint(tmp_path).passed_over
    Journal(tmp_path).discard("", "checkpoint.safetensors", "checkpoint-before.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", range(40, 400, 24))
def test_a_digit_of_a_result_that_is_another_is_found_out(tmp_path, at):
    journal = Journal(tmp_path)
    metrics = {"nll/test": 2.125, "fid/test": 31.5}
    journal.write_result("abc", Result("finished", "", metrics, {"a": ([1.0], [2.5])}, {}))
    path = tmp_path / "abc" / "result.json"
    text = path.read_text()
    place = next(i for i in (*range(at, len(text)), *range(at)) if text[i].isdigit())
    path.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    assert journal.result("abc") is None
    # It may have been one of a key's name.
    assert journal.damage("abc").startswith("result.json ")


def test_a_stage_without_result_is_not_finished(tmp_path):
    store = Journal(tmp_path)
    assert store.result("abc") is None
    assert store.failure("abc") is None
    assert store.progress("abc") == 0.0
    store.write_failure("abc", Failure("error", "why", "Traceback …"))
    assert store.failure("abc") == Failure("error", "why", "Traceback …")
    assert store.result("abc") is None
    store.forget_failure("abc")
    assert store.failure("abc") is None


NO_MORE = "RuntimeError: [x] DefaultCPUAllocator: can't allocate"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(28, "No space left on device"), "machine", "OSError: [Errno 28] No space left on device"),
        (PermissionError("denied"), "machine", "PermissionError: denied"),
        (MemoryError("no more"), "machine", "MemoryError: no more"),
        (RuntimeError("[x] DefaultCPUAllocator: can't allocate"), "machine", NO_MORE),
        (ValueError("a code\nhas no density"), "error", "ValueError: a code has no density"),
        (torch.OutOfMemoryError("CUDA out of memory"), "error", "OutOfMemoryError: CUDA out of memory"),
        (InputError("w.safetensors is missing: run again"), "error", "w.safetensors is missing: run again"),
    ],
)
def test_an_exception_is_a_failure_of_one_line_and_only_the_machines_is_an_accident(error, kind, message):
    failure = Failure.of(error, "Traceback …")
    assert (failure.kind, failure.message, failure.traceback) == (kind, message, "Traceback …")
    assert failure.accidental == (kind == "machine")
    assert failure.status == "failed"


def test_notes_of_an_exception_follow_its_message():
    error = KeyError("colour")
    error.add_note("mine.py, line 35")
    assert Failure.of(error, "").message == "KeyError: 'colour'; mine.py, line 35"


@pytest.mark.parametrize("kind", ["died", "stopped", "left_out"])
def test_what_no_exception_ended_is_an_accident(kind):
    assert Failure(kind, "").accidental
    assert Failure(kind, "").status == ("interrupted" if kind == "stopped" else "failed")


def test_a_disk_that_refuses_tensors_is_the_machines_failure_and_names_the_file(tmp_path):
    path, log = tmp_path / "stage" / "weights.safetensors", tmp_path / "log"

    def command():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_tensors(path, {"a": torch.zeros(10_000)})
        except OSError as error:
            print(error)
        return 0

    path.parent.mkdir()
    assert forked(command, log).finish() == 0
    assert log.read_text(encoding="utf-8") == f"[Errno 27] File too large: {str(path)!r}\n"
    assert list(path.parent.iterdir()) == []
