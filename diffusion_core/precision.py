"""How a network is computed: in bf16 autocast or float32, and on a GPU as compiled CUDA graphs.

Networks train and sample in bf16 where the device has it; all that scores is plain float32. Rounding a network's output
to bf16 costs a μ-network up to 13 bits/dim, so the output layers of `networks/` stay in float32 even under autocast,
and neither bounds nor features see it. cuDNN's convolutions use TF32 unless told not to.

A call of a small network is hundreds of kernels, each of which takes longer to launch than to run. Compiled, they are
fewer, and a graph launches them at once. Numbers are rounded otherwise, so what is compiled is part of an identity.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Literal

import torch
from torch import nn

Precision = Literal["float32", "bf16"]
Asked = Literal["auto", "float32", "bf16"]
AMPERE = (8, 0)
"""The least compute capability of a GPU that has bf16; older ones emulate it."""


def resolve_precision(precision: Asked, device: torch.device) -> Precision:
    """The precision that is asked for; `auto` is bf16 where a device has instructions for products in it, which others
    emulate, slower than float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= AMPERE else "float32"
    return "bf16" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "float32"


@contextlib.contextmanager
def network_call(precision: Precision, device: torch.device) -> Iterator[None]:
    """The context of a network's call: bf16 autocast, or for float32 whatever is around it; see `same_kernels`."""
    with same_kernels(), torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
        yield


@contextlib.contextmanager
def same_kernels() -> Iterator[None]:
    """A context that ends in RuntimeError where torch switched to other kernels within it.

    Torch does so for good, with only a warning, where memory runs out in a bf16 product. Later numbers would be rounded
    differently, and no longer equal those of another run.
    """
    before = torch.backends.mkldnn.enabled
    try:
        yield
    finally:
        given_up = before and not torch.backends.mkldnn.enabled
        torch.backends.mkldnn.enabled = before
    if given_up:
        raise RuntimeError("out of memory: oneDNN could not multiply matrices, and torch's own kernels round otherwise")


@contextlib.contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """A context of plain float32, without autocast and TF32: bounds and features are computed in it."""
    with tf32(False), torch.autocast(device.type, enabled=False):
        yield


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """A context in which products and convolutions may use TF32, or may not."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32, convolutions.allow_tf32 = allowed, allowed
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


Compile = Literal["none", "auto"]


def resolve_compile(compile: Compile, device: torch.device) -> Compile:
    """The compilation that is asked for; `auto` is none but on a GPU, since a CPU has fast forms (`fast/forms.py`)."""
    return compile if device.type == "cuda" else "none"


def compile_network(network: nn.Module) -> None:
    """Compile a network in place, for all calls from now on."""
    graphs = next(network.parameters()).device.type == "cuda"
    if not is_compiled(network):
        network.compile(mode="reduce-overhead" if graphs else "default")


def is_compiled(network: nn.Module) -> bool:
    """True for a network whose outputs lie in memory that its next call writes to."""
    return network._compiled_call_impl is not None
