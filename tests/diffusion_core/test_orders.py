"""Samplers converge at the order that their papers claim; the whole table is `docs/convergence.md`.

A walk of K steps goes from τ_K = T to τ_1 = 1, so that both ends stay the same while K grows. The step into clean data,
of infinite length in log-SNR, is left out. T is large, so that rounding to whole times does not show. A sampler of the
flow is compared with the exact flow of each point, one that draws noise with the exact variance of x_1.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.parameterizations import Epsilon, V
from diffusion_core.problems import GaussianData, denoiser_output, diffusion
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.schedules import Linear, LogSnrLinear, Rectified, Schedule
from diffusion_core.solvers import DpmSolver, Heun
from diffusion_core.spacings import LogSnrSpacing, Spacing, UniformSpacing
from diffusion_core.variances import Beta, BetaTilde, Variance
from tests.axes import paired
from tests.diffusion_core.mixture import MixtureData

HORIZON = 2**16
FINE = 200
"""The steps of the fourth-order method that moves a mixture's points along the flow: its own error is below 1e-8."""


def known_model(
    data: GaussianData | MixtureData, schedule: Schedule, spacing: Spacing, variance: Variance | None = None
) -> Diffusion:
    """The exact denoiser of the data, at real times of a long horizon."""
    parameterization = V() if schedule.gamma(HORIZON).ends_in_noise else Epsilon()
    output = denoiser_output(data.denoise, parameterization, schedule, HORIZON)
    made = diffusion(
        output,
        HORIZON,
        parameterization=parameterization,
        variance=variance or BetaTilde(),
        schedule=schedule,
        real=True,
    )
    return made.with_spacing(spacing)


def at_the_last_time(sampler: Sampler, model: Diffusion, x: Tensor, noise: list[Tensor]) -> Tensor:
    """x_1 after the K = len(noise) steps from x_T = x."""
    sampler = replace(sampler, steps=len(noise) + 1)
    chain = model.chain(sampler.steps, real=True)
    walk = sampler.walk(model, x, chain, chain.steps, lambda k: noise[k - 2] if k > 1 else 0 * x)
    return list(walk)[-2]


def angles(model: Diffusion) -> tuple[float, float]:
    """φ at T and at 1, where √ᾱ = cos φ and √(1 − ᾱ) = sin φ."""
    gamma = model.gamma(torch.tensor([HORIZON, 1]))
    last, first = torch.atan(torch.exp(0.5 * gamma)).tolist()
    return last, first


def exact_flow(data: GaussianData | MixtureData, x: Tensor, start: float, end: float) -> Tensor:
    """x [N, 2] along the probability flow dx/dφ = cos φ ε̂ − sin φ x̂_0, smooth at both ends, from φ = start to end.

    By the classical Runge-Kutta method; in closed form, x √(V'/V), for Gaussian data.
    """
    if isinstance(data, GaussianData):
        before, after = (math.cos(phi) ** 2 * data.variance + math.sin(phi) ** 2 for phi in (start, end))
        return x * (after / before).sqrt()

    def velocity(x: Tensor, phi: float) -> Tensor:
        alpha_bar = torch.full((len(x), 1), math.cos(phi) ** 2, dtype=torch.float64)
        x0 = data.denoise(x, alpha_bar)
        return math.cos(phi) * (x - math.cos(phi) * x0) / math.sin(phi) - math.sin(phi) * x0

    h = (end - start) / FINE
    for i in range(FINE):
        phi = start + i * h
        a = velocity(x, phi)
        b = velocity(x + 0.5 * h * a, phi + 0.5 * h)
        c = velocity(x + 0.5 * h * b, phi + 0.5 * h)
        d = velocity(x + h * c, phi + h)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    return x


