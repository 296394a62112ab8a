"""The time domain of a training: where its times live, on a chain of T steps or in continuous time between its ends.

    discrete     t ∈ {1..T}     the bound is Σ L_{t−1}: T L_{t−1} is its estimate by one t
    continuous   t ∈ [1, T]     the bound is an integral: ½ (dγ/du) ‖ε − ε̂‖² is its estimate by one u = (t − 1)/(T − 1)

It makes the example of a batch that an objective reads, and defines the losses of a learned schedule. In T steps all of
γ takes the bound's gradient. In continuous time the bound does not depend on γ between its ends, which take its
gradient; the interior takes that of the second moment of its estimate (Kingma et al. 2021, appendix I.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from diffusion_core.forward import Step
from diffusion_core.gamma import LearnedGamma
from diffusion_core.objectives import Example, NoiseLevels, VlbContinuous
from diffusion_core.terms import Reverse, bits_per_dim, bound_term
from diffusion_core.timesteps import TimestepSampler

if TYPE_CHECKING:
    from diffusion_core.diffusion import Diffusion


class TimeDomain(ABC):
    """A domain of the times that a training draws."""

    @abstractmethod
    def draw(self, timesteps: TimestepSampler, u: Tensor) -> tuple[Tensor, Tensor]:
        """(t, weight), both [B], from u ~ U[0, 1) float64 [B]."""

    @abstractmethod
    def step(self, diffusion: Diffusion, t: Tensor) -> tuple[Step, Callable[[], Tensor]]:
        """The step from t [B], or its noise level alone, and dγ/du there as a function."""

    def term(
        self, diffusion: Diffusion, x0: Tensor, t: Tensor, x_t: Tensor, step: Step, raw: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """L_{t−1} in bits/dim [B] as a function of the output for the mean; `raw` is the one for a learned σ².

        `Diffusion.term` is the same for a chain that is scored, which may hold x̂_0 in [−1, 1] and be guided.
        """

        def no_step(output: Tensor) -> Tensor:
            raise RuntimeError("an objective that reads a term of a chain must say continuous = False")

        return no_step

    @abstractmethod
    def schedule_groups(self, gamma: LearnedGamma) -> dict[str, list[nn.Parameter]]:
        """The parameters of a learned schedule, by the loss that teaches them."""

    @abstractmethod
    def schedule_losses(self, diffusion: Diffusion, example: Example, x0: Tensor, eps: Tensor) -> dict[str, Tensor]:
        """The losses [B] of these groups, in bits/dim or their square."""


@dataclass(frozen=True)
class Discrete(TimeDomain):
    """t ∈ {1..T}."""

    def draw(self, timesteps: TimestepSampler, u: Tensor) -> tuple[Tensor, Tensor]:
        return timesteps(u)  # type: ignore[no-any-return]

    def step(self, diffusion: Diffusion, t: Tensor) -> tuple[Step, Callable[[], Tensor]]:
        return diffusion.chain().step(t), lambda: diffusion.gamma.rate(t)[1]

    def term(
        self, diffusion: Diffusion, x0: Tensor, t: Tensor, x_t: Tensor, step: Step, raw: Tensor
    ) -> Callable[[Tensor], Tensor]:
        variance = diffusion.choices.variance.trained_as

        def term(output: Tensor) -> Tensor:
            estimate = diffusion.choices.parameterization.x0(output, x_t, step)
            p = Reverse(step, x_t, estimate, variance.log_variance(step, raw, x_t, diffusion.x0_variance[t]))
            return bits_per_dim(bound_term(x0, p, diffusion.encoding.decoder_term), x0[0].numel())

        return term

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

    def step(self, diffusion: Diffusion, t: Tensor) -> tuple[Step, Callable[[], Tensor]]:
        gamma, rate = diffusion.gamma.rate(t)
        return Step.level(gamma), lambda: rate

    def schedule_groups(self, gamma: LearnedGamma) -> dict[str, list[nn.Parameter]]:
        return {"schedule_ends": gamma.end_parameters, "schedule_shape": gamma.shape_parameters}

    def schedule_losses(self, diffusion: Diffusion, example: Example, x0: Tensor, eps: Tensor) -> dict[str, Tensor]:
        estimate = VlbContinuous().loss(example)
        ends = bits_per_dim(diffusion.direct(x0, eps) + diffusion.prior(x0), x0[0].numel())
        return {"schedule_ends": estimate + ends, "schedule_shape": estimate**2}


def levels_of(diffusion: Diffusion, step: Step, rate: Callable[[], Tensor]) -> NoiseLevels:
    """The noise levels of a batch, with κ, T and dγ/du."""
    return NoiseLevels(step, diffusion.choices.parameterization.kappa(step), diffusion.choices.horizon, rate)
