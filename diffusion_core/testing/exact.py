"""Gaussian data with the exact denoiser as the network: the bound and the variance of samples in closed form.

Expectations over x_0 and ε are exact (`GaussianData.expected`), not drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.parameterizations import Epsilon, Parameterization, V
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
    """A diffusion whose network knows E[x_0 | x_t], in the words of ε, or of v where ε says nothing of x_T."""
    schedule = schedule or Linear()
    parameterization = parameterization or (V() if schedule.build(horizon).ends_in_noise else Epsilon())
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
    """Variance of the sampled x_0 [2]: a linear sampler's x_0 = A x_K + Σ B_k z_k has A² + Σ B_k².

    Its factors are the derivatives of one walk; each dimension has its own.
    """
    chain = model.chain(sampler.steps)
    drawn = [torch.zeros(1, 2, dtype=torch.float64, requires_grad=True) for _ in range(chain.steps + 1)]
    *_, x0 = sampler.walk(model, drawn[0], chain, chain.steps, lambda k: drawn[k], clip=False)
    factors = torch.autograd.grad(x0.sum(), drawn, allow_unused=True)
    return torch.cat([factor**2 for factor in factors if factor is not None]).sum(0)
