"""A problem whose answer is known, Gaussian data, and a network that is a given function.

    GaussianData      data with their exact denoiser and entropy
    denoiser_output   a network that is a given denoiser
    expected_bound    a diffusion's bound: expectations over x_0 and ε are exact, not drawn

Everything is float64 and follows the definitions, without the code under test but for `Step` and a target's formula: a
`Diffusion` whose network is the exact denoiser must reach the exact entropy, and reproduce the exact recursion of
samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import Step
from diffusion_core.networks.network import Network
from diffusion_core.parameterizations import Parameterization
from diffusion_core.schedules import Schedule

Output = Callable[..., Tensor]
"""A network as a function of x_t, t and, for data with classes, the label."""


@dataclass(frozen=True)
class Function(Network):
    """A network that computes output(x_t, t) or, with classes, output(x_t, t, label); t is int64, or real with
    `real`."""

    output: Output
    horizon: int
    real: bool = False

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return FunctionModule(self.output, self.horizon, self.real)

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        return self.build(shape, channels_out)


class FunctionModule(nn.Module):
    """The module of `Function`; its one parameter is never used."""

    def __init__(self, output: Output, horizon: int, real: bool) -> None:
        super().__init__()
        self.output = output
        self.horizon = horizon
        self.real = real
        self.unused = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x_t: Tensor, time: Tensor, *label: Tensor) -> Tensor:
        t = time * self.horizon / 1000
        return self.output(x_t, t.clamp(1, self.horizon) if self.real else t.round().long(), *label)


def column(value: Tensor, like: Tensor) -> Tensor:
    """[B] shaped to multiply [B, …]."""
    return value.reshape(-1, *[1] * (like.ndim - 1))


def denoiser_output(
    denoise: Callable[..., Tensor], parameterization: Parameterization, schedule: Schedule, horizon: int
) -> Output:
    """A network that predicts x̂_0 = denoise(x_t, ᾱ_t), or denoise(x_t, ᾱ_t, y) with a label, in `parameterization`."""
    gamma = schedule.gamma(horizon)

    def output(shown: Tensor, t: Tensor, *label: Tensor) -> Tensor:
        gamma_t, gamma_s = gamma(t).detach(), gamma(t - 1).detach()
        step = Step(gamma_t, gamma_s, gamma_t)
        x_t = shown / parameterization.network_input(torch.ones_like(shown), step)
        alpha_bar = column(torch.sigmoid(-gamma_t), x_t)
        x0 = denoise(x_t, alpha_bar, *label)
        eps = (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
        return parameterization.target(x0, eps, x_t, step)

    return output


@dataclass(frozen=True)
class GaussianData:
    """x_0 ~ N(0, diag(variances)) [D]."""

    variances: tuple[float, ...]

    @property
    def variance(self) -> Tensor:
        return torch.tensor(self.variances, dtype=torch.float64)

    @property
    def entropy(self) -> float:
        """Differential entropy in bits/dim."""
        return float(torch.log2(2 * math.pi * math.e * self.variance).mean() / 2)

    def denoise(self, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        """E[x_0 | x_t]."""
        return alpha_bar.sqrt() * self.variance / (alpha_bar * self.variance + 1 - alpha_bar) * x_t

    def expected(self, term: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """E over x_0 and ε of term(x_0, ε) [B, D] → [B], a sum over dimensions of polynomials of degree 2.

        Two Gauss-Hermite nodes for each, ±1, are exact up to degree 3.
        """
        signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
        ones = torch.ones(len(self.variances), dtype=torch.float64)
        values = [term(x0 * self.variance.sqrt(), eps * ones) for x0, eps in signs]
        return torch.stack(values).mean(0)


DATA = GaussianData((0.3, 1.7))


def expected_terms(model: Diffusion, data: GaussianData, steps: int | None = None) -> Tensor:
    """E L_0, E L_1, … E L_{K−1} in bits/dim [K]."""
    chain = model.chain(steps)
    k = torch.arange(1, chain.steps + 1)
    nats = data.expected(lambda x0, eps: model.term(x0.expand(len(k), 2), eps.expand(len(k), 2), chain, k))
    return nats / (2 * math.log(2))


def expected_bound(model: Diffusion, data: GaussianData) -> float:
    """The expected bound in bits/dim."""
    prior = data.expected(lambda x0, eps: model.prior(x0[None])) / (2 * math.log(2))
    return float(expected_terms(model, data).sum() + prior.sum())
