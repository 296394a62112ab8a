"""How long stages will take: their passes of a network, times the seconds of a pass, measured now per network."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch

from ablations.data.base import Data
from ablations.settings.budget import training_passes
from ablations.settings.cell import Cell
from ablations.stages.graph import work
from ablations.stages.kinds import AutoencoderStage, Stage
from ablations.workers.restore import autoencoder_of
from diffusion_core.encodings import Continuous
from diffusion_core.learner import DiffusionLearner
from diffusion_core.spaces import Latents
from diffusion_core.training import Trainer

MEASURED = 0.7
"""Seconds of measuring, per network."""


def seconds_of(stages: Iterable[Stage], data: Data, device: str) -> float:
    """Seconds that these stages take, one after another."""
    here = torch.device(device)
    known: dict[object, float] = {}
    total = 0.0
    for stage in stages:
        passes = work(stage, data)
        if not passes:
            continue
        cell = stage.cell
        encodes = isinstance(stage, AutoencoderStage)
        key = (encodes, cell.space, None if encodes else (cell.network, cell.schedule.learned, cell.training.batch))
        if key not in known:
            known[key] = autoencoder_pass(cell, data, here) if encodes else diffusion_pass(cell, data, here)
        total += passes * known[key]
    return total


def diffusion_pass(cell: Cell, data: Data, device: torch.device) -> float:
    """Seconds of a forward pass per example in a training step's batch, where a backward pass counts two."""
    batch = cell.training.batch
    if cell.space.encoded:
        shape = cell.space.shape_of(data.shape)
        learner = DiffusionLearner.of(cell.choices, Continuous(), shape)
        raw = torch.randn(batch, *shape)
    else:
        learner = DiffusionLearner.of(cell.choices, data.encoding, data.shape)
        raw = data.images["train"][:batch]
    learner.diffusion.initialise(cell.seed)
    trainer = Trainer(learner.to(device), cell.training, device)
    return _seconds(trainer, raw.to(device), cell.threads) / (training_passes(cell) * len(raw))


def autoencoder_pass(cell: Cell, data: Data, device: torch.device) -> float:
    """The same of an autoencoder, to code and back."""
    assert isinstance(cell.space, Latents), "the data themselves need no autoencoder"
    plan = cell.space.plan(cell.training.precision)
    raw = data.images["train"][: plan.batch]
    trainer = Trainer(autoencoder_of(cell, data).to(device), plan, device)
    return _seconds(trainer, raw.to(device), cell.threads) / (3 * len(raw))


def _seconds(trainer: Trainer, raw: torch.Tensor, threads: int) -> float:
    """Seconds of a training step, after a first one."""
    torch.set_num_threads(threads)
    trainer.step(raw, 0, 0)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < MEASURED:
        steps += 1
        trainer.step(raw, 0, steps)
        if raw.device.type == "cuda":
            torch.cuda.synchronize(raw.device)
    return (time.perf_counter() - began) / steps
