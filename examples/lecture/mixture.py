"""Two claims of the lecture, on data whose every density is known: Gaussians of one width in the plane.

    reverse_kl    q(x_s | x_t) is nearly Gaussian where β is small, and not where it is large
    gap           log p(x_0) is above the bound by what the Gaussian steps lose, and less so with more of them

With x_0 ~ Σ_k w_k N(m_k, v I) every marginal q(x_s) and every reverse step q(x_s | x_t) ∝ q(x_s) q(x_t | x_s) is a
mixture too, so that nothing here is learnt: the network of the second claim is the exact ε̂ = E[ε | x_t].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from ablations.data.shipped import Mixture2d
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.likelihood import bound
from diffusion_core.networks.network import Mlp
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import Epsilon
from diffusion_core.schedules import Cosine, Linear, Schedule
from diffusion_core.stratified import Stratification
from diffusion_core.terms import bits_per_nat
from diffusion_core.timesteps import Uniform
from diffusion_core.variances import Beta, BetaTilde, Variance
from examples.lecture.formulas import Curve

BETAS = tuple(np.geomspace(1e-3, 0.99, 25).tolist())
LEVELS = (1.0, 0.9, 0.5)
"""ᾱ_s at which a reverse step ends."""
DRAWS = 128
NODES = 12
"""Points of the Gauss-Hermite rule, in each direction of each component."""
TIMES = Stratification(exact=100, strata=100)
"""The times of the bound's terms: the first and the last 100, and a draw from each of 100 runs between them."""
REPEATS = 4
"""Bounds with separate draws, whose mean is taken: at T = 1000 the error of a single one is as large as the gap."""
HORIZONS = (25, 50, 100, 250, 1000)


def figures() -> dict[str, dict[str, Curve]]:
    """figure → series → curve."""
    data = Mixture2d()
    return {
        "reverse_kl": {
            f"ᾱ_{{t−1}} = {level:g}": (list(BETAS), [reverse_kl(data, level, beta) for beta in BETAS])
            for level in LEVELS
        },
        "gap": {
            f"{name}, {symbol}": (
                [float(horizon) for horizon in HORIZONS],
                [gap(data, schedule, variance, horizon) for horizon in HORIZONS],
            )
            for name, schedule in (("linear", Linear()), ("cosine", Cosine()))
            for symbol, variance in (("β", Beta()), ("β̃", BetaTilde()))
        },
    }


@dataclass(frozen=True)
class ReverseMixture:
    """q(x_s | x_t) at x_t [B, 2]: Gaussians of one variance, with weights [B, K] and means [B, K, 2]."""

    weights: Tensor
    means: Tensor
    variance: float

    @property
    def density(self) -> MixtureSameFamily:
        normals = Independent(Normal(self.means, self.variance**0.5), 1)
        return MixtureSameFamily(Categorical(self.weights), normals)

    @property
    def moments(self) -> MultivariateNormal:
        """The Gaussian with its mean and covariance."""
        mean = (self.weights[..., None] * self.means).sum(1)
        apart = self.means - mean[:, None]
        covariance = torch.einsum("bk,bki,bkj->bij", self.weights, apart, apart)
        return MultivariateNormal(mean, covariance + self.variance * torch.eye(2, dtype=torch.float64))


def reverse_step(data: Mixture2d, alpha_bar: float, beta: float, x_t: Tensor) -> ReverseMixture:
    """q(x_s | x_t) by Bayes' rule, where ᾱ_s = `alpha_bar` and x_t = √(1 − β) x_s + √β z."""
    scaled = math.sqrt(alpha_bar) * data.means
    width = alpha_bar * data.std**2 + 1 - alpha_bar
    alpha = 1 - beta
    variance = 1 / (1 / width + alpha / beta)
    means = variance * (scaled / width + math.sqrt(alpha) / beta * x_t[:, None])
    squared = ((x_t[:, None] - math.sqrt(alpha) * scaled) ** 2).sum(-1)
    return ReverseMixture(torch.softmax(-0.5 * squared / (alpha * width + beta), dim=1), means, variance)


def reverse_kl(data: Mixture2d, alpha_bar: float, beta: float) -> float:
    """E KL(q(x_s | x_t) ‖ the Gaussian with its moments) in nats, over `DRAWS` x_t ~ q."""
    generator = torch.Generator().manual_seed(0)
    alpha_bar_t = alpha_bar * (1 - beta)
    mean = data.means[torch.randint(data.modes, (DRAWS,), generator=generator)]
    noise = torch.randn(DRAWS, 2, generator=generator, dtype=torch.float64)
    x_t = math.sqrt(alpha_bar_t) * mean + math.sqrt(alpha_bar_t * data.std**2 + 1 - alpha_bar_t) * noise
    return float(kl_from_moments(reverse_step(data, alpha_bar, beta, x_t)).mean())


def kl_from_moments(step: ReverseMixture) -> Tensor:
    """KL(mixture ‖ Gaussian of its moments) [B], by a Gauss-Hermite rule around each component."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    z = torch.cartesian_prod(torch.from_numpy(nodes), torch.from_numpy(nodes))
    share = torch.from_numpy(np.outer(weights, weights).ravel() / weights.sum() ** 2)
    x = step.means[None] + math.sqrt(step.variance) * z[:, None, None]
    points = x.transpose(1, 2).flatten(0, 1)
    ratio: Tensor = step.density.log_prob(points) - step.moments.log_prob(points)  # type: ignore[no-untyped-call]
    return torch.einsum("n,nkb,bk->b", share, ratio.view(len(z), -1, len(step.weights)), step.weights)


class ExactNoise(nn.Module):
    """E[ε | x_t] of the mixture, given time as 1000 t/T: what a network would learn at best."""

    means: Tensor

    def __init__(self, data: Mixture2d, schedule: Schedule, horizon: int) -> None:
        super().__init__()
        self.gamma = schedule.gamma(horizon)
        self.horizon = horizon
        self.width = data.std**2
        self.means = nn.Parameter(data.means, requires_grad=False)

    def forward(self, x_t: Tensor, time: Tensor) -> Tensor:
        gamma = self.gamma((time * self.horizon / 1000).round())[:, None, None]
        alpha_bar, noise = torch.sigmoid(-gamma), torch.sigmoid(gamma)
        variance = alpha_bar * self.width + noise
        apart = x_t[:, None].double() - alpha_bar.sqrt() * self.means
        share = torch.softmax(-0.5 * (apart**2 / variance).sum(-1), dim=1)[..., None]
        # ε given the component is √(1 − ᾱ)/variance times x_t's distance from its mean.
        return (share * (noise.sqrt() / variance) * apart).sum(1).to(x_t.dtype)


def gap(data: Mixture2d, schedule: Schedule, variance: Variance, horizon: int) -> float:
    """The bound less −log p(x_0) in bits/dim with the exact ε̂, its mean over test points."""
    choices = Choices(Epsilon(), variance, schedule, Simple(), Uniform(), Mlp(), horizon)
    loaded = data.load()
    diffusion = Diffusion(choices, loaded.encoding, loaded.shape)
    diffusion.denoiser.network = ExactNoise(data, schedule, horizon)
    points = loaded.images["test"]
    exact, count = -data.log_density(points) * bits_per_nat(2), len(points)
    bounds = [bound(diffusion, points, TIMES, seed=seed, batch=count).total for seed in range(REPEATS)]
    return float((torch.stack(bounds).mean(0) - exact).mean())
