"""Precision: bf16 autocast and TF32 for training where a GPU has them, plain float32 for everything that is reported.

Rounding a network's output to bf16 costs a μ-network up to 13 bits/dim, so the output layers of `networks/` stay in
float32 even under autocast, and the bound never sees either. cuDNN's convolutions use TF32 unless told otherwise.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch

Precision = Literal["float32", "bf16"]
AMPERE = (8, 0)
"""The least compute capability of a GPU that has bf16; older ones emulate it."""


def resolve_precision(precision: Literal["auto", "float32", "bf16"], device: torch.device) -> Precision:
    """What `auto` means on a device: bf16 on a GPU that has it, else float32."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE else "float32"


@contextlib.contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """A context of plain float32, without autocast and TF32: bounds, samples and features are computed in it."""
    with tf32(False), torch.autocast(device.type, enabled=False):
        yield


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """A context in which products and convolutions may use TF32, or may not."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
