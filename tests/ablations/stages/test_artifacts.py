"""Artefacts: tensors in files that cannot run code, which name their stage, and of which no bit can be another."""

from __future__ import annotations

import pickle
import shutil

import pytest
import torch

from ablations.data.tensors import read_tensors, write_tensors
from ablations.engine.journal import Damaged
from ablations.stages.artifacts import read_artifact, write_artifact
from ablations.stages.training_loop import read_checkpoint, write_checkpoint
from analysis.errors import InputError
from tests.ablations.cells import assert_same


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_one_bit_of_an_artefact_is_missed_by_nobody(dtype, tmp_path):
    folder = tmp_path / "abc"
    written = {"a": torch.ones(4, 2).to(dtype), "empty": torch.zeros(0)}
    write_artifact(folder, "x.safetensors", written, step="1")
    found, words = read_artifact(folder, "x.safetensors")
    assert words == {"stage": "abc", "step": "1"}
    assert_same(found, written)
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


def test_a_checkpoint_comes_back_or_is_refused_as_damaged(tmp_path):
    assert read_checkpoint(tmp_path).step == 0
    reports = [{"step": step, "seconds": step / 10} for step in (10, 20)]
    write_checkpoint(tmp_path, reports, {"a": torch.full((3,), 20.0)})
    last = read_checkpoint(tmp_path)
    assert (last.step, last.history, last.state["a"].tolist()) == (20, reports, [20.0] * 3)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Damaged, match=r"checkpoint\.safetensors is not a readable safetensors file"):
        read_checkpoint(tmp_path)
