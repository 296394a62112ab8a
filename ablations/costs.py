"""What a training costs: memory, and floating-point operations."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from ablations.cell import Cell
from ablations.stages import training_passes
from diffusion_core.diffusion import Diffusion

PROCESS = Path("/proc/self")


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
        found = re.search(r"^VmHWM:\s*(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
    except OSError:
        return {}
    return {"cost/peak_memory_bytes": 1024.0 * int(found[1])} if found else {}


def forward_flops(diffusion: Diffusion) -> int:
    """Floating-point operations of one forward pass of one example."""
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros(1, *diffusion.shape, device=diffusion.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        diffusion.output(x, torch.ones(1, dtype=torch.int64, device=diffusion.device))
    return int(counter.get_total_flops())


def train_flops(cell: Cell, forward: float, images: float) -> float:
    """Of so many images seen: a forward pass and a backward pass that counts two, 3 × `forward` an image.

    A learned schedule takes further backward passes (`training_passes`).
    """
    return training_passes(cell) * forward * images
