"""Every grid is run through the command: 1 seed, 50 steps a training. `pytest -m slow`, about a quarter of an hour."""

import json
from pathlib import Path

import pytest

from ablations.data.fashion_mnist import DEBIAN
from ablations.driver.run import main
from analysis.reading import read_results
from tests.ablations.cells import GRIDS

LATENT = ("latent", "latent_regularization")
FASHION = ["data=fashion_mnist", "data.held_out_images=200", "sampler=ddim", "sampler.steps=5", "evaluation.strata=2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"),
    [*((name, []) for name in GRIDS), *((name, FASHION) for name in LATENT)],
)
def test_a_grid_runs_from_command_to_table(name, more, tmp_path):
    words = [f"grid={name}", "seeds=1", "training.steps=50", "training.report_every=25", f"results={tmp_path}", *more]
    if more and not Path(DEBIAN).is_dir():
        pytest.skip("needs Debian's dataset-fashion-mnist")
    # What fifty steps in pixels cost must pay for the autoencoder too.
    assert main([*words, "space.steps=20"] if name in LATENT else words) == 0
    found = read_results(tmp_path / name)
    head = json.loads((tmp_path / name / "grid.json").read_text())
    assert len(found.runs) == len(head["cells"])
    assert set(found.runs["status"]) <= {"finished", "diverged"}
    assert (found.runs["status"] == "finished").any()
    for file in ("table.md", "table.tex", "table.csv"):
        assert (tmp_path / name / file).stat().st_size > 0
    assert list((tmp_path / name / "figures").glob("*.png"))
