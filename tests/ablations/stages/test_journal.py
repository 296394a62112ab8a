"""Whole files or none, results that survive a kill, and weights that cannot run code."""

from __future__ import annotations

import pickle

import pytest
import torch

from ablations.stages.artifacts import read_tensors, write_tensors
from ablations.stages.files import locked, read_json, replace_file, write_json
from ablations.stages.journal import Journal
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
    found, facts = read_tensors(tmp_path / "x.safetensors")
    assert facts == {"step": "12"}
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
    assert store.status("abc") is None
    assert store.progress("abc") == 0.0
    store.write_status("abc", "failed", "why")
    assert store.status("abc") == ("failed", "why")
    assert store.result("abc") is None


def test_two_commands_do_not_write_to_one_folder(tmp_path):
    second = locked(tmp_path / "lock", wait=False)
    with locked(tmp_path / "lock", wait=False), pytest.raises(InputError, match="another command"), second:
        pass
    with locked(tmp_path / "lock", wait=False):
        pass
