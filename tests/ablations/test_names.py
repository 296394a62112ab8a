"""A cell is called by one name: before it is run, while it is, in the tracking store, and on every page."""

import csv
import json
from pathlib import Path

import pytest

import analysis
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.tracking.runs import name_in, tracked_runs
from tests.ablations.conftest import plan_of

COMMITTED = Path(__file__).parents[2] / "results" / "committed"


@pytest.mark.parametrize("grid", ["steps", "latent", "skip"])
def test_a_cell_has_one_name_in_its_grid_in_the_store_and_on_pages(grid):
    folder = COMMITTED / grid
    head = json.loads((folder / "grid.json").read_text(encoding="utf-8"))
    with (folder / "runs.csv").open(encoding="utf-8", newline="") as file:
        stored = {row["cell_id"]: name_in(head, row) for row in csv.DictReader(file)}
    on_pages = analysis.read(folder).names
    made = make(parse_run([f"grid={grid}"]))
    in_the_grid = {cell: made.file.cell_name(levels) for cell, levels in head["cells"].items()}
    assert stored == on_pages == in_the_grid


def test_a_run_of_the_store_has_that_name_and_a_tag_as_a_command_line_has_its_levels():
    run = next(run for run in tracked_runs(COMMITTED / "steps") if run.params["cell"] == "β̃ · Steps = 25")
    assert run.name == "β̃ · Steps = 25 · seed 100"
    assert run.tags["levels"] == "variance=beta_tilde steps=25"


def test_a_plan_calls_its_cells_so():
    planned = plan_of("network=mlp", "data=mixture2d", "horizon=10,25", "seeds=1").runs
    assert [item.name for item in planned] == ["T = 10", "T = 25"]


def test_axes_that_a_command_adds_are_called_by_words_and_symbols():
    made = make(
        parse_run(["space=latents", "parameterization=mu,x0", "network.channels=16,24", "space.kl_weight=1,0.1"])
    )
    assert [axis.title for axis in made.file.axes] == ["Target", "Network channels", "KL weight"]
    assert made.file.question == "What do target, network channels and KL weight change?"
    levels = {"parameterization": "x0", "network.channels": "24", "space.kl_weight": "0.1"}
    assert made.file.cell_name(levels) == "x₀ · Network channels = 24 · KL weight = 0.1"
    rates = make(parse_run(["space=latents", "space.learning_rate=1e-3,2e-3", "training.learning_rate=1e-3,2e-3"]))
    assert [axis.title for axis in rates.file.axes] == ["Learning rate", "Training learning rate"]
    shown = make(parse_run(["conditioning.self_conditioning=true,false"]))
    assert shown.file.cell_name({"conditioning.self_conditioning": "True"}) == "Self conditioning = true"
    picked = make(parse_run(["grid=parameterization", "parameterization=mu,v", "loss=simple"]))
    assert [level.title for level in picked.file.axes[0].levels] == ["μ̃", "v"]
