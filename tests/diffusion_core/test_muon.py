"""Muon: held to the figures of its authors' code, and to AdamW where it is that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diffusion_core import muon
from diffusion_core.muon import Muon, orthogonal
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from tests.diffusion_core.learners import points_learner

FIGURES = np.load(Path(__file__).parents[1] / "reference" / "muon.npz")
"""Of KellerJordan/Muon at 857d1ad, by PyTorch 2.13 on a CPU; `conv` is a kernel [32, 2, 3, 3], that is [32, 18]."""
BETAS = (0.9, 0.999)


def figure(name: str) -> torch.Tensor:
    return torch.from_numpy(FIGURES[name])


@pytest.mark.parametrize("name", ["wide", "tall", "square", "conv"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-12)], ids=str)
def test_five_steps_come_to_the_matrix_of_its_authors(name, dtype, tolerance):
    (found,) = orthogonal([figure(f"{name}/G").flatten(1).to(dtype)[None]])
    expected = figure(f"{name}/orthogonal_{str(dtype).removeprefix('torch.')}")
    torch.testing.assert_close(found[0], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("name", "after"), [("wide", "wide"), ("tall", "tall"), ("conv", "conv_2d")])
def test_three_updates_are_its_authors(name, after, monkeypatch):
    """With their scale, of float64 weights."""
    monkeypatch.setattr(muon, "scale_of", lambda rows, columns: max(1, rows / columns) ** 0.5)
    matrix = nn.Parameter(figure(f"{name}/weights").double())
    assert float(FIGURES["momentum"]) == muon.MOMENTUM
    optimiser = Muon({"network": [matrix]}, {"network": float(FIGURES["weight_decay"])}, BETAS, [matrix])
    for i, gradient in enumerate(figure(f"{name}/gradients").double()):
        optimiser.zero_gradients()
        (matrix * gradient).sum().backward()
        optimiser.step(float(FIGURES["lr"]))
        (moments,) = optimiser.moments.values()
        found = {"weights": matrix.detach(), "momentum": moments.views(moments.m)[0]}
        for what, value in found.items():
            expected = figure(f"{after}/{what}_after_float64")[i]
            torch.testing.assert_close(value.reshape(expected.shape), expected, rtol=0, atol=1e-12)


def test_a_turn_is_as_long_as_a_step_of_adamw_is_said_to_be():
    """Orthonormal rows have a root mean square of 1/√columns, whatever the gradient's size."""
    matrix = nn.Parameter(torch.zeros(16, 64))
    optimiser = Muon({"network": [matrix]}, {"network": 0.0}, BETAS, [matrix])
    (matrix * 1e-3 * torch.randn(16, 64, generator=torch.Generator().manual_seed(0))).sum().backward()
    optimiser.step(1.0)
    assert float(matrix.detach().square().mean().sqrt()) == pytest.approx(muon.MATCHED, rel=0.2)


def test_what_is_no_hidden_matrix_is_adamws():
    """Both from the same gradients, which the next steps' would no longer be."""
    found = {}
    for optimizer in ("adamw", "muon"):
        learner, data = points_learner()
        trainer = Trainer(learner, Training(batch=8, warmup=0, optimizer=optimizer), torch.device("cpu"))
        trainer.step(data[:8], 0, 0)
        found[optimizer] = dict(learner.named_parameters())
        matrices = {id(matrix) for matrix in learner.matrices()}
    turned = {name for name, p in found["muon"].items() if id(p) in matrices}
    differ = {name for name, p in found["adamw"].items() if not torch.equal(p, found["muon"][name])}
    assert turned
    assert differ <= turned
    assert all(found["muon"][name].ndim > 1 for name in turned)
