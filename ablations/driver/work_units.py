"""Units of work, whose time and memory are measured: a pass of each network of a plan, in each way that it is used.

A pass belongs to a training step, a term of the bound, a call of the sampler, or a step of an autoencoder, which differ
in precision and in batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.company import Seat, side_by_side
from ablations.engine.processes import METHOD
from ablations.settings.budget import autoencoder_flops, forward_flops, training_passes
from ablations.settings.cell import Cell
from ablations.settings.choices import choices_of, classes_of
from ablations.settings.plugins import classes as plugins
from ablations.stages.restore import autoencoder_of
from ablations.stages.stage import Passes, Stage
from diffusion_core import precision
from diffusion_core.encodings import Continuous
from diffusion_core.learner import DiffusionLearner
from diffusion_core.precision import resolve_precision
from diffusion_core.samplers import reverse_at
from diffusion_core.spaces import Latents
from diffusion_core.trainer import Trainer

BATCH, PIXELS = 450, 450 * 32 * 32
"""The number of examples that go through a network at once in evaluation, roughly; for large images fewer are timed."""


@dataclass(frozen=True)
class Pass:
    """An action that takes so many forward passes of an example through a network; a backward pass counts as two."""

    action: Callable[[], object]
    passes: float


Maker = Callable[[Cell, Data, torch.device, int], Pass]
"""A function that makes the pass of a cell on a device, with so many examples at once in evaluation."""


def process() -> ProcessPoolExecutor:
    """A separate process, in which passes are measured."""
    context, modules = get_context(METHOD), (plugins.modules(),)
    return ProcessPoolExecutor(1, mp_context=context, initializer=plugins.import_modules, initargs=modules)


def maker_of(stage: Stage) -> Maker:
    return MAKERS[stage.passes]


def alike(stage: Stage) -> Hashable:
    """A key of the passes of a stage: two stages whose keys are equal have passes of the same time and memory."""
    cell = stage.cell
    network = (cell.space, cell.network, cell.schedule.learned, cell.conditioning)
    plan = cell.training
    return (stage.passes, *network, cell.coupling, plan.batch, plan.micro_batch, plan.optimizer, plan.precision)


def guessed(stages: Mapping[Hashable, Stage], data: Data) -> dict[Hashable, float]:
    """Seconds of a pass of each of these stages, roughly: that of the baseline's network on digits, more for networks
    with more operations where there are several."""
    networks = {key: _network(stage) for key, stage in stages.items()}
    ratios = dict.fromkeys(networks.values(), 1.0)
    if len(ratios) > 1:
        one_each = {networks[key]: stage for key, stage in stages.items()}
        ratios = {name: CALLED + (1 - CALLED) * _operations(stage, data) / BASELINE for name, stage in one_each.items()}
    return {key: ratios[networks[key]] * ABOUT[stage.passes] for key, stage in stages.items()}


def _network(stage: Stage) -> Hashable:
    """A key of the network whose passes a stage takes."""
    return stage.cell.space, None if stage.passes == "autoencoder" else stage.cell.network


def _operations(stage: Stage, data: Data) -> float:
    """Floating-point operations of a pass of a stage's network."""
    cell, here = stage.cell, torch.device("cpu")
    if stage.passes == "autoencoder":
        return float(sum(autoencoder_flops(autoencoder_of(cell, data), data.shape, cell.space.shape_of(data.shape))))
    return float(forward_flops(learner_of(cell, data, here).diffusion))


def training_pass(cell: Cell, data: Data, device: torch.device, count: int) -> Pass:
    """A training step, whose batch is its own."""
    trainer, raw, labels = trainer_of(cell, data, device)
    return Pass(lambda: trainer.step(raw, 0, 0, labels), training_passes(cell) * len(raw))


def trainer_of(cell: Cell, data: Data, device: torch.device) -> tuple[Trainer, Tensor, Tensor | None]:
    """The trainer of a cell, and a batch for it, with labels if the network is told them."""
    learner = learner_of(cell, data, device)
    batch = cell.training.batch
    raw = torch.randn(batch, *learner.diffusion.shape) if cell.space.encoded else data.images["train"][:batch]
    labels = torch.zeros(len(raw), dtype=torch.int64, device=device) if learner.classes else None
    return Trainer(learner, cell.training, device), raw.to(device), labels


