"""Models of cells in MLflow: the same samples from the store as from the cell, and nothing that can run code."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from ablations import sample
from ablations.data.tensors import read_tensors
from ablations.driver import run
from ablations.stages.samples import draw_samples
from ablations.tracking.model import read_model
from ablations.tracking.tracker import Tracker
from analysis.errors import InputError
from tests.ablations.conftest import tracker_in
from tests.ablations.settings.test_grammar import one_line_error


@pytest.fixture
def delivered(again):
    """A finished grid whose runs have their models, and one of these runs."""
    assert run.main([*again.arguments, "tracking.models=true"]) == 0
    tracker = tracker_in(again.results)
    found = tracker.client.search_runs([tracker.experiment_id], "tags.kind = 'cell'")
    assert len(found) == 4
    return again, tracker, found


def test_the_command_draws_from_the_store_what_it_draws_from_the_cell(delivered, tmp_path, monkeypatch):
    done, tracker, found = delivered
    one = found[0]
    assert one.data.tags["model"] == one.data.tags["training_id"]
    files = {entry.path for entry in tracker.client.list_artifacts(one.info.run_id, "model")}
    assert files == {"model/cell.json", f"model/{one.data.tags['training_id']}"}
    monkeypatch.setattr(Tracker, "attach_model", lambda *given: pytest.fail("it is there"))
    assert run.main([*done.arguments, "tracking.models=true"]) == 0
    common = ["n=8", f"results={done.results}"]
    cell, model = tmp_path / "cell.png", tmp_path / "model.png"
    assert sample.main([f"cell={one.data.tags['cell_id']}", f"out={cell}", *common]) == 0
    assert sample.main([f"model=runs:/{one.info.run_id}/model", f"out={model}", *common]) == 0
    with Image.open(cell) as left, Image.open(model) as right:
        assert left.tobytes() == right.tobytes()


def test_a_folder_is_a_model_too_and_holds_averages_alone(delivered, tmp_path):
    _, tracker, found = delivered
    place = tracker.client.download_artifacts(found[0].info.run_id, "model", str(tmp_path))
    cell, model = read_model(tmp_path / "model", torch.device("cpu"))
    assert str(place).endswith("model")
    assert draw_samples(cell, model, 3, lambda share: None).shape == (3, 1, 8, 8)
    training = found[0].data.tags["training_id"]
    tensors, _ = read_tensors(tmp_path / "model" / training / "weights.safetensors")
    assert {name.split("/")[0] for name in tensors} == {"average"}


@pytest.mark.parametrize("damage", ["missing", "keys"])
def test_what_is_no_model_is_refused(damage, tmp_path):
    if damage != "missing":
        (tmp_path / "cell.json").write_text('{"parameters": {}}')
    with pytest.raises(InputError, match="holds no model of this suite"):
        read_model(tmp_path, torch.device("cpu"))


def test_a_model_that_the_store_has_not_is_one_line(again, capsys):
    model = "model=runs:/0123456789abcdef0123456789abcdef/model"
    assert model in one_line_error(sample.main, [model, f"results={again.results}"], capsys)
