"""AdamW over flat vectors: held to torch's own. Muon: held to its authors' figures, and to AdamW where it is that."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diffusion_core.optimiser import MATCHED, MOMENTUM, AdamW, Muon, descend, orthogonal
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from tests.diffusion_core.learners import points_learner

BETAS = (0.8, 0.95)
DECAYS = {"network": 0.3, "schedule": 0.0}


class Parts(nn.Module):
    """Parameters of several shapes and two dtypes in two groups, one of them out of every loss's reach."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3)
        self.scalar = nn.Parameter(torch.tensor(0.7))
        self.idle = nn.Parameter(torch.ones(3))
        self.knots = nn.Parameter(torch.linspace(-1, 1, 17, dtype=torch.float64))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"network": [*self.layer.parameters(), self.scalar, self.idle], "schedule": [self.knots]}

    def losses(self, x: Tensor) -> dict[str, Tensor]:
        y = self.scalar * self.layer(x)
        return {
            "network": (y**2).mean() * self.knots.exp().sum().float(),
            "schedule": (self.knots * y.mean()).sin().sum(),
        }


def parts() -> Parts:
    torch.manual_seed(0)
    return Parts()


def steps(module: Parts, optimiser: AdamW, numbers: range) -> None:
    for i in numbers:
        losses = module.losses(torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(i)))
        optimiser.zero_gradients()
        descend(losses, optimiser.groups)
        optimiser.step(0.01 * (i + 1))


def test_it_is_torchs_adamw_of_each_parameter_by_its_own_loss_and_what_none_reaches_decays():
    mine, theirs = parts(), parts()
    steps(mine, AdamW(mine.groups(), DECAYS, BETAS), range(5))
    settings = [
        {"params": [p for p in parameters if p is not theirs.idle], "weight_decay": DECAYS[group]}
        for group, parameters in theirs.groups().items()
    ]
    optimiser = torch.optim.AdamW(settings, betas=BETAS, foreach=False, fused=False)
    for i in range(5):
        losses = theirs.losses(torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(i)))
        for j, (group, parameters) in enumerate(theirs.groups().items()):
            optimiser.param_groups[j]["lr"] = 0.01 * (i + 1)
            found = torch.autograd.grad(losses[group], parameters, retain_graph=True, allow_unused=True)
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.grad = gradient
        optimiser.step()
    for (name, one), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        if name != "idle":
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    decays = [1 - 0.01 * (i + 1) * DECAYS["network"] for i in range(5)]
    torch.testing.assert_close(mine.idle.detach(), torch.ones(3) * math.prod(decays))


FIGURES = np.load(Path(__file__).parents[1] / "reference" / "muon.npz")
"""Of KellerJordan/Muon at 857d1ad, by PyTorch 2.13 on a CPU; `conv` is a kernel [32, 2, 3, 3], that is [32, 18]."""


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
    monkeypatch.setattr("diffusion_core.optimiser.scale_of", lambda rows, columns: max(1, rows / columns) ** 0.5)
    matrix = nn.Parameter(figure(f"{name}/weights").double())
    assert float(FIGURES["momentum"]) == MOMENTUM
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
    assert float(matrix.detach().square().mean().sqrt()) == pytest.approx(MATCHED, rel=0.2)


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
