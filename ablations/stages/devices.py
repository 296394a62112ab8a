"""The device of a stage, claimed by this process: its memory, and the kind of machine that it is part of.

A kind is everything beside the code that rounding depends on. One id gives the same numbers, bit by bit, on machines of
one kind. Another processor, instruction set or library adds up in another order, and a training turns that into a
difference as large as that between two seeds.
"""

from __future__ import annotations

import ctypes
import platform
import re
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

HELD = 0.5
"""The share of a GPU's free memory that data may take which are trained on."""
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


def claim(device: str, threads: int) -> torch.device:
    """Make this process use the device, and so many threads."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    if device.startswith("cuda"):
        # No other is opened, and kernels repeat their numbers.
        torch.cuda.set_device(device)
        torch.backends.cudnn.deterministic = True
    return torch.device(device)


@cache
def keep_freed_memory() -> None:
    """Keep the memory that this process frees, where its C library allows that.

    A training step needs the memory that the last one freed: returned to the system, it comes back page by page, each
    zeroed anew, which takes an eighth of a step of eight small trainings side by side.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(-1, 512 << 20)  # M_TRIM_THRESHOLD, bytes that stay at the end of the heap
        tell(-3, 32 << 20)  # M_MMAP_THRESHOLD, bytes from which the system makes each allocation


def placed(values: Tensor, device: torch.device) -> Tensor:
    """The values on the device, or where they are if a GPU has no room for them: then each batch is sent."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.nbytes <= HELD * free else values


def hardware_id(device: torch.device) -> str:
    """The processor with its instructions, or the GPU, and the versions of torch and of the libraries that it computes
    with."""
    parts = [f"torch {torch.__version__}"]
    if device.type == "cuda":
        versions = {"CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
        parts += [f"{name} {version}" for name, version in versions.items() if version]
        return PARTS.join((torch.cuda.get_device_name(device), *parts))
    amx = torch.cpu._is_amx_tile_supported()
    has = {"bf16": torch.cpu._is_avx512_bf16_supported(), "AMX": amx}
    instructions = " ".join([torch.backends.cpu.get_cpu_capability(), *(name for name in has if has[name])])
    matches = ((name, re.search(pattern, torch.__config__.show())) for pattern, name in LIBRARIES.items())
    parts += [f"{name} {version[1]}" for name, version in matches if version]
    return PARTS.join((processor().replace(",", ""), instructions, *([KERNELS] if amx else []), *parts))


@cache
def processor() -> str:
    """The processor's name where the system tells it, else its kind."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()
