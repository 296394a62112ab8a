"""The straight path of rectified flow, in the words of a chain: its levels, and one denoiser in two languages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import diffuse
from diffusion_core.likelihood import bound, continuous_bound
from diffusion_core.ode import flow_likelihood
from diffusion_core.parameterizations import Epsilon, Parameterization, Velocity
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.schedules import Rectified
from diffusion_core.solvers import DpmSolver, Heun
from diffusion_core.testing.problems import MixtureData, denoiser_output, diffusion
from diffusion_core.testing.variants import name

DATA = MixtureData()
PATH = Rectified(end=0.999)


@pytest.mark.parametrize("horizon", [10, 1000])
@pytest.mark.parametrize("end", [1.0, 0.999, 0.5])
def test_gamma_is_twice_the_logit_of_the_share_of_the_path(horizon, end):
    u = end * np.arange(1, horizon) / horizon
    found = Rectified(end=end).build(horizon)(torch.arange(1, horizon))
    np.testing.assert_allclose(found, 2 * (np.log(u) - np.log1p(-u)), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shift", [3.0, 0.5])
def test_a_shift_is_that_of_stable_diffusion_3(shift):
    """u ← s u/(1 + (s − 1) u) (Esser et al. 2024, eq. 23)."""
    u = np.arange(1, 100) / 100
    moved = shift * u / (1 + (shift - 1) * u)
    found = Rectified(shift=shift).build(100)(torch.arange(1, 100))
    np.testing.assert_allclose(found, 2 * np.log(moved / (1 - moved)), rtol=1e-10, atol=1e-10)


def test_the_marginal_is_the_straight_path_up_to_its_scale():
    """x_t √(u² + (1 − u)²) = (1 − u) x_0 + u ε at u = t/T."""
    x0, eps = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.arange(1, 21)
    u = (t.double() / 20)[:, None]
    x_t = diffuse(x0, eps, Rectified().build(20)(t))
    torch.testing.assert_close(x_t * (u**2 + (1 - u) ** 2).sqrt(), (1 - u) * x0 + u * eps, rtol=1e-12, atol=1e-12)


def test_a_step_of_ddim_is_eulers_along_the_path():
    """x_{u−h} = x_u − h (ε̂ − x̂_0): with η = 0 the two are one (Liu et al. 2023)."""
    model = spoken(Velocity(), 10)
    x, chain = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64), model.chain()
    for k in (10, 7, 2):
        u, v = 0.999 * k / 10, 0.999 * (k - 1) / 10
        scale_u, scale_v = (u**2 + (1 - u) ** 2) ** 0.5, (v**2 + (1 - v) ** 2) ** 0.5
        velocity = model.network(x, torch.full((4,), 100.0 * k, dtype=torch.float64))
        euler = (scale_u * x + (v - u) * velocity) / scale_v
        step = Ddim().step(model, x, chain, k, lambda x=x: torch.zeros_like(x), clip=False)
        torch.testing.assert_close(step, euler, rtol=1e-10, atol=1e-10)


def spoken(parameterization: Parameterization, horizon: int) -> Diffusion:
    """The mixture's exact denoiser in these words, on the path that stops short of noise alone."""
    output = denoiser_output(DATA.denoise, parameterization, PATH, horizon)
    return diffusion(output, horizon, parameterization=parameterization, schedule=PATH, real=True)


@pytest.mark.parametrize("steps", [None, 7])
def test_the_bound_of_a_velocity_is_that_of_the_same_denoisers_noise(steps):
    """Every term, in float64; and the whole, to what float32 leaves of a division by √ᾱ_T = 1e-3."""
    x0, eps = DATA.sample(40, 0), torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = []
    for model in (spoken(Velocity(), 40), spoken(Epsilon(), 40)):
        chain = model.chain(steps)
        k = torch.arange(chain.steps) + 1
        terms = model.term(x0[: len(k)], eps[: len(k)], chain, k, clip=False)
        found.append((terms, bound(model, x0, exact=40, strata=0, seed=0, clip=False, steps=steps).total))
    (terms, total), (others, other) = found
    torch.testing.assert_close(terms, others, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(total, other, rtol=1e-3, atol=1e-3)


def test_its_likelihoods_in_continuous_time_are_those_of_the_same_denoisers_noise():
    points = DATA.sample(100, 0)
    by_bound, by_flow = (
        [score(spoken(p, 40)).total for p in (Velocity(), Epsilon())]
        for score in (
            lambda model: continuous_bound(model, points, draws=16, seed=0, clip=False),
            lambda model: flow_likelihood(model, points, steps=16, probes=2, seed=0),
        )
    )
    torch.testing.assert_close(*by_bound, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(*by_flow, rtol=1e-6, atol=1e-6)


SAMPLERS: list[Sampler] = [Ancestral(), Ddim(), Ddim(eta=0.5), Heun(), Heun(churn=10.0), DpmSolver()]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=name)
def test_its_samples_are_those_of_the_same_denoisers_noise(sampler):
    """At one seed, to what float32 leaves of a walk."""
    drawn = [sampler.sample(spoken(p, 20), 50, seed=0, clip=False) for p in (Velocity(), Epsilon())]
    torch.testing.assert_close(*drawn, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("fields", [{"end": 0.0}, {"end": 1.1}, {"end": float("nan")}, {"shift": 0.0}])
def test_a_path_that_goes_nowhere_is_refused(fields):
    with pytest.raises(ValueError, match="rectified needs 0 < end <= 1 and shift > 0"):
        Rectified(**fields)
