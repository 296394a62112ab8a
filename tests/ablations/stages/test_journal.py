"""Whole files or none, results that survive a kill, and weights that cannot run code."""

from __future__ import annotations

import pickle

import pytest
import torch

from ablations.stages.artifacts import read_tensors, write_tensors
from ablations.stages.files import read_json, replace_file, write_json
from ablations.stages.journal import Failure, Journal, Result
from analysis.errors import InputError


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
    folder = tmp_path / "abc"
    folder.mkdir()
    (folder / "result.json").write_text('{"status": ')
    with pytest.raises(InputError, match=r"not valid JSON .*delete it"):
        Journal(tmp_path).result("abc")


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


def test_journals_from_before_are_read_under_the_words_of_today(tmp_path):
    """Results called their metadata facts, and a memorisation rate copies; a failure was a text of several lines."""
    store = Journal(tmp_path)
    old = {"status": "finished", "reason": "", "metrics": {"copies/train": 0.02, "nll/test": 2.0}, "curves": {}}
    write_json(store.folder("abc") / "result.json", old | {"facts": {"device": "cpu"}})
    assert store.result("abc") == Result(
        "finished", "", {"memorisation/train": 0.02, "nll/test": 2.0}, {}, {"device": "cpu"}
    )
    write_json(store.folder("def") / "status.json", {"status": "failed", "reason": "ValueError: no\nTraceback …"})
    assert store.failure("def") == Failure("error", "ValueError: no", "Traceback …")
    write_json(store.folder("ghi") / "status.json", {"status": "interrupted", "reason": "the command was stopped"})
    assert store.failure("ghi") == Failure("stopped", "the command was stopped")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(28, "No space left on device"), "machine", "OSError: [Errno 28] No space left on device"),
        (PermissionError("denied"), "machine", "PermissionError: denied"),
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


@pytest.mark.parametrize("kind", ["died", "stopped", "left_out"])
def test_what_no_exception_ended_is_an_accident(kind):
    assert Failure(kind, "").accidental
    assert Failure(kind, "").status == ("interrupted" if kind == "stopped" else "failed")
