"""One stage in a worker, from the files it needs to the files it leaves. No tracking here.

autoencoder      stored images ─▶ weights, the scale of its codes
training         stored images, or their codes ─▶ weights (learner and average), curves
rung             the same, up to a step ─▶ a checkpoint of it, and a bound on validation
fit              weights ─▶ what a fitted variance reads of the network, per t
bound            weights, fit ─▶ the bound per image, its split and its terms per t; likelihoods in continuous time
samples          weights, fit ─▶ generated sets and what they score
reconstruction   autoencoder ─▶ reconstructed test images and what they score
floor            held-out images ─▶ what real images score where generated ones are judged

What trains is in `learning.py`, what scores a trained network in `scoring.py`.
"""

from __future__ import annotations

import platform
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ablations.stages import kinds
from ablations.stages.journal import Journal, Result, locked, write_json
from ablations.stages.version import code_version
from ablations.workers import evaluate, train
from ablations.workers.restore import load, load_encoding
from ablations.workers.train import Progress
from diffusion_core.diffusion import Diffusion

PROGRESS_SECONDS = 0.3


def perform(stage: kinds.Stage, root: str, device: str) -> str:
    """Run a stage unless it has its result; "finished", "diverged" or "failed" (with its traceback in the journal)."""
    journal = Journal(Path(root))
    folder = journal.folder(stage.id)
    with locked(folder / "lock", wait=True):
        known = journal.result(stage.id)
        if known is not None:
            return known.status
        try:
            here = claim(device, stage.cell.threads)
            result = _run(stage, journal, here)
            known_by = {"device": device_name(here), "code": code_version()}
            result = replace(result, facts={**known_by, **result.facts})
            write_json(folder / "result.json", asdict(result))
        except Exception as error:
            trace = traceback.format_exc()
            journal.write_status(stage.id, "failed", f"{type(error).__name__}: {error}\n{trace}")
            return "failed"
        for name in ("status.json", "checkpoint.safetensors"):
            (folder / name).unlink(missing_ok=True)
        return result.status


def claim(device: str, threads: int) -> torch.device:
    """Make this process use that device and so many threads."""
    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        torch.backends.cudnn.deterministic = True
    return torch.device(device)


def _run(stage: kinds.Stage, journal: Journal, device: torch.device) -> Result:
    cell, folder = stage.cell, journal.folder(stage.id)
    data = cell.data.load()
    progress = progress_writer(folder)
    if isinstance(stage, kinds.FloorStage):
        return evaluate.run_floor(cell, data, device)
    if isinstance(stage, kinds.AutoencoderStage):
        return train.run_autoencoder(cell, stage.id, data, folder, device, progress)
    if isinstance(stage, (kinds.TrainingStage, kinds.ReconstructionStage)):
        encoding = load_encoding(cell, data, journal, stage.autoencoder, device)
        if isinstance(stage, kinds.TrainingStage):
            return train.run_training(cell, stage.id, encoding, data, folder, device, progress)
        return evaluate.run_reconstruction(cell, encoding, data, folder, device)
    if isinstance(stage, kinds.RungStage):
        training = journal.folder(stage.training.id)
        encoding = load_encoding(cell, data, journal, stage.training.autoencoder, device)
        with locked(training / "lock", wait=True):
            return train.run_rung(cell, stage, encoding, data, training, device, progress)
    model = load(cell, data, journal, stage.parts, device)
    if isinstance(stage, kinds.FitStage):
        assert isinstance(model, Diffusion), "a chain of no steps has no variance to fit"
        return evaluate.run_fit(cell, model, data, folder, progress)
    if isinstance(stage, kinds.BoundStage):
        return evaluate.run_bound(cell, stage.split, model, data, folder, progress)
    return evaluate.run_samples(cell, stage.split, model, data, folder, progress)


def progress_writer(folder: Path) -> Progress:
    """A function that leaves the share done in `folder`, a few times a second at most."""
    last = 0.0

    def write(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            (folder / "progress").write_text(f"{share:.4f}")

    return write


def device_name(device: torch.device) -> str:
    """The card's name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
