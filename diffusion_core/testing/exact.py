"""Gaussian data with the exact denoiser as the network: the bound and the variance of samples in closed form.

Expectations over x_0 and ε are exact (`GaussianData.expected`), not drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.parameterizations import Epsilon, Parameterization
from diffusion_core.samplers import Sampler
from diffusion_core.schedules import Linear, Schedule
from diffusion_core.testing.problems import GaussianData, denoiser_output, diffusion
from diffusion_core.variances import Variance

DATA = GaussianData((0.3, 1.7))


def exact_model(
    horizon: int,
    variance: Variance,
    data: GaussianData = DATA,
    parameterization: Parameterization | None = None,
    schedule: Schedule | None = None,
) -> Diffusion:
    """A diffusion whose network knows E[x_0 | x_t]."""
    parameterization = parameterization or Epsilon()
    schedule = schedule or Linear()
    output = denoiser_output(data.denoise, parameterization, schedule, horizon)
    return diffusion(output, horizon, parameterization=parameterization, variance=variance, schedule=schedule)


def expected_terms(model: Diffusion, data: GaussianData, steps: int | None = None) -> Tensor:
    """E L_0, E L_1, … E L_{K−1} in bits/dim [K]."""
    chain = model.chain(steps)
    k = torch.arange(1, chain.steps + 1)
    nats = data.expected(lambda x0, eps: model.term(x0.expand(len(k), 2), eps.expand(len(k), 2), chain, k, clip=False))
    return nats / (2 * math.log(2))


def expected_bound(model: Diffusion, data: GaussianData) -> float:
    """The expected bound in bits/dim."""
    prior = data.expected(lambda x0, eps: model.prior(x0[None])) / (2 * math.log(2))
    return float(expected_terms(model, data).sum() + prior.sum())


def variance_of_samples(sampler: Sampler, model: Diffusion) -> Tensor:
    """Variance of the sampled x_0 [2]: V ← A² V + B² from V = 1, with A and B read off a linear sampler's steps."""
    chain = model.chain(sampler.steps)
    k = torch.arange(1, chain.steps + 1)
    one, zero = torch.ones(len(k), 2, dtype=torch.float64), torch.zeros(len(k), 2, dtype=torch.float64)
    a, b = (sampler.step(model, x, chain, k, noise, clip=False) ** 2 for x, noise in ((one, zero), (zero, one)))
    later = torch.cat([torch.ones_like(a[:1]), a.cumprod(0)])  # The product of A² over the steps after k: k − 1..1.
    return later[-1] + (later[:-1] * b).sum(0)
