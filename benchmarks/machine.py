"""The machine that numbers were measured on, in words."""

from __future__ import annotations

import os

import torch

from ablations.stages.devices import processor


def machine(device: torch.device, threads: int) -> str:
    """The processor with its cores, and the GPU where one is used."""
    gpu = f"{torch.cuda.get_device_name(device)}; " if device.type == "cuda" else ""
    return f"{gpu}{processor()}, {os.cpu_count()} cores, {threads} threads used"
