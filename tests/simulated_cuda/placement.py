"""Where a tensor lies: a mark on its storage, which all its views share and which goes with it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

CPU = torch.device("cpu")


def device_of(tensor: Tensor) -> torch.device:
    """The device that a tensor seems to be on."""
    if tensor.device != CPU or tensor.layout != torch.strided:
        return tensor.device
    return getattr(tensor.untyped_storage(), "simulated", CPU)


def mark(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor, whose storage is on that device from now on."""
    tensor.untyped_storage().simulated = device
    return tensor


def tensors_in(values: Iterable[object]) -> list[Tensor]:
    """The tensors among arguments or results, and in lists of them."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += tensors_in(value)
    return found


def cards_of(tensors: Iterable[Tensor]) -> list[torch.device]:
    """The cards that tensors lie on, each once."""
    found: list[torch.device] = []
    for tensor in tensors:
        device = device_of(tensor)
        if device.type == "cuda" and device not in found:
            found.append(device)
    return found


class Transfer(torch.autograd.Function):
    """A copy on another device, whose gradient goes back to where the tensor came from."""

    @staticmethod
    def forward(ctx, tensor, device):
        ctx.source = device_of(tensor)
        return copied(tensor, device)

    @staticmethod
    def backward(ctx, gradient):
        return Transfer.apply(gradient, ctx.source), None


def copied(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy of the numbers on a device."""
    with _disable_current_modes():
        return mark(tensor.detach().clone(), device)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy on a device, through which gradients flow where they are wanted."""
    wanted = tensor.requires_grad and torch.is_grad_enabled()
    return Transfer.apply(tensor, device) if wanted else copied(tensor, device)
