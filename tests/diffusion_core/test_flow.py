"""Flow matching by its published formulas, on its own path x_u = (1 − u) x_0 + u ε.

(Liu et al. 2023; Lipman et al. 2023; Esser et al. 2024, whose t is u.)
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.learner import Discrete, levels_of
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import Epsilon, Velocity
from diffusion_core.samplers import Ddim
from diffusion_core.schedules import Rectified
from diffusion_core.testing.problems import GaussianData, MixtureData, denoiser_output, diffusion
from diffusion_core.timesteps import LogitNormal

HORIZON = 20
SHIFT = pytest.mark.parametrize("shift", [1.0, 3.0])


def path(shift: float) -> Tensor:
    """u_1..u_T [T, 1]: t/T, shifted as in Esser et al., eq. 23, with √(m/n) = shift."""
    u = torch.arange(1, HORIZON + 1, dtype=torch.float64)[:, None] / HORIZON
    return shift * u / (1 + (shift - 1) * u)


def function(x: Tensor, t: Tensor) -> Tensor:
    """v_θ, a network that is no exact velocity."""
    return torch.tanh(1.3 * x + 0.2) + 0.01 * t[:, None]


def length(u: Tensor) -> Tensor:
    """√((1 − u)² + u²), by which x_u is longer than the x_t that our network is shown."""
    return ((1 - u) ** 2 + u**2).sqrt()


def model_of(output, shift: float) -> Diffusion:
    """A diffusion that predicts the velocity on the straight path."""
    return diffusion(output, HORIZON, parameterization=Velocity(), schedule=Rectified(shift=shift))


def draws(seed: int) -> tuple[Tensor, Tensor]:
    """x_0 and ε for each time, [T, 2]."""
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, HORIZON, 2, generator=generator, dtype=torch.float64)
    return x0, eps


@SHIFT
def test_the_loss_is_that_of_conditional_flow_matching(shift):
    """‖v_θ(x_u, u) − (ε − x_0)‖²; the shift moves u and nothing else."""
    model, u = model_of(function, shift), path(shift)
    x0, eps = draws(0)
    t = model.all_times[1:]
    x_u = (1 - u) * x0 + u * eps
    expected = ((function(x_u / length(u), t) - (eps - x0)) ** 2).mean(1)
    ours = Simple().loss(Discrete().example(model, x0, t, eps))
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@SHIFT
def test_what_a_velocity_says_of_data_and_noise(shift):
    """x̂_0 = x_u − u v and ε̂ = x_u + (1 − u) v."""
    model, u = model_of(function, shift), path(shift)
    x_u, _ = draws(1)
    t = model.all_times[1:]
    v = function(x_u / length(u), t)
    x0, eps = model.predict(x_u / length(u), t, clip=False)
    torch.testing.assert_close(x0, x_u - u * v, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(eps, x_u + (1 - u) * v, rtol=1e-12, atol=1e-12)


@SHIFT
@pytest.mark.parametrize("steps", [None, 5])
def test_ddim_is_eulers_method_for_the_velocity(shift, steps):
    """x_u ← x_u + (u' − u) v_θ(x_u, u) from u = 1 to 0 (Liu et al. 2023, Algorithm 1)."""
    model, u = model_of(function, shift), path(shift)
    chain = model.chain(steps)
    start = draws(2)[0][:7]
    times = [0, *chain.times[1:].tolist()]
    x = start
    for k in range(chain.steps, 0, -1):
        now = float(u[times[k] - 1])
        then = float(u[times[k - 1] - 1]) if k > 1 else 0.0
        shown = x / math.hypot(1 - now, now)
        x = x + (then - now) * function(shown, torch.full((7,), times[k]))
    *_, ours = Ddim(steps=steps).walk(model, start, chain, chain.steps, lambda k: start, clip=False)
    torch.testing.assert_close(ours, x, rtol=1e-12, atol=1e-12)


def test_the_exact_velocity_of_gaussian_data_carries_one_marginal_to_the_next():
    """x_u ~ N(0, V) with V = (1 − u)² s + u², so v(x, u) = ½ (V'/V) x, which the continuity equation asks for."""
    data, u = GaussianData((0.3, 1.7)), path(1.0)
    output = denoiser_output(data.denoise, Velocity(), Rectified(), HORIZON)
    x_u, _ = draws(3)
    variance = (1 - u) ** 2 * data.variance + u**2
    rate = -2 * (1 - u) * data.variance + 2 * u
    ours = output(x_u / length(u), torch.arange(1, HORIZON + 1))
    torch.testing.assert_close(ours, 0.5 * rate / variance * x_u, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("data", [GaussianData((0.3, 1.7)), MixtureData()], ids=["gaussian", "mixture"])
def test_flow_matching_is_a_weighting_of_the_error_of_the_noise(data):
    """‖v − v̂‖² = ‖ε − ε̂‖²/(1 − u)²: L_w with w_t = t/(1 − t), as λ' = −2/(t (1 − t)) (Esser et al., §2 and 3.1)."""
    u = path(1.0)[:-1, 0]
    model = diffusion(function, HORIZON, parameterization=Velocity(), schedule=Rectified())
    pair = model.chain().pair(torch.arange(1, HORIZON))
    w, rate = u / (1 - u), -2 / (u * (1 - u))
    weight = Simple().eps_weight(levels_of(model, pair, lambda: pair.gamma_t), pair.gamma_t)
    torch.testing.assert_close(weight, -0.5 * w * rate, rtol=1e-12, atol=0)
    # The same by two networks that know the same x̂_0, at the same x_0 and ε.
    x0, eps = (values[:-1] for values in draws(4))
    x_t = ((1 - u[:, None]) * x0 + u[:, None] * eps) / length(u)[:, None]
    losses = []
    for said in (Velocity(), Epsilon()):
        output = denoiser_output(data.denoise, said, Rectified(), HORIZON)(x_t, torch.arange(1, HORIZON))
        losses.append(((output - said.target(x0, eps, x_t, pair)) ** 2).mean(1))
    torch.testing.assert_close(losses[0], losses[1] / (1 - u) ** 2, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.5, 0.6)])
def test_logit_normal_has_their_density(mean, std):
    """π(u; m, s) = exp(−(logit u − m)²/2s²)/(s √(2π) u (1 − u)) (Esser et al., eq. 19), integrated over each time."""

    def density(u: float) -> float:
        logit = math.log(u / (1 - u))
        return math.exp(-((logit - mean) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi) * u * (1 - u))

    sampler = LogitNormal(mean=mean, std=std).build(Rectified().build(HORIZON))
    edges = np.linspace(0, 1, HORIZON + 1)
    edges[0], edges[-1] = 1e-12, 1 - 1e-12
    masses = [quad(density, a, b, epsabs=1e-12)[0] for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(sampler.density().numpy() / HORIZON, masses, rtol=1e-7, atol=1e-12)
    # What is drawn: the quantiles of a normal logit, in continuous time from t = 1 to T, and whole times rounded up.
    u = torch.linspace(0.0013, 0.9991, 999, dtype=torch.float64)
    quantile = torch.from_numpy(1 / (1 + np.exp(-(mean + std * norm.ppf(u.numpy())))))
    torch.testing.assert_close(sampler.real(u)[0], 1 + (HORIZON - 1) * quantile, rtol=1e-12, atol=0)
    assert torch.equal(sampler(u)[0], torch.ceil(HORIZON * quantile).long())
    assert torch.equal(sampler(u)[1], torch.ones_like(u))
