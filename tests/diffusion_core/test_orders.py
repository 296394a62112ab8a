"""Samplers converge at the order that their papers claim; the whole table is `docs/convergence.md`.

A walk of K steps goes from τ_K = T to τ_1 = 1, so that both ends stay the same while K grows. The step into clean data,
of infinite length in log-SNR, is left out. T is large, so that rounding to whole times does not show. A sampler is
compared with the exact variance of x_1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.checking import denoiser_output
from tests.axes import across
from tests.diffusion_core.problems import DATA, diffusion

HORIZON = 2**16


def known_model(schedule: dc.Schedule, spacing: dc.Spacing, variance: dc.Variance) -> dc.Diffusion:
    """The exact denoiser of the data, at real times of a long horizon."""
    output = denoiser_output(DATA.denoise, dc.Epsilon(), schedule, HORIZON)
    return diffusion(output, HORIZON, variance=variance, schedule=schedule, spacing=spacing, real=True)


def at_the_last_time(sampler: dc.Sampler, model: dc.Diffusion, x: Tensor, noise: list[Tensor]) -> Tensor:
    """x_1 after the K = len(noise) steps from x_T = x."""
    sampler = replace(sampler, steps=len(noise) + 1)
    chain = model.chain(sampler.steps, real=True)
    walk = sampler.walk(model, x, chain, chain.steps, lambda k: noise[k - 2] if k > 1 else 0 * x)
    return list(walk)[-2]


def variances_at(model: dc.Diffusion) -> list[Tensor]:
    """V = ᾱ s + 1 − ᾱ [2] at T and at 1."""
    alpha_bar = torch.sigmoid(-model.gamma(torch.tensor([HORIZON, 1])))
    return [a * DATA.variance + 1 - a for a in alpha_bar]


def variance_errors(
    sampler: dc.Sampler, schedule: dc.Schedule, spacing: dc.Spacing, variance: dc.Variance
) -> list[float]:
    """Root mean square error of Var x_1, for each number of steps: an error of the law, not of a path.

    A walk starts from the law of x_T, so that whatever share of noise a sampler draws, the variance of the exact
    process is V_1 = ᾱ_1 s + 1 − ᾱ_1; along the flow it is that of x_T √(V_1/V_T).
    """
    model = known_model(schedule, spacing, variance)
    last, first = variances_at(model)
    return [float(((_variance(sampler, model, last, count) - first) ** 2).mean().sqrt()) for count in COUNTS]


def _variance(sampler: dc.Sampler, model: dc.Diffusion, start: Tensor, count: int) -> Tensor:
    """Var x_1 [2] from Var x_T = `start` [2]: a linear sampler's x_1 = A x_T + Σ B_k z_k, each dimension its own."""
    drawn = [torch.zeros(1, 2, dtype=torch.float64, requires_grad=True) for _ in range(count + 1)]
    end = at_the_last_time(sampler, model, start.sqrt() * drawn[0], drawn[1:])
    factors = torch.autograd.grad(end.sum(), drawn, allow_unused=True)
    return torch.cat([factor**2 for factor in factors if factor is not None]).sum(0)


def order(errors: list[float]) -> float:
    """p of error ∝ K^−p."""
    return -float(np.polyfit(np.log(COUNTS), np.log(errors), 1)[0])


COUNTS = (32, 64)
EVEN = (dc.LogSnrLinear(-8.0, 4.0), dc.UniformSpacing())


ORDERS = (
    (dc.Ancestral(), dc.Beta(), 1),
    (dc.Ancestral(), dc.BetaTilde(), 1),
    (dc.Ddim(), dc.BetaTilde(), 1),
    (dc.Ddim(eta=0.5), dc.BetaTilde(), 1),
    (dc.DpmSolver(order=2), dc.BetaTilde(), 2),
    (dc.DpmSolver(order=2, equation="sde"), dc.BetaTilde(), 2),
    (dc.Heun(), dc.BetaTilde(), 2),
    (dc.Heun(churn=1.0), dc.BetaTilde(), 2),
)


@across(of=ORDERS)
def test_the_order_of_a_sampler(of):
    """By the variance of Gaussian data. β̃ is too small by so much in 32 steps that a sixth of its order is missing."""
    sampler, variance, expected = of
    assert order(variance_errors(sampler, *EVEN, variance)) == pytest.approx(expected, abs=0.25)
