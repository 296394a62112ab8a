"""The deck's files, from the command to the strips."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ablations.data.shipped import Digits
from ablations.driver import pages
from ablations.driver.run import main
from ablations.results import mixture
from ablations.results.deck import FRAMES, SCHEDULES, forward
from ablations.results.sample_sheets import sheet
from analysis.results import read_csv
from tests.ablations.conftest import said
from tests.made_once import made_once

SIDE = 8


@pytest.fixture(scope="module")
def results(tmp_path_factory, store):
    words = ["grid=deck", "schedule=linear,learned", "variance=beta_tilde", "view=whole", "training.steps=10"]
    less = ["training.report_every=10", "evaluation.sets=1", "evaluation.estimates=0", "sampler.steps=20"]
    less += ["network.channels=8", "evaluation.exact=2", "evaluation.strata=2"]

    def make(folder):
        shutil.copy(store, folder / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "write_pages", said)
            patch.setattr(mixture, "HORIZONS", (25, 50))
            patch.setattr(mixture, "BETAS", (0.01, 0.9))
            assert main([*words, *less, f"results={folder}", "launcher=serial"]) == 0
        return folder

    return made_once(tmp_path_factory, "deck", make)


def frames(path):
    """[n, H, H] in [0, 255]."""
    values = np.asarray(Image.open(path)).astype(int)
    return np.stack(np.split(values, values.shape[1] // values.shape[0], axis=1))


@pytest.mark.slow
def test_formulas_and_strips_are_left_beside_the_results(results):
    lines = read_csv(results / "deck" / "formulas.csv", ("figure", "series", "x", "y"))
    figures = {"alpha_bar", "log_snr", "prior", "prior_end", "beta_ratio", "eps_weight", "reverse_kl", "gap"}
    assert set(lines["figure"]) == figures
    assert np.isfinite(lines[["x", "y"]].astype(float).to_numpy()).all()
    strips = {path.name for path in (results / "deck" / "strips").iterdir()}
    known = {f"forward-{name}.png" for name in ("linear", "cosine", "sigmoid", "log_snr_linear", "rectified")}
    assert strips == known | {"forward-learned.png", "backward-linear.png", "backward-learned.png"}


@pytest.mark.slow
def test_a_forward_strip_goes_from_the_image_to_noise(results):
    image = Digits().load().images["test"][0, 0].numpy().astype(int)
    for name in ("linear", "cosine", "learned"):
        found = frames(results / "deck" / "strips" / f"forward-{name}.png")
        assert found.shape == (FRAMES, SIDE, SIDE)
        np.testing.assert_array_equal(found[0], np.rint(image * (255 / 16)))
    x = forward(SCHEDULES["linear"].gamma(1000), Digits().load())
    ends = [np.corrcoef(x[i].ravel(), x[0].ravel())[0, 1] for i in (1, FRAMES - 1)]
    assert ends[0] > 0.8
    assert abs(ends[1]) < 0.5
    assert x[-1].std() == pytest.approx(1, abs=0.25)


@pytest.mark.slow
def test_a_backward_strip_ends_in_the_cells_first_sample(results):
    head = json.loads((results / "deck" / "grid.json").read_text())
    first = next(cell for cell, levels in head["cells"].items() if levels["schedule"] == "linear")
    runs = read_csv(results / "deck" / "runs.csv", ("cell_id", "training_id"))
    assert first in set(runs["cell_id"])
    found = frames(results / "deck" / "strips" / "backward-linear.png")
    assert found.shape == (FRAMES, SIDE, SIDE)
    kept = [load_file(path)["samples"][0, 0].int() for path in (results / ".stages").glob("*/samples.safetensors")]
    assert any(np.abs(found[-1] - np.rint(sample.numpy() * (255 / 16))).max() <= 16 for sample in kept)


def test_a_strip_puts_images_edge_to_edge():
    images = torch.tensor([[[[0, 1], [2, 3]]], [[[3, 2], [1, 0]]]], dtype=torch.uint8)
    np.testing.assert_array_equal(np.asarray(sheet(images, 4, gap=0)), [[0, 85, 255, 170], [170, 255, 85, 0]])


def test_a_colour_strip_keeps_its_channels():
    images = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    images[1, 2] = 255
    picture = np.asarray(sheet(images, 256, gap=0))
    assert picture.shape == (2, 4, 3)
    np.testing.assert_array_equal(picture[0, 3], [0, 0, 255])
