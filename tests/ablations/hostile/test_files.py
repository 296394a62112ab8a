"""Files that were damaged, or made by somebody who means harm: read as they are, or refused in one line."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ablations.data.folder import Folder
from ablations.engine.files import Damaged
from ablations.engine.journal import Failure, Journal, Result
from ablations.results.folder import read_grid_json
from ablations.stages.artifacts import read_artifact, write_artifact
from ablations.stages.training_loop import read_checkpoint
from ablations.tracking.store import TrackingError, reachable, refusal
from analysis.errors import InputError
from analysis.reading import read_results
from tests.ablations.hostile.conftest import drawn
from tests.ablations.hostile.test_words import in_one_line, mutated

ROOT = Path(__file__).parents[3]
GRID = ROOT / "results" / "committed" / "precision"


@st.composite
def damaged(draw, content):
    """Bytes that were cut, or of which some are others, twice or gone."""
    kind = draw(st.integers(0, 4))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :]
    if kind == 2:
        return content[:at] + draw(st.binary(max_size=12)) + content[at:]
    if kind == 3:
        return content[:at] + content[at : at + 40] + content[at:]
    return draw(st.binary(max_size=60))


RESULT = {"status": "finished", "reason": "", "metrics": {"nll/test": 2.0}, "curves": {"a": [[1], [2.5]]}}
RESULT |= {"metadata": {"device": "cpu"}, "stage": "abc", "files": {"bound.safetensors": 10}}
FAILURE = {"kind": "error", "message": "no", "traceback": "", "status": "failed"}


@drawn(100)
@given(content=mutated(RESULT), other=damaged(json.dumps(RESULT).encode()), plain=st.booleans())
def test_a_result_is_one_or_none(content, other, plain, tmp_path):
    folder = tmp_path / "abc"
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_bytes(json.dumps(content).encode() if plain else other)
    journal = Journal(tmp_path)
    found = journal.result("abc")
    assert found is None or isinstance(found, Result)


@drawn(60)
@given(content=mutated(FAILURE), other=damaged(json.dumps(FAILURE).encode()), plain=st.booleans(), share=st.binary())
def test_a_failure_and_a_share_are_read_or_said_to_be_damaged(content, other, plain, share, tmp_path):
    folder = tmp_path / "abc"
    folder.mkdir(exist_ok=True)
    (folder / "status.json").write_bytes(json.dumps(content).encode() if plain else other)
    (folder / "progress").write_bytes(share)
    journal = Journal(tmp_path)
    assert isinstance(journal.failure("abc"), Failure | None)
    assert isinstance(journal.progress("abc"), float)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    """The bytes of a checkpoint, and its tensors."""
    folder = tmp_path_factory.mktemp("stages") / "abc"
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    write_artifact(folder, "checkpoint.safetensors", tensors, step="10", seconds="1.5")
    return (folder / "checkpoint.safetensors").read_bytes(), tensors


@drawn(100)
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
    folder = tmp_path_factory.mktemp("results") / "precision"
    folder.mkdir()
    frames = {}
    for name in ("grid.json", "runs.csv", "curves.parquet"):
        frames[name] = (GRID / name).read_bytes()
    return folder, frames


@drawn(60)
@given(data=st.data())
def test_results_are_read_or_refused(data, folder_of_results):
    folder, frames = folder_of_results
    for name, content in frames.items():
        (folder / name).write_bytes(content)
    name = data.draw(st.sampled_from(sorted(frames)))
    if name == "grid.json" and data.draw(st.booleans()):
        content = json.dumps(data.draw(mutated(json.loads(frames[name])))).encode()
    else:
        content = data.draw(damaged(frames[name]))
    (folder / name).write_bytes(content)
    for read in (lambda folder: read_results(folder).curves, read_grid_json):
        try:
            read(folder)
        except InputError as error:
            in_one_line(error)


@drawn(20)
@given(data=st.data())
def test_a_store_answers_or_says_that_it_does_not(data, store, tmp_path):
    import mlflow

    path = tmp_path / "mlflow.db"
    path.write_bytes(data.draw(damaged(store.read_bytes())))
    uri = f"sqlite:///{path}"
    told = refusal(uri)
    if not told:
        try:
            with reachable(uri):
                mlflow.MlflowClient(uri).search_experiments()
        except TrackingError as error:
            told = str(error)
    in_one_line(told or "it answers")


@drawn(30)
@given(data=st.data())
def test_a_folder_of_pictures_is_read_or_refused(data, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFUSION_ABLATIONS_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "pictures"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    drawn_ = io.BytesIO()
    Image.new("RGB", (9, 7), (10, 200, 30)).save(
        drawn_, format=data.draw(st.sampled_from(["png", "jpeg", "bmp", "gif"]))
    )
    for i in range(data.draw(st.integers(0, 3))):
        (root / f"{i}.{data.draw(st.sampled_from(['png', 'jpg', 'gif']))}").write_bytes(
            data.draw(damaged(drawn_.getvalue()))
        )
    with pytest.raises(InputError) as error:
        # Whole or not, so few make no data set.
        Folder(root=str(root), size=8).load()
    in_one_line(error.value)
