"""Files that were damaged, or made by somebody who means harm: read as they are, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablations.engine.journal import Damaged, Failure, Journal, Result
from ablations.results.folder import read_grid_json
from ablations.stages.artifacts import read_artifact, write_artifact
from ablations.stages.training_loop import read_checkpoint
from analysis.errors import InputError
from analysis.reading import read_results
from tests.ablations.hostile.conftest import drawn
from tests.ablations.hostile.test_words import in_one_line, mutated

ROOT = Path(__file__).parents[3]
GRID = ROOT / "results" / "committed" / "precision"


@st.composite
def damaged(draw, content):
    """Bytes that were cut, or of which some are others, twice or gone."""
    at = draw(st.integers(0, max(0, len(content) - 1)))
    inserted, kept = draw(st.binary(max_size=12) | st.just(content[at : at + 40])), draw(st.integers(0, 2))
    return content[:at] + draw(st.sampled_from([b"", inserted])) + content[at + kept :] * (kept < 2)


RESULT = {"status": "finished", "reason": "", "metrics": {"nll/test": 2.0}, "curves": {"a": [[1], [2.5]]}}
RESULT |= {"metadata": {"device": "cpu"}, "stage": "abc", "files": {"bound.safetensors": 10}}


@drawn(40)
@given(content=mutated(RESULT), other=damaged(json.dumps(RESULT).encode()), plain=st.booleans())
def test_a_result_is_one_or_none_and_so_are_a_failure_and_a_share(content, other, plain, tmp_path):
    folder = tmp_path / "abc"
    folder.mkdir(exist_ok=True)
    for name in ("result.json", "status.json", "progress"):
        (folder / name).write_bytes(json.dumps(content).encode() if plain else other)
    journal = Journal(tmp_path)
    assert isinstance(journal.result("abc"), Result | None)
    assert isinstance(journal.failure("abc"), Failure | None)
    assert isinstance(journal.progress("abc"), float)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    """The bytes of a checkpoint, and its tensors."""
    folder = tmp_path_factory.mktemp("stages") / "abc"
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    write_artifact(folder, "checkpoint.safetensors", tensors, step="10", seconds="1.5")
    return (folder / "checkpoint.safetensors").read_bytes(), tensors


@drawn(40)
@given(data=st.data())
def test_tensors_are_those_that_were_written_or_damaged(data, artefact, tmp_path):
    whole, tensors = artefact
    folder = tmp_path / "abc"
    folder.mkdir(exist_ok=True)
    (folder / "checkpoint.safetensors").write_bytes(data.draw(damaged(whole)))
    try:
        found, _ = read_artifact(folder, "checkpoint.safetensors")
    except Damaged as error:
        in_one_line(error)
        with pytest.raises(Damaged):
            read_checkpoint(folder)
    else:
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.fixture(scope="module")
def folder_of_results(tmp_path_factory):
    """A committed grid's frames, to be damaged one at a time, and their bytes."""
    frames = {name: (GRID / name).read_bytes() for name in ("grid.json", "runs.csv", "curves.parquet")}
    return tmp_path_factory.mktemp("precision"), frames


@drawn(25)
@given(data=st.data())
def test_results_are_read_or_refused(data, folder_of_results):
    folder, frames = folder_of_results
    spoilt = data.draw(st.sampled_from(sorted(frames)))
    mutant = mutated(json.loads(frames["grid.json"])).map(lambda head: json.dumps(head).encode())
    content = data.draw(damaged(frames[spoilt]) | (mutant if spoilt == "grid.json" else st.nothing()))
    for name, whole in frames.items():
        (folder / name).write_bytes(content if name == spoilt else whole)
    for read in (lambda folder: read_results(folder).curves, read_grid_json):
        try:
            read(folder)
        except InputError as error:
            in_one_line(error)
