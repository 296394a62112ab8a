"""How long stages will take: their passes of a network, times the seconds of a pass, measured now per network.

A pass is timed where it will be taken: in a training step, in a term of the bound, in a call of the sampler. They
differ in precision and in batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterable
from functools import partial

import torch

from ablations.data.base import Data
from ablations.settings.budget import training_passes
from ablations.settings.cell import Cell
from ablations.stages.graph import work
from ablations.stages.kinds import AutoencoderStage, RungStage, SamplesStage, Stage, TrainingStage
from ablations.workers.restore import autoencoder_of
from diffusion_core import precision
from diffusion_core.encodings import Continuous
from diffusion_core.learner import DiffusionLearner
from diffusion_core.precision import resolve_precision
from diffusion_core.samplers import reverse_at
from diffusion_core.spaces import Latents
from diffusion_core.trainer import Trainer

MEASURED = 0.5
"""Seconds of measuring, per network and kind of pass."""
BATCH, PIXELS = 450, 450 * 32 * 32
"""Examples that go through a network at once where it is evaluated, about; fewer are measured of large ones."""


def seconds_of(stages: Iterable[Stage], data: Data, device: str) -> float:
    """Seconds that these stages take, one after another."""
    here = torch.device(device)
    known: dict[Hashable, float] = {}
    total = 0.0
    for stage in stages:
        passes = work(stage, data)
        if not passes:
            continue
        cell, measure = stage.cell, measure_of(stage)
        key = (measure, cell.space, cell.network, cell.schedule.learned, cell.training.batch, cell.training.precision)
        if key not in known:
            torch.set_num_threads(cell.threads)
            known[key] = measure(cell, data, here)
        total += passes * known[key]
    return total


def measure_of(stage: Stage) -> Callable[[Cell, Data, torch.device], float]:
    """What tells the seconds of a pass of a stage, per example."""
    if isinstance(stage, AutoencoderStage):
        return autoencoder_pass
    if isinstance(stage, TrainingStage):
        return training_pass
    drawn = isinstance(stage, SamplesStage) or (isinstance(stage, RungStage) and stage.scores == "samples")
    return sampling_pass if drawn else scoring_pass


def training_pass(cell: Cell, data: Data, device: torch.device) -> float:
    """Seconds of a forward pass in a training step's batch, where a backward pass counts two."""
    learner = learner_of(cell, data, device)
    batch = cell.training.batch
    raw = torch.randn(batch, *learner.diffusion.shape) if cell.space.encoded else data.images["train"][:batch]
    trainer, raw = Trainer(learner, cell.training, device), raw.to(device)
    return _seconds(lambda: trainer.step(raw, 0, 0), device) / (training_passes(cell) * len(raw))


def scoring_pass(cell: Cell, data: Data, device: torch.device) -> float:
    """Seconds of a term of the bound."""
    diffusion = learner_of(cell, data, device).eval().diffusion
    count, chain = count_of(diffusion.shape), diffusion.chain()
    x0 = torch.randn(count, *diffusion.shape, device=device).clamp(-1, 1)
    k = torch.full((count,), chain.steps, device=device)
    with torch.no_grad(), precision.exact(device):
        return _seconds(lambda: diffusion.term(x0, x0, chain, k, clip=cell.evaluation.clip), device) / count


def sampling_pass(cell: Cell, data: Data, device: torch.device) -> float:
    """Seconds of a call of the sampler."""
    diffusion = learner_of(cell, data, device).eval().diffusion
    count, chain = count_of(diffusion.shape), diffusion.chain(cell.sampler.steps)
    x_t = torch.randn(count, *diffusion.shape, device=device)
    chosen = resolve_precision(cell.training.precision, device)
    with torch.no_grad(), precision.exact(device), diffusion.network_in(chosen):
        call = partial(reverse_at, diffusion, x_t, chain, chain.steps, clip=cell.evaluation.clip)
        return _seconds(call, device) / count


def count_of(shape: tuple[int, ...]) -> int:
    """How many examples of a shape are measured at once."""
    return max(1, min(BATCH, PIXELS // math.prod(shape[1:])))


def learner_of(cell: Cell, data: Data, device: torch.device) -> DiffusionLearner:
    """What a cell trains, of what diffuses in codes as if they were data."""
    if cell.space.encoded:
        learner = DiffusionLearner.of(cell.choices, Continuous(), cell.space.shape_of(data.shape))
    else:
        learner = DiffusionLearner.of(cell.choices, data.encoding, data.shape)
    learner.diffusion.initialise(cell.seed)
    return learner.to(device)


def autoencoder_pass(cell: Cell, data: Data, device: torch.device) -> float:
    """Seconds of a forward pass of an autoencoder, to code and back, in a training step's batch."""
    assert isinstance(cell.space, Latents), "the data themselves need no autoencoder"
    plan = cell.space.plan(cell.training.precision)
    raw = data.images["train"][: plan.batch].to(device)
    trainer = Trainer(autoencoder_of(cell, data).to(device), plan, device)
    return _seconds(lambda: trainer.step(raw, 0, 0), device) / (3 * len(raw))


def _seconds(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of an action, after a first one."""
    action()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < MEASURED:
        count += 1
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / count
