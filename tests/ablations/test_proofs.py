"""Every grid is run through the command: 1 seed, 50 steps a training. `pytest -m slow`, about a quarter of an hour."""

import json

import pytest

from ablations import config
from ablations.run import main
from analysis.frames.runs import read_folder


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(config.options_of("grid")))
def test_a_grid_runs_from_command_to_table(name, tmp_path):
    words = [f"grid={name}", "seeds=1", "training.steps=50", "training.report_every=25", f"results={tmp_path}"]
    # A trained network is worth little more than its autoencoder here: what fifty steps in pixels cost pays for both.
    assert main([*words, "space.steps=20"] if name.startswith("latent") else words) == 0
    found = read_folder(tmp_path / name)
    head = json.loads((tmp_path / name / "grid.json").read_text())
    assert len(found.runs) == len(head["cells"])
    assert set(found.runs["status"]) <= {"finished", "diverged"}
    assert (found.runs["status"] == "finished").any()
    for file in ("table.md", "table.tex", "table.csv"):
        assert (tmp_path / name / file).stat().st_size > 0
    assert list((tmp_path / name / "figures").glob("*.png"))
