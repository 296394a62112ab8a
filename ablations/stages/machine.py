"""The kind of machine that worked something out: what numbers depend on besides the code, by how they are rounded.

One id comes to the same numbers, bit by bit, on machines of one kind. Another processor, instruction set or library
adds up in another order, and a training makes of that as much as another seed does.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import torch

PARTS = " · "
"""Between the parts of a kind: a list of kinds has commas."""


def kind_of_machine(device: torch.device) -> str:
    """The processor or the GPU, its instructions, and torch's version."""
    if device.type == "cuda":
        return PARTS.join((torch.cuda.get_device_name(device), f"torch {torch.__version__}"))
    return PARTS.join((processor().replace(",", ""), instructions(), f"torch {torch.__version__}"))


def instructions() -> str:
    """The instructions that kernels are chosen by on this processor."""
    more = {"bf16": torch.cpu._is_avx512_bf16_supported, "AMX": torch.cpu._is_amx_tile_supported}
    return " ".join([torch.backends.cpu.get_cpu_capability(), *(name for name, has in more.items() if has())])


@cache
def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name where the system tells it, else its kind."""
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
