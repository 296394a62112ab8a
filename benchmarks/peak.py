"""The peak of a machine: multiply-adds of a network, and the speed at which a device takes products and convolutions.

    share of the peak (MFU) = 2 · multiply-adds of a call / (seconds · peak),   three forward passes a training step

Products of attention are counted like those of layers: torch's counter knows no fused kernel of attention on a CPU, so
that it is asked for the one made of products while it counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import timed
from diffusion_core import precision

Mode = Literal["float32", "torch", "bf16"]
"""Plain float32, what torch does unless it is told otherwise (TF32 in a GPU's convolutions), bf16 autocast."""
MODES: tuple[Mode, ...] = get_args(Mode)


def mode_name(mode: Mode, device: torch.device) -> str:
    """The name of a mode on a device, for readers."""
    if mode == "torch":
        return "float32, TF32 in convolutions" if device.type == "cuda" else "float32"
    return mode


@contextlib.contextmanager
def running(mode: Mode, device: torch.device) -> Iterator[None]:
    """A context in which networks run in a mode."""
    if mode == "float32":
        context: AbstractContextManager[object] = precision.exact(device)
    elif mode == "bf16":
        context = torch.autocast(device.type, torch.bfloat16)
    else:
        context = contextlib.nullcontext()
    with context:
        yield


@torch.no_grad()
def multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of a forward pass of one image: half of those of x [2, *shape], time [2]."""
    parameter = next(network.parameters())
    x, time_ = torch.zeros(2, *shape, device=parameter.device), torch.ones(2, device=parameter.device)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(x, time_)
    return int(counter.get_total_flops()) // 4


def parameters(network: nn.Module) -> int:
    """The number of numbers that a network learns."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def peaks(device: torch.device) -> dict[str, float]:
    """The peak of every mode by its name on the device, where two may be one."""
    modes = {mode_name(mode, device): mode for mode in reversed(MODES)}
    return {name: peak(mode, device) for name, mode in reversed(modes.items())}


def peak(mode: Mode, device: torch.device, repeats: int = 5) -> float:
    """Operations a second, two a multiply-add: the best of some products and 3×3 convolutions, forward."""
    rates = []
    with running(mode, device), torch.no_grad():
        for call, operations in problems(device, torch.bfloat16 if mode == "bf16" else torch.float32):
            call()
            rates.append(operations / min(timed(call, device) for _ in range(repeats)))
    return max(rates)


def problems(device: torch.device, dtype: torch.dtype) -> Iterator[tuple[Callable[[], Tensor], int]]:
    """Products and convolutions with their operations, on a GPU of more than fills it."""
    big = device.type == "cuda"
    for side in (4096, 8192) if big else (512, 1024):
        a = torch.randn(side, side, device=device).to(dtype)
        yield partial(torch.matmul, a, a), 2 * side**3
    for batch, channels, side in ((256, 256, 32), (256, 512, 16)) if big else ((16, 64, 32), (16, 128, 16)):
        x = torch.randn(batch, channels, side, side, device=device).to(dtype)
        weight = torch.randn(channels, channels, 3, 3, device=device).to(dtype)
        for layout in (torch.contiguous_format, torch.channels_last):
            call = partial(conv2d, x.to(memory_format=layout), weight.to(memory_format=layout), padding=1)
            yield call, 2 * batch * side**2 * channels**2 * 9
