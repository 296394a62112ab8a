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

import torch
from torch import Tensor

from ablations.data.shipped import Digits
from ablations.settings.evaluation import Evaluation
from benchmarks.cases import Workload
from benchmarks.peer_cases import HORIZON
from benchmarks.timing import interleaved
from diffusion_core import precision
from diffusion_core.diffusion import Diffusion
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound
from diffusion_core.stratified import Stratification
from diffusion_core.terms import bits_per_nat
from diffusion_core.trainer import train
from diffusion_core.training import Training
from evidence.page_command import table

TIMES = Stratification(Evaluation.exact, Evaluation.strata)
IMAGES, BRIGHTER = 128, 15
"""Held-out images, and the factor that takes the 17 levels of digits to 0..240."""
TIMED, LOOPS = 20, 3
"""The number of the loop's T terms that are timed, each one network call, and the loops that its error is taken of."""
HEAD = ("way", "passes", "ms/image", "own error, bits/dim", "ms/image at the first's error", "× ours")


def bound_table(workload: Workload, rounds: int) -> list[str]:
    """Both ways, timed in turns, by the baseline's network after a training of 1000 steps on digits."""
    images = {split: values.to(workload.device) * BRIGHTER for split, values in Digits().read().images.items()}
    learner, steps = DiffusionLearner(workload.diffusion(horizon=HORIZON)), Training(steps=1000, report_every=1000)
    model, held_out = train(learner, images["train"], steps, seed=0).diffusion, images["validation"][:IMAGES]
    some = range(1, HORIZON + 1, HORIZON // TIMED)
    ways = {"ours": lambda: ours(model, held_out, 0), "loop": lambda: full_loop(model, held_out, 0, some)}
    timings = interleaved(ways, rounds, workload.device)
    mine = own_error([ours(model, held_out, seed) for seed in range(4 * LOOPS)])
    theirs = own_error([full_loop(model, held_out, seed, range(1, HORIZON + 1)) for seed in range(LOOPS)])
    ms, count = 1000 * timings["ours"].seconds / IMAGES, TIMES.count(HORIZON)
    # By the rounds' own ratios, which hold on a busy machine.
    longer = timings["loop"].ratio * HORIZON / len(some)
    at_equal = longer * (theirs / mine) ** 2
    rows = [
        (f"ours, {count} terms", count, f"{ms:.2f}", f"{mine:.5f}", f"{ms:.2f}", "1.00"),
        ("all terms", HORIZON, f"{longer * ms:.2f}", f"{theirs:.5f}", f"{at_equal * ms:.2f}", f"{at_equal:.2f}"),
    ]
    return table(HEAD, rows)


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
            total += model.term(x0, eps, chain, torch.full((len(x0),), t, device=device)).double()
    return (total * bits_per_nat(math.prod(model.shape))).cpu()


def own_error(estimates: list[Tensor]) -> float:
    """The error over draws of the mean over images, from several estimates [N] of each image."""
    values = torch.stack(estimates)
    return float(values.var(0).sum().sqrt() / values.shape[1])
