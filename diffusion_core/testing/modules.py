"""Networks' modules for the shared checks: their inputs, weights away from the start, and a comparison of several
modules side by side with each of them alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffusion_core.fast.forms import accelerated, stacked
from diffusion_core.networks.network import Network
from diffusion_core.testing.saying import require_equal

TIME = torch.tensor([1.0, 500.0, 1000.0])


def inputs(shape: tuple[int, ...], n: int = 3) -> Tensor:
    """n examples [n, *shape] of N(0, I)."""
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


def moved(module: nn.Module, seed: int) -> nn.Module:
    """The module with every weight moved by a draw of a seed."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def require_as_alone(network: Network, rule: str, modules: list[nn.Module], asked: list[tuple[Tensor, ...]]) -> None:
    """Fail unless modules give side by side what each gives alone, each for its own inputs in `asked`."""
    alone = [_learned(accelerated(module), own) for module, own in zip(modules, asked, strict=True)]
    stack = stacked(modules[0], len(modules))
    for mine, *theirs in zip(stack.parameters(), *(module.parameters() for module in modules), strict=True):
        mine.data = torch.stack([their.detach() for their in theirs])
    together = _learned(stack, tuple(map(torch.stack, zip(*asked, strict=True))))
    for (name, several), *own in zip(together.items(), *(each.values() for each in alone), strict=True):
        require_equal(network, rule, several, torch.stack(own), lambda i, name=name: f"in {name} of network {i[0]}")  # type: ignore[misc]


def _learned(module: nn.Module, asked: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The output, and the gradient of its squares' sum in each parameter that has one."""
    out = module(*asked)
    names, parameters = zip(*((name, p) for name, p in module.named_parameters() if p.requires_grad), strict=True)
    gradients = torch.autograd.grad(out.square().sum(), parameters, allow_unused=True)
    slopes = {
        f"the gradient in {name}": slope for name, slope in zip(names, gradients, strict=True) if slope is not None
    }
    return {"the output": out.detach(), **slopes}
