"""That the kernel changes no result is told from trainings of which one used it, and the other did not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion_core.networks import fused
from evidence import same
from evidence.scale import TINY

FID = same.MARGINS[1].metric


@pytest.mark.slow
@pytest.mark.skipif(not fused.works(), reason="this machine builds no kernel")
def test_both_ways_are_trained_here(tmp_path):
    found = same.both(tmp_path, 1, TINY)
    for kernel, torchs in found.values():
        assert kernel.shape == torchs.shape == (1,)
        np.testing.assert_allclose(kernel, torchs, rtol=0.05)
    assert fused.works()


def test_one_way_in_both_places_is_found_out(monkeypatch, tmp_path):
    norm = fused.NormSilu(2, 4)

    def trained(*_):
        norm(torch.ones(1, 4, 2, 2))
        return {FID: np.array([30.0, 31.0])}

    monkeypatch.setattr(same, "trained", trained)
    monkeypatch.setattr(fused, "works", lambda: False)
    with pytest.raises(RuntimeError, match="both ways are one"):
        same.both(tmp_path, 2, ())


def test_the_page_says_whether_the_interval_lies_within_the_margin(monkeypatch, tmp_path, capsys):
    nll = np.array([2.43, 2.44, 2.45])
    pairs = {
        "nll/test": (nll + np.array([0.001, 0.0, -0.001]), nll),
        FID: (np.array([30.0, 34.0, 38.0]), np.full(3, 30.0)),
    }
    monkeypatch.setattr(same, "both", lambda results, seeds, cell: pairs)
    monkeypatch.setattr(fused, "works", lambda: True)
    assert same.main(["seeds=3", f"out={tmp_path / 'same.md'}"]) == 0
    text = (tmp_path / "same.md").read_text()
    assert text == capsys.readouterr().out
    assert "| 0 | 2.4310 | 2.4300 | +0.0010 |" in text
    # t_{0.975, 2} = 4.302653: 0.001 · 4.302653 / √3 and 4 · 4.302653 / √3
    assert "| NLL (bits/dim) | +0.0000 ± 0.0025 | ±0.0100 | yes (p = 0.0017 by two one-sided tests) |" in text
    assert "| FID | +4.00 ± 9.94 | ±1.50 (5 %) | no (p = 0.80 by two one-sided tests) |" in text
