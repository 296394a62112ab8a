"""The devices of a stage, named together where several share it, made this process's own, and their memory."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SEPARATOR = "+"
"""The sign between devices that share a stage: cuda:0+cuda:1."""
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Settings of glibc's `mallopt`: how much freed memory at the end of the heap is handed back to the system, and from
which size on each allocation is the system's."""
KEPT, LARGE = 512 << 20, 32 << 20
"""Bytes of either."""


def devices_of(device: str) -> list[str]:
    """The devices that are named together."""
    return device.split(SEPARATOR)


def claim(device: str, threads: int) -> torch.device:
    """Make this process use that device, of several the first, and so many threads."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    return pinned(devices_of(device)[0])


@cache
def keep_freed_memory() -> None:
    """Have this process keep the memory that it frees, where its C library can be told so.

    A training step takes what the last one freed. Handed back to the system meanwhile, it comes page by page, each
    zeroed anew: an eighth of a step of eight small trainings side by side.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(TRIM_THRESHOLD, KEPT)
        tell(MMAP_THRESHOLD, LARGE)


def pinned(device: str) -> torch.device:
    """The device, which is this process's own if it is a GPU: no other is opened, and kernels repeat their numbers."""
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        torch.backends.cudnn.deterministic = True
    return torch.device(device)


def answers(device: str) -> bool:
    """True while devices still work, which a GPU does not after an error of its own."""
    try:
        for name in devices_of(device):
            if name.startswith("cuda"):
                torch.cuda.synchronize(name)
    except RuntimeError:
        return False
    return True


PROCESS = Path("/proc/self")


HELD = 0.5  # the share of a GPU's free memory that data may take which are trained on


def placed(values: Tensor, device: torch.device) -> Tensor:
    """Values on the device, or where they are if a GPU has no room for them: then each batch of them is sent."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.nbytes <= HELD * free else values


def reset_peak_memory(device: torch.device, process: Path = PROCESS) -> bool:
    """Start a new high-water mark of memory; whether this system has one that can be set back."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        # 5 sets back VmHWM, the process's peak resident size (proc_pid_clear_refs(5)); 1, 2 and 3 are of pages.
        (process / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory(device: torch.device, process: Path = PROCESS) -> dict[str, float]:
    """`cost/peak_memory_bytes` since the mark was set back; nothing where the system does not say.

    On a GPU: what its tensors took. On a CPU: the resident memory of the whole worker, libraries and data included, so
    that it is to be compared between cells and not with a GPU's.
    """
    if device.type == "cuda":
        return {"cost/peak_memory_bytes": float(torch.cuda.max_memory_allocated(device))}
    try:
        high_water = re.search(r"^VmHWM:\s*(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
    except OSError:
        return {}
    return {"cost/peak_memory_bytes": 1024.0 * int(high_water[1])} if high_water else {}
