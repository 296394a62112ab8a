"""Compilation: a network as `torch.compile` makes it, whose calls on a GPU are CUDA graphs.

A call of a small network is hundreds of kernels, each of which takes longer to launch than to run. Compiled, they are
fewer, and a graph launches them at once. Numbers are rounded otherwise, so what is compiled is part of an identity.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

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
