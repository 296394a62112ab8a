"""The lecture's pictures: strips of the cells that a command trained, and every picture as a file."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ablations.data.shipped import Digits
from ablations.driver.run import main
from analysis import pages
from examples.lecture import __main__ as lecture
from examples.lecture import mixture
from examples.lecture.formulas import SCHEDULES
from examples.lecture.strips import FRAMES, forward, strips
from tests.ablations.conftest import said
from tests.made_once import made_once

SIDE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory, store):
    words = ["grid=deck", "schedule=linear,learned", "variance=beta_tilde", "view=whole", "training.steps=10"]
    less = ["training.report_every=10", "evaluation.sets=1", "evaluation.estimates=0", "sampler.steps=20"]
    less += ["network.channels=8", "evaluation.exact=2", "evaluation.strata=2"]

    def make(folder):
        shutil.copy(store, folder / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "write_pages", said)
            assert main([*words, *less, f"results={folder}", "launcher=serial"]) == 0
        return folder

    return made_once(tmp_path_factory, "deck", make) / "deck"


@pytest.fixture(scope="module")
def drawn(folder):
    return strips(folder)


@pytest.mark.slow
def test_a_forward_strip_goes_from_the_image_to_noise(drawn):
    assert drawn["forward"].keys() == {*SCHEDULES, "learned"}
    image = Digits().load().images["test"][0, 0]
    for found in drawn["forward"].values():
        assert found.shape == (FRAMES, 1, SIDE, SIDE)
        assert torch.equal(found[0, 0], image)
    x = forward(SCHEDULES["linear"].gamma(1000), Digits().load())
    ends = [np.corrcoef(x[i].ravel(), x[0].ravel())[0, 1] for i in (1, FRAMES - 1)]
    assert ends[0] > 0.8
    assert abs(ends[1]) < 0.5
    assert x[-1].std() == pytest.approx(1, abs=0.25)


@pytest.mark.slow
def test_a_backward_strip_ends_in_the_cells_first_sample(folder, drawn):
    assert drawn["backward"].keys() == {"linear", "learned"}
    kept = [load_file(path)["samples"][0].int() for path in (folder.parent / ".stages").glob("*/samples.safetensors")]
    last = drawn["backward"]["linear"][-1].int()
    assert any((last - sample).abs().max() <= 1 for sample in kept)


@pytest.mark.slow
def test_every_picture_is_drawn(folder, capsys, monkeypatch):
    monkeypatch.setattr(mixture, "HORIZONS", (25, 50))
    monkeypatch.setattr(mixture, "BETAS", (0.01, 0.9))
    assert lecture.main([str(folder)]) == 0
    paths = capsys.readouterr().out.split()
    names = ["forward", "noise", "variances", "objectives", "reverse", "strips-forward", "strips-backward"]
    assert paths == [str(folder / "figures" / f"{name}.png") for name in names]
    assert all(np.asarray(Image.open(path).convert("L")).std() > 10 for path in paths)