@torch.no_grad()
def flow_errors(
    sampler: Sampler, data: GaussianData | MixtureData, schedule: Schedule, spacing: Spacing, counts: tuple[int, ...]
) -> list[float]:
    """Root mean square distance of 64 points from the exact flow, for each number of steps."""
    model = known_model(data, schedule, spacing)
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = exact_flow(data, x, *angles(model))
    ends = (at_the_last_time(sampler, model, x, [0 * x] * count) for count in counts)
    return [float(((end - exact) ** 2).mean().sqrt()) for end in ends]


def variance_errors(
    sampler: Sampler,
    data: GaussianData,
    schedule: Schedule,
    spacing: Spacing,
    counts: tuple[int, ...],
    variance: Variance | None = None,
) -> list[float]:
    """Root mean square error of Var x_1, for each number of steps: an error of the law, not of a path.

    A walk starts from the law of x_T, so that whatever share of noise a sampler draws, the variance of the exact
    process is V_1 = ᾱ_1 s + 1 − ᾱ_1.
    """
    model = known_model(data, schedule, spacing, variance)
    last, first = (math.cos(phi) ** 2 * data.variance + math.sin(phi) ** 2 for phi in angles(model))
    variances = (_variance(sampler, model, last, count) for count in counts)
    return [float(((variance - first) ** 2).mean().sqrt()) for variance in variances]


def _variance(sampler: Sampler, model: Diffusion, start: Tensor, count: int) -> Tensor:
    """Var x_1 [2] from Var x_T = `start` [2]: a linear sampler's x_1 = A x_T + Σ B_k z_k, each dimension its own."""
    drawn = [torch.zeros(1, 2, dtype=torch.float64, requires_grad=True) for _ in range(count + 1)]
    end = at_the_last_time(sampler, model, start.sqrt() * drawn[0], drawn[1:])
    factors = torch.autograd.grad(end.sum(), drawn, allow_unused=True)
    return torch.cat([factor**2 for factor in factors if factor is not None]).sum(0)


def order(counts: tuple[int, ...], errors: list[float]) -> float:
    """p of error ∝ K^−p, fitted to the last three numbers of steps."""
    return -float(np.polyfit(np.log(counts[-3:]), np.log(errors[-3:]), 1)[0])


GAUSSIAN, MIXTURE = GaussianData((0.3, 1.7)), MixtureData(components=8, width=0.2)
COUNTS = (32, 64, 128)
EVEN = (LogSnrLinear(-8.0, 4.0), UniformSpacing())
STEPS = (EVEN, (Linear(), LogSnrSpacing()), (Rectified(end=0.98), LogSnrSpacing()))
"""Schedules with spacings that are even in log-SNR."""


@paired(data=(GAUSSIAN, MIXTURE), steps=STEPS, sampler=(Ddim(), DpmSolver(order=1), DpmSolver(order=2), Heun()))
def test_the_order_of_a_sampler_of_the_flow(data, steps, sampler):
    expected = 2 if sampler in (DpmSolver(order=2), Heun()) else 1
    assert order(COUNTS, flow_errors(sampler, data, *steps, COUNTS)) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize(
    ("sampler", "variance", "expected"),
    [
        (Ancestral(), Beta(), 1),
        (Ancestral(), BetaTilde(), 1),
        (Ddim(eta=0.5), BetaTilde(), 1),
        (DpmSolver(order=1, equation="sde"), BetaTilde(), 1),
        (DpmSolver(order=2, equation="sde"), BetaTilde(), 2),
        (Heun(churn=1.0), BetaTilde(), 2),
    ],
    ids=["ancestral beta", "ancestral beta_tilde", "ddim 0.5", "sde 1", "sde 2M", "heun churn"],
)
def test_the_weak_order_of_a_sampler_that_draws_noise(sampler, variance, expected):
    """By the variance of Gaussian data. β̃ is too small by so much in 32 steps that a sixth of its order is missing."""
    errors = variance_errors(sampler, GAUSSIAN, *EVEN, COUNTS, variance)
    assert order(COUNTS, errors) == pytest.approx(expected, abs=0.25)
