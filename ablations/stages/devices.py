"""The devices of a stage: named together where several share it, and made this process's own."""

from __future__ import annotations

import ctypes
from functools import cache

import torch

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
