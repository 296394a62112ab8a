"""EDM by its published formulas, in its own σ-space: x = x_0 + σ ε (Karras et al. 2022, Table 1, Algorithm 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusion_core.checking import GaussianData, denoiser_output
from diffusion_core.diffusion import Diffusion
from diffusion_core.flow import Heun
from diffusion_core.parameterizations import EdmParameterization, Epsilon
from diffusion_core.schedules import LogSnrLinear
from tests.axes import across
from tests.diffusion_core.mixture import MixtureData
from tests.diffusion_core.problems import diffusion

SIGMA_DATA = 0.7
ENDS = LogSnrLinear(2 * math.log(0.002), 2 * math.log(80))
"""γ = 2 ln σ from σ = 0.002 to 80, their ends."""


def levels(model: Diffusion) -> Tensor:
    """σ_1..σ_T, float64 [T]."""
    return torch.exp(0.5 * model.gamma(model.all_times[1:]))


def function(shown: Tensor, t: Tensor) -> Tensor:
    """F, a network that is no exact denoiser."""
    return torch.tanh(1.3 * shown + 0.2) + 0.01 * t[:, None]


def table_1(network, x: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
    """D(x; σ) = c_skip x + c_out F(c_in x)."""
    c_skip = SIGMA_DATA**2 / (sigma**2 + SIGMA_DATA**2)
    c_out = sigma * SIGMA_DATA / (sigma**2 + SIGMA_DATA**2) ** 0.5
    c_in = 1 / (SIGMA_DATA**2 + sigma**2) ** 0.5
    return c_skip * x + c_out * network(c_in * x, t)


def test_the_denoiser_is_table_1s():
    model = diffusion(function, 18, parameterization=EdmParameterization(SIGMA_DATA), schedule=ENDS)
    sigma, t = levels(model)[:, None], model.all_times[1:]
    x = 3 * sigma * torch.randn(18, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x0, eps = model.predict(x / (1 + sigma**2).sqrt(), t)
    expected = table_1(function, x, sigma, t)
    torch.testing.assert_close(x0, expected, rtol=1e-12, atol=1e-12)
    # Rebuilt from x − x̂_0, which at σ = 0.002 is 500 times smaller than x.
    torch.testing.assert_close(eps, (x - expected) / sigma, rtol=1e-10, atol=1e-10)


def algorithm_2(network, x: Tensor, sigma: list[float], noise: Tensor, settings: tuple[float, ...]) -> Tensor:
    """Their stochastic sampler from x at σ_0 > … > σ_N = 0, with the draws noise[i]; without churn, Algorithm 1.

    The network denoises, and rounds σ to one that it knows.
    """
    denoise, rounded = network
    churn, low, high, amount = settings
    for i in range(len(sigma) - 1):
        gamma = min(churn / (len(sigma) - 1), math.sqrt(2) - 1) if low <= sigma[i] <= high else 0.0
        raised = rounded(sigma[i] + gamma * sigma[i])
        x = x + (raised**2 - sigma[i] ** 2) ** 0.5 * amount * noise[i]
        d = (x - denoise(x, raised)) / raised
        euler = x + (sigma[i + 1] - raised) * d
        if sigma[i + 1] > 0:
            d = 0.5 * d + 0.5 * (euler - denoise(euler, sigma[i + 1])) / sigma[i + 1]
        x = x + (sigma[i + 1] - raised) * d
    return x


def in_sigma(data: GaussianData | MixtureData):
    """E[x_0 | x_0 + σ ε = x]."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        alpha_bar = torch.tensor(1 / (1 + sigma**2), dtype=torch.float64)
        return data.denoise(alpha_bar.sqrt() * x, alpha_bar.expand(len(x), 1))

    return denoise


@across(
    data=(GaussianData((0.3, 1.7)), MixtureData(components=8, width=0.2)),
    settings=[(0.0, 0.0, 1e9, 1.0), (40.0, 0.05, 50.0, 1.003)],
    real=(True, False),
)
def test_heun_with_churn_is_algorithm_2(data, settings, real):
    """Algorithm 1, and churn as the paper's for ImageNet: five paths of the same draws.

    From σ_max on their σ̂ would leave the schedule, so it is not among the σ that are raised. The real t at which our
    network is asked is found by bisection of γ, to the last digits of float64. One that knows 1..T alone rounds σ̂ to
    the nearest of its σ, which lie evenly in log σ.
    """
    output, time = denoiser_output(data.denoise, Epsilon(), ENDS, 18), "continuous" if real else "auto"
    model = diffusion(output, 18, schedule=ENDS, real=real, time=time)
    noise = torch.randn(19, 5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    sigma = [*levels(model).flip(0).tolist(), 0.0]
    churn, low, high, amount = settings
    sampler, chain = Heun(churn=churn, churn_min=low, churn_max=high, churn_noise=amount), model.chain()
    *_, ours = sampler.walk(model, noise[0], chain, chain.steps, lambda k: noise[k])
    start, inside = noise[0] * (1 + sigma[0] ** 2) ** 0.5, (churn, low, min(high, 79.9), amount)

    def rounded(raised: float) -> float:
        return raised if real else min(sigma[:-1], key=lambda known: abs(math.log(known / raised)))

    expected = algorithm_2((in_sigma(data), rounded), start, sigma, noise.flip(0), inside)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
