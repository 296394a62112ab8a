"""From a command to its first training step: ours with its plan, store and workers, a peer's by a script alone.

Both run as processes of their own, in the interpreter that runs the benchmark.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

CELL = (
    "horizon=25",
    "training.steps=60",
    "training.batch=64",
    "training.report_every=1",
    "network.channels=8",
    "network.multipliers=[1]",
    "network.attention=[]",
)
"""A cell so small that its first step takes no time to speak of."""

SCRIPT = """
import torch
from diffusers import DDPMScheduler, UNet2DModel

device = "cuda" if torch.cuda.is_available() else "cpu"
network = UNet2DModel(
    sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8,), layers_per_block=1, norm_num_groups=8,
    down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
).to(device)
optimiser = torch.optim.AdamW(network.parameters())
images, t = torch.randn(64, 1, 8, 8, device=device), torch.randint(0, 1000, (64,), device=device)
noise = torch.randn_like(images)
out = network(DDPMScheduler().add_noise(images, noise, t), t).sample
torch.nn.functional.mse_loss(out, noise).backward()
optimiser.step()
"""
"""The script that a peer's user would write for one step."""

LIMIT = 300.0
"""Seconds after which there is no first step to be waited for."""


def start_ours() -> None:
    """Run the command until its training reports, and end it."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        words = [sys.executable, "-m", "ablations.run", *CELL, "name=start", f"results={folder}"]
        root = str(Path(__file__).parents[1])
        paths = os.pathsep.join(path for path in (root, os.environ.get("PYTHONPATH", "")) if path)
        command = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A group of its own, so that its workers end with it.
            start_new_session=True,
        )
        try:
            _wait_for_report(command, Path(folder))
        finally:
            os.killpg(command.pid, signal.SIGKILL)
            command.wait()


def _wait_for_report(command: subprocess.Popen[bytes], folder: Path) -> None:
    began = time.monotonic()
    while not any(folder.glob(".stages/*/progress")):
        if command.poll() is not None or time.monotonic() - began > LIMIT:
            raise RuntimeError("the command ended without a report of its training, or took too long")
        time.sleep(0.01)


def start_diffusers() -> None:
    """Run a peer's script of one step."""
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
