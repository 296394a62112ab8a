"""Gaussian data with the exact denoiser as the network: bound, limit and samples in closed form.

Expectations over x_0 and ε are exact (`GaussianData.expected`), not drawn.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.checking import GaussianData, expected_bound, expected_terms
from tests.axes import members, name, paired, spoken
from tests.diffusion_core.problems import DATA, exact_model

EULER = 0.5772156649015329
FIXED = (dc.Beta(), dc.BetaTilde())
SPOKEN = {"parameterization": members(dc.Parameterization), "schedule": members(dc.Schedule)}


def gap(horizon: int, variance: dc.Variance, data: GaussianData, schedule: dc.Schedule | None = None) -> float:
    """Bound less entropy, in bits/dim."""
    return expected_bound(exact_model(horizon, variance, data, schedule=schedule), data) - data.entropy


def closed_form_terms(model: dc.Diffusion, data: GaussianData, variance: dc.Variance, steps: int) -> np.ndarray:
    """½ [log σ²/β̃ + β̃/σ² − 1 + c_0² m/σ²] with m = E(x_0 − E[x_0|x_t])², and at k = 1 ½ [log 2πσ_1² + m/σ_1²]."""
    alpha_bar = torch.sigmoid(-model.gamma(model.chain(steps).times)).numpy()[:, None]
    s = np.array(data.variances)
    mmse = s * (1 - alpha_bar[1:]) / (alpha_bar[1:] * s + 1 - alpha_bar[1:])
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    beta_tilde = beta * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])
    c0 = np.sqrt(alpha_bar[:-1]) * beta / (1 - alpha_bar[1:])
    sigma2 = beta if isinstance(variance, dc.Beta) else np.concatenate([beta[:1], beta_tilde[1:]])
    first = 0.5 * (np.log(2 * np.pi * sigma2[:1]) + mmse[:1] / sigma2[:1])
    ratio = beta_tilde[1:] / sigma2[1:]
    rest = 0.5 * (-np.log(ratio) + ratio - 1 + c0[1:] ** 2 * mmse[1:] / sigma2[1:])
    return np.concatenate([first, rest]).mean(1) / math.log(2)


@paired(spoken, **SPOKEN, variance=FIXED, steps=(80, 13))
@torch.no_grad()
def test_every_term_of_the_bound_has_its_closed_form_expectation(parameterization, schedule, variance, steps):
    model = exact_model(80, variance, DATA, parameterization, schedule)
    expected = closed_form_terms(model, DATA, variance, steps)
    np.testing.assert_allclose(expected_terms(model, DATA, steps), expected, rtol=1e-8, atol=1e-12)


def test_with_beta_tilde_the_bound_keeps_a_gap_of_half_the_euler_constant_in_nats():
    """½ Σ_{t≥2} [1/(t−1) − log t/(t−1)] = γ_Euler/2 per dimension, whatever the data; the rest falls as log T/T, the
    slower the faster β rises from β_1.
    """
    data, schedule = GaussianData((2.5, 0.6)), dc.Linear(beta_1=1e-3)
    gaps = [gap(horizon, dc.BetaTilde(), data, schedule) * math.log(2) for horizon in (12_800, 51_200)]
    errors = [abs(g - EULER / 2) for g in gaps]
    assert errors[1] < 1.2e-3
    assert errors[1] < 0.35 * errors[0]


def variance_of_samples(sampler: dc.Sampler, model: dc.Diffusion) -> Tensor:
    """Variance of the sampled x_0 [2]: a linear sampler's x_0 = A x_K + Σ B_k z_k has A² + Σ B_k².

    Its factors are the derivatives of one walk; each dimension has its own.
    """
    chain = model.chain(sampler.steps)
    drawn = [torch.zeros(1, 2, dtype=torch.float64, requires_grad=True) for _ in range(chain.steps + 1)]
    *_, x0 = sampler.walk(model, drawn[0], chain, chain.steps, lambda k: drawn[k])
    factors = torch.autograd.grad(x0.sum(), drawn, allow_unused=True)
    return torch.cat([factor**2 for factor in factors if factor is not None]).sum(0)


@pytest.mark.parametrize("variance", FIXED, ids=name)
@pytest.mark.parametrize("sampler", members(dc.Sampler), ids=name)
def test_samples_have_the_mean_and_covariance_of_the_exact_recursion(variance, sampler):
    n = 20_000
    sampler = replace(sampler, steps=5)
    model = exact_model(40, variance)
    x = sampler.sample(model, n, seed=0, batch=n).double()
    expected = variance_of_samples(sampler, model)
    deviation = 4.5 * expected / math.sqrt(n)
    assert x.shape == (n, 2)
    assert (x.mean(0).abs() < deviation / expected.sqrt()).all()
    assert ((x.var(0) - expected).abs() < math.sqrt(2) * deviation).all()
    assert abs(torch.corrcoef(x.T)[0, 1].item()) < 4.5 / math.sqrt(n)
