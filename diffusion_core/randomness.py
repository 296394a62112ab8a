"""Randomness without state: every draw is a function of (seed, step, purpose).

Cells of one seed therefore see the same batches, times and noise, a resumed training continues bit by bit, and nothing
has to be stored. Draws are made on the CPU and sent to the device, so that they agree between devices.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor, nn

BLOCK = 64
"""Samples per block: noise is drawn for whole blocks, so that a sample does not depend on its batch."""


def key(seed: int, step: int, purpose: str) -> int:
    """64 bits that name one draw."""
    digest = hashlib.blake2b(f"{seed}/{step}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def draw(seed: int, step: int, purpose: str) -> torch.Generator:
    """The CPU generator of one draw."""
    return torch.Generator().manual_seed(key(seed, step, purpose))


def send(value: Tensor, device: torch.device) -> Tensor:
    """The value on the device, without waiting for the copy."""
    if device.type != "cuda":
        return value
    return value.pin_memory().to(device, non_blocking=True)


def normal(seed: int, step: int, purpose: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """A draw from N(0, I), float32."""
    return send(torch.randn(shape, generator=draw(seed, step, purpose)), device)


def uniform(seed: int, step: int, purpose: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """A draw from U[0, 1), float64."""
    return send(torch.rand(shape, generator=draw(seed, step, purpose), dtype=torch.float64), device)


def normal_blocks(seed: int, step: int, first: int, count: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Noise of samples `first`..`first + count` (`first` a multiple of BLOCK), each independent of the others drawn."""
    blocks = range(first // BLOCK, math.ceil((first + count) / BLOCK))
    noise = [torch.randn(BLOCK, *shape, generator=draw(seed, step, f"sample/{block}")) for block in blocks]
    return send(torch.cat(noise)[:count], device)


def initialise(module: nn.Module, seed: int) -> None:
    """Draw every layer's weights from its name, so that networks agree wherever their layers' shapes do.

    Layers whose weight is zero as built (the last of a residual branch) stay zero.
    """
    for name, layer in module.named_modules():
        if not isinstance(layer, (nn.Linear, nn.Conv2d)):
            continue
        if not layer.weight.any():
            continue
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key(seed, 0, f"init/{name}"))
            layer.reset_parameters()
