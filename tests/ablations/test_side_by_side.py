"""Commands whose workers train cells side by side: every number, bit by bit, of those that train one at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ablations.data.tensors import read_tensors
from ablations.driver import run
from ablations.engine.journal import Journal
from ablations.engine.workers import Processes, perform, perform_all
from tests.ablations.cells import training_of
from tests.ablations.conftest import TINY, over, plan_of, reproducible
from tests.ablations.search.conftest import POINTS

ON_POINTS = [word for word in POINTS if word.startswith(("data", "network", "horizon", "training", "evaluation"))]
ON_POINTS.append("schedule=log_snr_linear")
GRIDS = {
    "points, two shapes": over(ON_POINTS, "network.width=16,32", "schedule=learned,log_snr_linear"),
    "points, with branches": [
        *[*ON_POINTS, "parameterization=v,epsilon", "training.rate=wsd", "training.clip=0.1", "evaluation.rungs=2"]
    ],
    "digits": over(
        TINY, "parameterization=v,epsilon", "schedule=cosine,linear", "training.steps=30", "evaluation.rungs=2"
    ),
    "points, of steps that differ": over(ON_POINTS, "training.steps=40,80,120", "timesteps=uniform,importance"),
}
TRAINED = 6
"""Trainings of lengths, of a given schedule at both ways to draw t, and of a learned one at uniform t alone."""


def words(grid, results: Path, together: int) -> list[str]:
    """The words of a command on one worker."""
    return [*grid, "name=grid", f"results={results}", "launcher.workers=1", f"launcher.together={together}"]


def left(results: Path) -> dict[str, dict]:
    """All that stages have left that does not tell of a clock, or of who ran it: by stage."""
    journal = Journal(results / ".stages")
    found = {}
    for path in sorted(journal.root.glob("*/result.json")):
        result = journal.result(path.parent.name)
        assert result is not None, path.parent.name
        tensors = {file.name: read_tensors(file)[0] for file in path.parent.glob("*.safetensors")}
        found[path.parent.name] = {
            "status": (result.status, result.reason),
            "metrics": {k: v for k, v in result.metrics.items() if not k.startswith("cost/") and "seconds" not in k},
            "curves": reproducible(result.curves),
            "metadata": {name: word for name, word in result.metadata.items() if name not in ("code", "finished_at")},
            "tensors": tensors,
        }
    return found


def assert_equal(one: Path, other: Path) -> None:
    """Two folders of results hold the same stages, and these the same numbers."""
    mine, theirs = left(one), left(other)
    assert mine.keys() == theirs.keys()
    for name in mine:
        tensors = [dict(found[name].pop("tensors")) for found in (mine, theirs)]
        assert mine[name] == theirs[name]
        assert tensors[0].keys() == tensors[1].keys()
        for file, values in tensors[0].items():
            assert values.keys() == tensors[1][file].keys()
            assert all(torch.equal(value, tensors[1][file][key]) for key, value in values.items()), (name, file)
    assert any("weights.safetensors" in {path.name for path in folder.iterdir()} for folder in one.glob(".stages/*"))


@pytest.fixture
def groups(monkeypatch):
    """The numbers of stages that were given to a worker at a time."""
    sizes = []
    submit = Processes.submit

    def counted(self, stages, device):
        sizes.append(len(stages))
        return submit(self, stages, device)

    monkeypatch.setattr(Processes, "submit", counted)
    return sizes


def test_trainings_of_a_worker_come_to_the_same_alone_and_side_by_side(tmp_path):
    """On points, of several lengths, a learned schedule, and times that are drawn by what is remembered."""
    way = ["training.report_every=5", "training.steps=10,15"]
    grid = over(ON_POINTS, "schedule=log_snr_linear,learned", "timesteps=uniform,importance", *way)
    planned = plan_of(*grid).runs
    stages = list({one.id: one for item in planned if item.stages for one in [training_of(item.stages)]}.values())
    assert len(stages) == TRAINED
    assert len({stage.shape_key("cpu") for stage in stages}) == 1
    for stage in stages:
        assert perform(stage, Journal(tmp_path / "1" / ".stages"), "cpu") == "finished"
    assert perform_all(stages, Journal(tmp_path / "8" / ".stages"), "cpu") == ["finished"] * len(stages)
    assert_equal(tmp_path / "1", tmp_path / "8")


def test_cells_of_several_threads_train_alone():
    """Threads share a product out by its size, so that it would round otherwise beside others."""
    alone, beside = (
        {training_of(item.stages).shape_key("cpu") for item in plan_of(*ON_POINTS, f"threads={threads}").runs}
        for threads in (2, 1)
    )
    assert alone == {""}
    assert "" not in beside


@pytest.mark.thorough
@pytest.mark.parametrize("name", list(GRIDS))
def test_a_grid_comes_to_the_same_numbers(name, tmp_path, alone, groups):
    for together in (1, 8):
        assert run.main(words(GRIDS[name], tmp_path / str(together), together)) == 0
        assert (max(groups) > 1) == (together > 1)
    assert_equal(tmp_path / "1", tmp_path / "8")
