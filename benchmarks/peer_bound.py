"""The cost of a bound at equal error: ours by few terms per image against the full loop over all T of them.

The full loop is that of improved-diffusion (Nichol & Dhariwal 2021, `calc_bpd_loop`): every L_{t−1} once per image, at
noise of its own. Both have an error over their draws with the images given: for the mean over N images, each estimated
S times,

    own error² = Σ_i Var_s(estimate of image i)/N²,

and an error halves in four times the time, so that the loop's time counts (its error / ours)² times. Pixels are 8-bit
grey levels, as they are there: nothing is dequantised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablations.data.digits import Digits
from ablations.settings.evaluation import Evaluation
from benchmarks.cases import BASE
from benchmarks.timing import interleaved
from diffusion_core import precision
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import GreyLevels
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound
from diffusion_core.stratified import Stratification
from diffusion_core.trainer import trained
from diffusion_core.training import Training
from diffusion_core.units import bits_per_nat

TIMES = Stratification(Evaluation.exact, Evaluation.strata)
"""The times of the terms of the suite's own bound."""
IMAGES = 128
BRIGHTER = 15
"""The factor that takes the 17 levels of digits to 0..240."""
TIMED = 20
"""The number of the loop's T terms that are timed: each takes one network call."""


@dataclass(frozen=True)
class Cost:
    """The cost of one way: network passes and seconds per image, and its own error in bits/dim."""

    passes: int
    seconds: float
    error: float

    def at(self, error: float) -> float:
        """Seconds per image for an own error of so much."""
        return self.seconds * (self.error / error) ** 2


def digits_model(device: torch.device, horizon: int, steps: int) -> tuple[Diffusion, Tensor]:
    """The baseline's network after a training on digits, and held-out images [N, 1, 8, 8], in 8-bit grey levels."""
    data = Digits().read()
    images = {split: values.to(device) * BRIGHTER for split, values in data.images.items()}
    learner = DiffusionLearner.of(replace(BASE, horizon=horizon), GreyLevels(), data.shape)
    learner.diffusion.initialise(0)
    plan = Training(steps=steps, warmup=min(100, steps), report_every=steps)
    model = trained(learner.to(device), images["train"], plan, seed=0).diffusion
    return model, images["validation"][:IMAGES]


def ours(model: Diffusion, images: Tensor, seed: int) -> Tensor:
    """The bound per image [N] as the suite estimates it."""
    return bound(model, images, TIMES, seed=seed, batch=len(images)).total


@torch.no_grad()
def full_loop(model: Diffusion, images: Tensor, seed: int, times: Iterable[int]) -> Tensor:
    """The sum of the terms at these times per image [N], in bits/dim, at one draw of noise each."""
    chain, device = model.chain(), images.device
    x0 = model.encoding.draw(images, seed, 0, "peers/dequantise")
    generator = torch.Generator(device).manual_seed(seed)
    total = torch.zeros(len(images), dtype=torch.float64, device=device)
    with precision.exact(device):
        for t in times:
            eps = torch.randn(x0.shape, generator=generator, device=device)
            k = torch.full((len(x0),), t, device=device)
            total += model.term(x0, eps, chain, k).double()
    return (total * bits_per_nat(math.prod(model.shape))).cpu()


def own_error(estimates: list[Tensor]) -> float:
    """The error over draws of the mean over images, from several estimates [N] of each image."""
    values = torch.stack(estimates)
    return float(values.var(0).sum().sqrt() / values.shape[1])


def costs(model: Diffusion, images: Tensor, rounds: int, repeats: int) -> tuple[Cost, Cost]:
    """The costs of ours and of the full loop, timed in turns; their errors from `repeats` loops, and four times as
    many of ours."""
    horizon, n = model.choices.horizon, len(images)
    every = range(1, horizon + 1)
    some = every[:: max(1, horizon // TIMED)]
    timings = interleaved(
        {"ours": lambda: ours(model, images, 0), "loop": lambda: full_loop(model, images, 0, some)},
        rounds,
        images.device,
    )
    mine = own_error([ours(model, images, seed) for seed in range(4 * repeats)])
    theirs = own_error([full_loop(model, images, seed, every) for seed in range(repeats)])
    seconds = timings["ours"].seconds / n
    # By the rounds' own ratios, which hold on a busy machine.
    loop = seconds * timings["loop"].ratio * horizon / len(some)
    return Cost(TIMES.count(horizon), seconds, mine), Cost(horizon, loop, theirs)
