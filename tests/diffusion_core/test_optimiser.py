"""AdamW over flat vectors: held to torch's own, parameter by parameter."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from diffusion_core.optimiser import ALIGNMENT, AdamW, Flat, descend

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


def test_tensors_become_aligned_views_of_one_vector_and_keep_their_values():
    tensors = [torch.arange(12.0).view(3, 4).T, torch.tensor(2.0), torch.arange(16.0)]
    before = [tensor.clone() for tensor in tensors]
    flat = Flat(tensors)
    for tensor, value, view in zip(tensors, before, flat.views(flat.values), strict=True):
        assert torch.equal(tensor, value)
        assert tensor.data_ptr() == view.data_ptr()
        assert (tensor.data_ptr() - flat.values.data_ptr()) % (4 * ALIGNMENT) == 0
    flat.values.mul_(2)
    assert all(torch.equal(tensor, 2 * value) for tensor, value in zip(tensors, before, strict=True))
    assert flat.values.sum() == 2 * sum(float(value.sum()) for value in before)
