"""An estimate, for a dry run, of the seconds that stages will take.

    seconds = Σ (begin and end + passes × seconds of a pass + sets × seconds of judging one) / workers + pages

A pass of one example is timed in each way that networks are used: in a training step, in a term of the bound, in a call
of the sampler. Trainings that will share a worker (`engine.stage.side_by_side`) take a fixed share of that.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial

import torch
from torch.utils.benchmark import Timer, timer

from ablations.data.base import Data
from ablations.engine.stage import size_of_next
from ablations.metrics.scoring import reference_of, set_size
from ablations.settings.budget import training_passes
from ablations.settings.cell import Cell
from ablations.stages.restore import autoencoder_of, build
from ablations.stages.stage import Run, Stage
from diffusion_core.encodings import Encoding
from diffusion_core.latents import LatentCode
from diffusion_core.precision import exact, resolve_precision
from diffusion_core.samplers import reverse_at
from diffusion_core.spaces import Latents
from diffusion_core.trainer import Trainer

MEASURED = 0.5
SLOWER = 1.1
"""The seconds that a worker takes beside others, over those that it takes alone, on a CPU."""
TOGETHER = 0.7
"""The seconds of a training step side by side with others, over those alone (benchmarks/together.md)."""
BATCH, PIXELS = 450, 450 * 32 * 32
"""The examples that go through a network at once in evaluation, roughly; of large images fewer are timed."""
STAGE, COMMAND = 0.3, 16.0
"""Seconds of a stage's begin and end, and of a command's begin and its pages."""
JUDGE = "judge"
Timed = tuple[Callable[[], object], float]
"""An action, and the forward passes of one example that it takes; a backward pass counts as two."""


def estimated_seconds(runs: Sequence[Run], missing: Sequence[Stage], devices: Sequence[str], together: int) -> float:
    """The seconds that these missing stages of runs will take, on workers that each train so many networks together; 0
    where there are none."""
    if not missing:
        return 0.0
    each = seconds_per_pass(missing, devices, together)
    took = {
        stage.id: STAGE + stage.sets * each[JUDGE] + stage.passes()[1] * each.get(key_of(stage), 0.0)
        for stage in missing
    }
    longest = max(sum(took.get(stage.id, 0.0) for stage in item.stages) for item in runs)
    return COMMAND + max(sum(took.values()) / len(devices), longest)


def key_of(stage: Stage) -> Hashable:
    """A key of the passes of a stage: two stages whose keys are equal have passes that take the same time."""
    cell, plan = stage.cell, stage.cell.training
    network = (cell.space, cell.network, cell.schedule.learned, cell.conditioning, cell.coupling)
    return stage.passes()[0], *network, plan.batch, plan.micro_batch, plan.optimizer, plan.precision


def seconds_per_pass(stages: Sequence[Stage], devices: Sequence[str], most: int) -> dict[Hashable, float]:
    """The seconds of a pass of each kind that these stages take, and of judging a set of samples."""
    device, slower = torch.device(devices[0]), SLOWER if devices[0] == "cpu" and len(devices) > 1 else 1.0
    marks = Counter((key_of(stage), stage.shape_key(devices[0])) for stage in stages)
    sizes = {key: size_of_next(count, len(devices), most) for (key, mark), count in marks.items() if mark}
    each: dict[Hashable, float] = {JUDGE: 0.0}
    for key, stage in {key_of(stage): stage for stage in stages if stage.passes()[1]}.items():
        kind = stage.passes()[0]
        action, passes = (_training if stage.trains else _evaluation)(kind, stage.cell, device)
        shared = TOGETHER if sizes.get(key, 1) > 1 else 1.0
        each[key] = slower * shared * _seconds(action, device, stage.threads) / passes
    judged = next((stage.cell for stage in stages if stage.sets), None)
    if judged is not None:
        data = judged.data.load()
        images = data.images["test"][torch.arange(set_size(judged, "test")) % len(data.images["test"])].to(device)
        reference = reference_of(judged, "test", data, device)
        each[JUDGE] = slower * _seconds(lambda: reference.values(reference.default, [images]), device, judged.threads)
    return each


def _seconds(action: Callable[[], object], device: torch.device, threads: int) -> float:
    """The median seconds of an action. Where one thread does all the work they are the process's own, which other load
    does not slow."""
    clock = time.process_time if device.type == "cpu" and threads == 1 else timer
    timed = Timer("action()", timer=clock, globals={"action": action}, num_threads=threads)
    return timed.blocked_autorange(min_run_time=MEASURED).median


def _training(kind: str, cell: Cell, device: torch.device) -> Timed:
    data, plan, labels = cell.data.load(), cell.training, None
    if kind == "autoencoder" and isinstance(cell.space, Latents):
        plan, encoding, passes = cell.space.plan(plan.precision), data.encoding, 3.0
        trainer = Trainer(autoencoder_of(cell, data).to(device), plan, device)
    else:
        encoding, passes = _encoding(cell, data, device), float(training_passes(cell))
        trainer = Trainer(build(cell, encoding, data, device), plan, device)
        labels = torch.zeros(plan.batch, dtype=torch.int64, device=device) if cell.classes else None
    raw = encoding.store(data.images["train"][: plan.batch].to(device))

    return partial(trainer.step, raw, 0, 0, labels), passes * len(raw)


def _evaluation(kind: str, cell: Cell, device: torch.device) -> Timed:
    """A term of the bound, or a call of the sampler; which times that visits changes nothing of what it takes."""
    data, sampling = cell.data.load(), kind == "sampling"
    diffusion = build(cell, _encoding(cell, data, device), data, device).eval().diffusion
    steps = cell.sampler.steps if sampling and not cell.spacing.fitted else None
    chain = diffusion.chain(steps, real=True) if sampling else diffusion.chain()
    count = max(1, min(BATCH, PIXELS // math.prod(diffusion.shape[1:])))
    x, k = torch.randn(count, *diffusion.shape, device=device), torch.full((count,), chain.steps, device=device)
    chosen = resolve_precision(cell.training.precision, device)

    def call() -> object:
        with torch.no_grad(), exact(device):
            if not sampling:
                return diffusion.term(x, x, chain, k)
            with diffusion.network_in(chosen):
                return reverse_at(diffusion, x, chain, chain.steps)

    return call, float(count * cell.conditioning.passes)


def _encoding(cell: Cell, data: Data, device: torch.device) -> Encoding:
    """The encoding of a cell's data; for latents by an autoencoder that was not trained."""
    if not cell.space.encoded:
        return data.encoding
    shape = cell.space.shape_of(data.shape)
    mean, scale = torch.zeros(shape[0], device=device), torch.ones(shape[0], device=device)
    return LatentCode(autoencoder_of(cell, data).to(device), mean, scale, data.shape, shape)
