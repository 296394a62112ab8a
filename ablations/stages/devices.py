"""The devices of a stage: written together where several share it, claimed by this process, with their memory."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SEPARATOR = "+"
"""The separator of devices that share a stage: cuda:0+cuda:1."""
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`: how much freed memory at the end of the heap is returned to the system, and the size
from which each allocation is made by the system."""
KEPT, LARGE = 512 << 20, 32 << 20
"""Values of these two, in bytes."""


def devices_of(device: str) -> list[str]:
    """The devices in a name like cuda:0+cuda:1."""
    return device.split(SEPARATOR)


def claim(device: str, threads: int) -> torch.device:
    """Make this process use the device, of several the first, and so many threads."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    return pinned(devices_of(device)[0])


@cache
def keep_freed_memory() -> None:
    """Keep the memory that this process frees, where its C library allows that.

    A training step needs the memory that the last one freed. Returned to the system in between, it comes back page by
    page, each zeroed anew, which takes an eighth of a step of eight small trainings side by side.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(TRIM_THRESHOLD, KEPT)
        tell(MMAP_THRESHOLD, LARGE)


def pinned(device: str) -> torch.device:
    """The device, with this process bound to it if it is a GPU: no other is opened, and kernels repeat their
    numbers."""
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        torch.backends.cudnn.deterministic = True
    return torch.device(device)


def answers(device: str) -> bool:
    """True while the devices still work; a GPU does not after an error of its own."""
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
    """The values on the device, or where they are if a GPU has no room for them: then each batch is sent."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.nbytes <= HELD * free else values


def reset_peak_memory(device: torch.device, process: Path = PROCESS) -> bool:
    """Start a new high-water mark of memory; True where this system can reset the mark."""
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
    """`cost/peak_memory_bytes` since the mark was reset; empty where the system does not report it.

    On a GPU it is the memory of its tensors. On a CPU it is the resident memory of the whole worker, with libraries and
    data: it can be compared between cells, and not with a GPU's.
    """
    if device.type == "cuda":
        return {"cost/peak_memory_bytes": float(torch.cuda.max_memory_allocated(device))}
    try:
        high_water = re.search(r"^VmHWM:\s*(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
    except OSError:
        return {}
    return {"cost/peak_memory_bytes": 1024.0 * int(high_water[1])} if high_water else {}
