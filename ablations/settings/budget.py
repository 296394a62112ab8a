"""The cost of a cell: passes of its network, floating-point operations, and the steps that a budget of operations buys.

A backward pass counts as two forward passes, so a training step of one loss is three passes of each of its images.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch

from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut
from analysis.errors import InputError
from diffusion_core.autoencoder import Autoencoder
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.networks.network import TIME_SCALE
from diffusion_core.spaces import Latents
from diffusion_core.stratified import HALVES, Stratification
from diffusion_core.training import Training, trunk_steps


def training_passes(cell: Cell) -> int:
    """Passes of one example in a training step: a learned schedule adds backward passes of its own, and
    self-conditioning adds a forward pass."""
    groups = 1 if not cell.schedule.learned else 3 if Choices.of(cell).in_continuous_time else 2
    return cell.conditioning.passes + 2 * groups


def rungs(plan: Training, count: int) -> list[int]:
    """The steps at which a training is scored on its way, at most `count`: a half, a quarter, … of all steps, at its
    reports, after the warm-up. With `rate=wsd` a rung is a training of its own, which leaves the trunk at a report."""
    reports = [round(plan.steps / 2**k / plan.report_every) for k in range(1, count + 1)]
    marks = sorted({max(1, report) * plan.report_every for report in reports} & set(range(plan.steps)))
    if plan.rate == "wsd":
        return [mark for mark in marks if fork_of(plan, mark)]
    return [mark for mark in marks if mark >= plan.warmup] or marks[-1:]


def checkpoints(plan: Training, count: int) -> list[int]:
    """The steps of the last `count` checkpoints but for the end, from late to early: a tenth of all steps apart."""
    return [max(1, round(plan.steps * (1 - k / 10))) for k in range(1, count)]


def fork_of(plan: Training, steps: int) -> int:
    """The last report of a training of so many steps before its cooldown; 0 where the warm-up is not over by then."""
    before = trunk_steps(steps, plan.cooldown)
    return before // plan.report_every * plan.report_every if before >= plan.warmup else 0


def sample_passes(cell: Cell) -> int:
    """Passes that a sample takes."""
    if cell.horizon == 0:
        return 0
    calls = cell.sampler.calls(cell.sampler.start(cell.sampler.steps or cell.horizon))
    return cell.conditioning.passes * calls


def bound_passes(cell: Cell, split: HeldOut = "test") -> tuple[int, int, int, int, int]:
    """Passes per image of the bound and of what is asked for besides: its estimates' variance, the bound in continuous
    time, the flow, the importance-weighted bound, and (on test images only) the bound without labels."""
    plan = cell.evaluation
    if cell.horizon == 0:
        return 0, 0, 0, 0, 0
    steps = plan.horizon or cell.horizon
    terms = Stratification(plan.exact, plan.strata).count(steps)
    flow = 4 * plan.ode_steps * (1 + 2 * plan.ode) if plan.ode else 0
    each, unlabelled = cell.conditioning.passes, terms if cell.scored_unlabelled and split == "test" else 0
    bounds = each * (terms + plan.estimates), each * plan.continuous, each * flow, each * HALVES * plan.iwae * steps
    return *bounds, each * unlabelled


def flops_of(action: Callable[[], object]) -> int:
    """Floating-point operations of a call."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        action()
    return int(counter.get_total_flops())


def forward_flops(diffusion: Diffusion) -> int:
    """Floating-point operations of one forward pass of one example: half of those of two, because a product with a
    single row may be computed as one with two."""
    channels = diffusion.shape[0] * (2 if diffusion.choices.conditioning.self_conditioning else 1)
    x = torch.zeros(2, channels, *diffusion.shape[1:], device=diffusion.device)
    last = torch.full((2,), TIME_SCALE, device=diffusion.device)
    labels = [torch.zeros_like(last, dtype=torch.int64)] if diffusion.classes else []
    return flops_of(lambda: diffusion.network(x, last, *labels)) // 2


def autoencoder_flops(autoencoder: Autoencoder, shape: tuple[int, ...], code: tuple[int, ...]) -> tuple[int, int]:
    """Operations of encoding and decoding one image of this shape, with a code of that shape."""
    device = autoencoder.decoder_scale.device
    image, z = torch.zeros(1, *shape, dtype=torch.uint8, device=device), torch.zeros(1, *code, device=device)
    return flops_of(lambda: autoencoder.moments(image)), flops_of(lambda: autoencoder.decoder(z))


def autoencoder_train_flops(encode: float, decode: float, seen: float, stored: int) -> float:
    """Operations of training on so many images, three passes each, and of encoding the stored images once."""
    return 3 * (encode + decode) * seen + encode * stored


def train_flops(cell: Cell, forward: float, images: float) -> float:
    """Operations of training a diffusion on so many images; a forward pass takes `forward` of them."""
    return training_passes(cell) * forward * images


@lru_cache
def _forward_at(choices: Choices, shape: tuple[int, ...], classes: int) -> int:
    return forward_flops(Diffusion(choices, Continuous(), shape, classes))


@lru_cache
def _coding(space: Latents, encoding: GreyLevels, shape: tuple[int, ...]) -> tuple[int, int]:
    return autoencoder_flops(space.build(encoding, shape), shape, space.shape_of(shape))


class TooDear(InputError):
    """An autoencoder takes more operations than its cell's whole budget."""

    def __init__(self, cell: Cell, why: str) -> None:
        super().__init__(why)
        self.cell = cell


def matched_steps(cell: Cell) -> int:
    """The number of training steps that cost, autoencoder included, as much as the cell's `training.steps` in pixels.
    TooDear where the autoencoder leaves none."""
    data, plan, space = cell.data.described(), cell.training, cell.space
    if not isinstance(space, Latents):
        return plan.steps
    assert isinstance(data.encoding, GreyLevels), "images have grey levels"

    code = space.shape_of(data.shape)
    choices = Choices.of(cell)
    in_pixels, in_codes = (
        train_flops(cell, _forward_at(choices, shape, cell.classes), plan.batch) for shape in (data.shape, code)
    )
    encode, decode = _coding(space, data.encoding, data.shape)
    seen = 0 if space.pretrained else space.steps * space.batch
    spent = autoencoder_train_flops(encode, decode, seen, len(data.images["train"]))
    budget = plan.steps * in_pixels
    steps = int((budget - spent) / in_codes)
    if steps < 1:
        raise TooDear(
            cell,
            f"budget=flops: the autoencoder of space.f={space.f} takes {spent:.2g} operations, of {budget:.2g}: "
            "take more training.steps, or fewer space.steps",
        )
    return steps
