"""The devices of a stage: named together where several share it, and made this process's own."""

from __future__ import annotations

import torch

SEPARATOR = "+"
"""The sign between devices that share a stage: cuda:0+cuda:1."""


def devices_of(device: str) -> list[str]:
    """The devices that are named together."""
    return device.split(SEPARATOR)


def claim(device: str, threads: int) -> torch.device:
    """Make this process use that device, of several the first, and so many threads."""
    torch.set_num_threads(threads)
    return pinned(devices_of(device)[0])


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
