"""Where training times live: on a chain of T steps, or in continuous time between its ends.

discrete     t ∈ {1..T}     the bound is Σ L_{t−1}: T L_{t−1} is its estimate by one t
continuous   t ∈ [1, T]     the bound is an integral: ½ (dγ/du) ‖ε − ε̂‖² is its estimate by one u = (t − 1)/(T − 1)

A domain turns a batch into what an objective reads of it, and tells what a learned schedule learns from. In T steps all
of γ takes the bound's gradient. In continuous time the bound does not depend on γ between its ends, which take its
gradient; the interior takes that of the second moment of its estimate (Kingma et al. 2021, appendix I.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import Tensor, nn

from diffusion_core.bound import mean_dims
from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import Pair, diffuse
from diffusion_core.gamma import LearnedGamma
from diffusion_core.objectives import Example, NoiseLevels, VlbContinuous
from diffusion_core.timesteps import TimestepSampler
from diffusion_core.units import bits_per_dim


class TimeDomain(ABC):
    """The times that a training draws."""

    @abstractmethod
    def draw(self, timesteps: TimestepSampler, u: Tensor) -> tuple[Tensor, Tensor]:
        """(t, weight), both [B], from u ~ U[0, 1) float64 [B]."""

    @abstractmethod
    def example(self, diffusion: Diffusion, x0: Tensor, t: Tensor, eps: Tensor) -> Example:
        """What an objective reads of x_0 [B, …] at times t [B] with noise ε, by one pass of the network."""

    @abstractmethod
    def schedule_groups(self, gamma: LearnedGamma) -> dict[str, list[nn.Parameter]]:
        """The parameters of a learned schedule, by the loss that teaches them."""

    @abstractmethod
    def schedule_losses(self, diffusion: Diffusion, example: Example, x0: Tensor, eps: Tensor) -> dict[str, Tensor]:
        """Those losses [B] in bits/dim."""


@dataclass(frozen=True)
class Discrete(TimeDomain):
    """t ∈ {1..T}."""

    def draw(self, timesteps: TimestepSampler, u: Tensor) -> tuple[Tensor, Tensor]:
        return timesteps(u)  # type: ignore[no-any-return]

    def example(self, diffusion: Diffusion, x0: Tensor, t: Tensor, eps: Tensor) -> Example:
        pair = diffusion.chain().pair(t)
        x_t = diffuse(x0, eps, pair.gamma_t)
        output, raw = diffusion.denoiser(x_t, t, pair)
        variance = diffusion.choices.variance.trained_as

        def term(output: Tensor) -> Tensor:
            p = diffusion.reverse_of((output, raw), x_t, t, pair, pair, variance, clip=False)
            return bits_per_dim(diffusion.term_of(x0, p), x0[0].numel())

        return _example(
            diffusion,
            pair,
            lambda: diffusion.gamma.rate(t)[1],
            (x0, eps, x_t, output),
            term=lambda: term(output),
            variance_term=lambda: term(output.detach()),
        )

    def schedule_groups(self, gamma: LearnedGamma) -> dict[str, list[nn.Parameter]]:
        return {"schedule": list(gamma.parameters())}

    def schedule_losses(self, diffusion: Diffusion, example: Example, x0: Tensor, eps: Tensor) -> dict[str, Tensor]:
        prior = bits_per_dim(diffusion.prior(x0), x0[0].numel())
        return {"schedule": diffusion.choices.horizon * example.term() + prior}


@dataclass(frozen=True)
class Continuous(TimeDomain):
    """t ∈ [1, T], real."""

    def draw(self, timesteps: TimestepSampler, u: Tensor) -> tuple[Tensor, Tensor]:
        return timesteps.real(u)

    def example(self, diffusion: Diffusion, x0: Tensor, t: Tensor, eps: Tensor) -> Example:
        gamma, rate = diffusion.gamma.rate(t)
        level = Pair.level(gamma)
        x_t = diffuse(x0, eps, gamma)
        output, _ = diffusion.denoiser(x_t, t, level)
        return _example(diffusion, level, lambda: rate, (x0, eps, x_t, output), term=_no_step, variance_term=_no_step)

    def schedule_groups(self, gamma: LearnedGamma) -> dict[str, list[nn.Parameter]]:
        return {"schedule_ends": gamma.end_parameters, "schedule_shape": gamma.shape_parameters}

    def schedule_losses(self, diffusion: Diffusion, example: Example, x0: Tensor, eps: Tensor) -> dict[str, Tensor]:
        estimate = VlbContinuous().loss(example)
        ends = bits_per_dim(diffusion.direct(x0, eps) + diffusion.prior(x0), x0[0].numel())
        return {"schedule_ends": estimate + ends, "schedule_shape": estimate**2}


def _example(
    diffusion: Diffusion,
    pair: Pair,
    rate: Callable[[], Tensor],
    batch: tuple[Tensor, Tensor, Tensor, Tensor],
    *,
    term: Callable[[], Tensor],
    variance_term: Callable[[], Tensor],
) -> Example:
    """The example of a batch x_0, ε, x_t, output [B, …]; a term is worked out once, for all who read it."""
    x0, eps, x_t, output = batch
    parameterization = diffusion.choices.parameterization
    return Example(
        levels=levels_of(diffusion, pair, rate),
        error=mean_dims((parameterization.target(x0, eps, x_t, pair) - output) ** 2),
        term=cache(term),
        variance_term=cache(variance_term),
    )


def levels_of(diffusion: Diffusion, pair: Pair, rate: Callable[[], Tensor]) -> NoiseLevels:
    """The noise levels of a batch, and what goes with them."""
    return NoiseLevels(pair, diffusion.choices.parameterization.kappa(pair), diffusion.choices.horizon, rate)


def _no_step() -> Tensor:
    raise RuntimeError("an objective that reads a term of a chain must say continuous = False")
