"""The machine that numbers were measured on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def machine(device: torch.device, threads: int) -> str:
    """The processor with its cores, and the GPU where one is used."""
    import torch

    gpu = f"{torch.cuda.get_device_name(device)}; " if device.type == "cuda" else ""
    return f"{gpu}{processor()}, {os.cpu_count()} cores, {threads} threads used"


def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name where the system tells it, else its kind."""
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
