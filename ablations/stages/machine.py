"""The kind of machine that computed something: everything beside the code that rounding depends on.

One id gives the same numbers, bit by bit, on machines of one kind. Another processor, instruction set or library adds
up in another order, and a training turns that into a difference as large as that between two seeds.
"""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

import torch

PARTS = " · "
"""The separator between the parts of a kind; a list of kinds has commas."""
KERNELS = "kernels 2"
"""The name of today's way to lay out products for kernels that use AMX. Rows of such machines without it have other
digits at equal ids."""
LIBRARIES = {
    r"Math Kernel Library Version ([\d.]+)": "MKL",
    r"MKL-DNN v([\d.]+)": "oneDNN",
    r"OpenBLAS ([\d.]+)": "OpenBLAS",
}
"""Patterns in torch's description of the libraries that compute on a processor → the names of the libraries."""


def kind_of_machine(device: torch.device) -> str:
    """The processor or the GPU, its instructions, and the versions of torch and of the libraries that it computes
    with."""
    if device.type == "cuda":
        return PARTS.join((torch.cuda.get_device_name(device), f"torch {torch.__version__}", *of_cuda()))
    return PARTS.join(
        (
            processor().replace(",", ""),
            instructions(),
            *revision(),
            f"torch {torch.__version__}",
            *libraries(torch.__config__.show()),
        )
    )


def of_cuda() -> list[str]:
    """The libraries that torch computes with on a GPU, with their versions where torch reports them."""
    versions = {"CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
    return [f"{name} {version}" for name, version in versions.items() if version]


def libraries(told: str) -> list[str]:
    """The libraries that torch computes with on a processor, with their versions, from torch's description of
    itself."""
    matches = ((name, re.search(pattern, told)) for pattern, name in LIBRARIES.items())
    return [f"{name} {version[1]}" for name, version in matches if version]


def instructions() -> str:
    """The instruction set of this processor, by which kernels are chosen."""
    more = {"bf16": torch.cpu._is_avx512_bf16_supported, "AMX": torch.cpu._is_amx_tile_supported}
    return " ".join([torch.backends.cpu.get_cpu_capability(), *(name for name, has in more.items() if has())])


def revision() -> list[str]:
    """The revision of the products' layout, on processors where an earlier one gave other digits."""
    return [KERNELS] if torch.cpu._is_amx_tile_supported() else []


@cache
def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name where the system tells it, else its kind."""
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