def company_pass(cell: Cell, data: Data, device: torch.device, members: int) -> Pass:
    """A training step of each of so many cells like this one, side by side."""
    made = [trainer_of(cell, data, device) for _ in range(members)]

    def step(place: int, seat: Seat) -> None:
        # As each stage does in a thread of its own.
        torch.set_num_threads(cell.threads)
        trainer, raw, labels = made[place]
        trainer.beside = seat.meet
        trainer.step(raw, 0, 0, labels)

    def steps() -> None:
        for end in side_by_side(members, step):
            if isinstance(end, Exception):
                raise end

    return Pass(steps, training_passes(cell) * sum(len(raw) for _, raw, _ in made))


def scoring_pass(cell: Cell, data: Data, device: torch.device, count: int) -> Pass:
    """A term of the bound."""
    diffusion = learner_of(cell, data, device).eval().diffusion
    chain = diffusion.chain()
    x0 = torch.randn(count, *diffusion.shape, device=device).clamp(-1, 1)
    k = torch.full((count,), chain.steps, device=device)

    def term() -> object:
        with torch.no_grad(), precision.exact(device):
            return diffusion.term(x0, x0, chain, k)

    return Pass(term, count * cell.conditioning.passes)


def sampling_pass(cell: Cell, data: Data, device: torch.device, count: int) -> Pass:
    """A call of the sampler."""
    diffusion = learner_of(cell, data, device).eval().diffusion
    # Which times are visited changes nothing of what a call takes, and a fitted spacing is not known yet.
    chain = diffusion.chain(None if cell.spacing.fitted else cell.sampler.steps, real=True)
    x_t = torch.randn(count, *diffusion.shape, device=device)
    chosen = resolve_precision(cell.training.precision, device)
    call = partial(reverse_at, diffusion, x_t, chain, chain.steps)

    def taken() -> object:
        with torch.no_grad(), precision.exact(device), diffusion.network_in(chosen):
            return call()

    return Pass(taken, count * cell.conditioning.passes)


def autoencoder_pass(cell: Cell, data: Data, device: torch.device, count: int) -> Pass:
    """A training step of an autoencoder, to the code and back, with its own batch."""
    assert isinstance(cell.space, Latents), "the data themselves need no autoencoder"
    plan = cell.space.plan(cell.training.precision)
    raw = data.images["train"][: plan.batch].to(device)
    trainer = Trainer(autoencoder_of(cell, data).to(device), plan, device)
    return Pass(lambda: trainer.step(raw, 0, 0), 3 * len(raw))


def count_of(cell: Cell, data: Data) -> int:
    """The number of examples of a cell that are timed at once."""
    shape = cell.space.shape_of(data.shape)
    return max(1, min(BATCH, PIXELS // math.prod(shape[1:])))


def learner_of(cell: Cell, data: Data, device: torch.device) -> DiffusionLearner:
    """The learner that a cell trains; if it diffuses codes, one for data of their shape."""
    encoding, shape = data.encoding, data.shape
    if cell.space.encoded:
        encoding, shape = Continuous(), cell.space.shape_of(data.shape)
    learner = DiffusionLearner.of(choices_of(cell), encoding, shape, classes_of(cell))
    learner.diffusion.initialise(cell.seed)
    learner.diffusion.clip = cell.evaluation.clip
    return learner.to(device)


MAKERS: dict[Passes, Maker] = {
    "training": training_pass,
    "sampling": sampling_pass,
    "scoring": scoring_pass,
    "autoencoder": autoencoder_pass,
}
ABOUT: dict[Passes, float] = {"training": 98e-6, "sampling": 70e-6, "scoring": 66e-6, "autoencoder": 90e-6}
"""Seconds of a pass of one example through the baseline's network, roughly, on a core of today."""
BASELINE = 6.0e6
"""Operations of such a pass."""
CALLED = 0.2
"""The share of that time that even a network of few operations takes."""
