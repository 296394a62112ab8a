"""The most memory that a stage took, and which data a device is to hold."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

PROCESS = Path("/proc/self")


HELD = 0.5
"""The share of a GPU's free memory that data may take which are trained on."""


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
